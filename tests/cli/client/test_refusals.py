"""The commands of the HTTP API report wrong use, refusals, and an API that does not respond.

tests/system has the commands at work.
"""

import json
import re
import secrets
from collections.abc import Iterator

import anyio
import httpx2
import pytest
from cli.commands import NO_API, address_in, refused, run, started_program
from leftovers import delete_namespace

from millstream import UnavailableError
from millstream_cli.client.connection import FirstContact
from millstream_cli.exit_codes import ExitCode
from millstream_contracts import Problem
from millstream_streams import open_broker

JOB_ID = "demo.delayed_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"

NO_ANSWER = Problem(type="about:blank", title="No answer", status=0)

COMMANDS = [
    ("submit", "demo.delayed"),
    ("job", JOB_ID),
    ("job", JOB_ID, "--cancel"),
    ("job", JOB_ID, "--retry"),
    ("job", JOB_ID, "--run-now"),
    ("job", JOB_ID, "--priority", "high"),
    ("dead",),
    ("dead", "redrive", JOB_ID),
    ("dead", "redrive", "--type", "a.b", "--yes"),
    ("dead", "discard", JOB_ID, "--yes"),
    ("jobs", "--running"),
    ("jobs", "search", "state:dead"),
    ("job", JOB_ID, "--timeline"),
    ("dead", "groups"),
    ("stack", JOB_ID),
    ("tail",),
    ("operations",),
    ("operations", "redrive", "-q", "type:a.b", "--yes"),
    ("operations", "discard", JOB_ID, "--dry-run"),
    ("operations", "patch", JOB_ID, "-p", '{"a": 1}', "--yes"),
    ("operations", "erase", "-q", "tag.customer:c1", "--yes"),
    ("operations", "export", "-q", "state:dead", "--format", "csv"),
    ("operations", "cancel-jobs", "-q", "type:a", "--yes"),
    ("operations", "show", "op_1"),
    ("operations", "pause", "op_1"),
    ("operations", "resume", "op_1"),
    ("operations", "cancel", "op_1"),
    ("tail", "--job", JOB_ID),
    ("incidents",),
    ("webhooks",),
    ("webhooks", "add", "https://a.example/"),
    ("webhooks", "show", "whep_1"),
    ("webhooks", "change", "whep_1", "--to", "https://a.example/"),
    ("webhooks", "remove", "whep_1"),
    ("webhooks", "rotate", "whep_1"),
    ("webhooks", "secret"),
    ("webhooks", "enable", "whep_1"),
    ("webhooks", "disable", "whep_1"),
    ("webhooks", "test", "whep_1"),
    ("webhooks", "deliveries"),
    ("webhooks", "redeliver", "whep_1", JOB_ID),
    ("queues",),
    ("workers",),
    ("types",),
    ("types", "a.b"),
    ("demand", "demo.*"),
    ("stats", "--type", "a.b"),
]


def name_of(words: object) -> str:
    """Return the name of a case for pytest."""
    return " ".join(words) if isinstance(words, tuple) else repr(words)


@pytest.mark.parametrize("words", COMMANDS, ids=name_of)
def test_command_says_in_one_line_that_nobody_answers(words):
    """A command names the address that takes no connections, and how another is given, without a second try."""
    said = refused(run(*words, "--url", NO_API), NO_API, "Connection refused", code=ExitCode.UNREACHABLE)
    assert said.endswith("Is it running (`millstream up`)? Give another address with --url or MILLSTREAM_URL")


def test_address_comes_from_the_option_or_the_environment():
    """The address comes from the option, or else from the environment."""
    unreachable = ExitCode.UNREACHABLE
    refused(run("queues", MILLSTREAM_URL=NO_API), f"reach {NO_API}: ", code=unreachable)
    refused(
        run("queues", "--url", f"{NO_API}/x", MILLSTREAM_URL="http://127.0.0.1:10"), f"{NO_API}/x: ", code=unreachable
    )


def test_address_that_cannot_be_reached_is_shown_without_its_password():
    """An address that cannot be reached is shown without its password."""
    said = refused(run("queues", "--url", NO_API.replace("//", "//ann:hunter2@")), code=ExitCode.UNREACHABLE)
    assert "hunter2" not in said


def test_name_that_leads_nowhere_is_told_like_a_refused_connection():
    """A name that leads nowhere is an unreachable address."""
    refused(run("queues", "--url", "http://nowhere.invalid"), "http://nowhere.invalid", "--url", code=3)


def test_connection_that_breaks_later_is_made_again(monkeypatch):
    """A client that has reached the API once takes a refused connection for an error that passes."""
    http, asked = FirstContact("http://127.0.0.1:9"), []

    def send(*args: object, **options: object) -> httpx2.Response:
        asked.append(args)
        if len(asked) == 2:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(200)

    monkeypatch.setattr(httpx2.Client, "send", send)
    with http:
        assert http.request("GET", "/").status_code == 200
        with pytest.raises(httpx2.ConnectError):
            http.request("GET", "/")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://a", "http://", "http://[::1", "http://a:x", "-"])
def test_address_that_is_none_is_refused(url):
    """A wrong address is refused before anything is sent, and is not shown, because it may hold a password."""
    refused(run("queues", "--url", url), "address")
    refused(run("queues", MILLSTREAM_URL=url), "address")


@pytest.mark.parametrize("words", COMMANDS, ids=name_of)
def test_misspelt_variable_stops_every_command(words):
    """A misspelt variable stops every command."""
    refused(run(*words, MILLSTREAM_URI=NO_API), "MILLSTREAM_URI is no setting; did you mean `MILLSTREAM_URL`", code=2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("submit",), "Missing argument 'TYPE'"),
        (("submit", "a.b", "{"), "PAYLOAD: is not JSON"),
        (("submit", "a.b", "NaN"), "PAYLOAD: is not JSON"),
        (("submit", "a.b", "[" * 100_000), "PAYLOAD: is not JSON"),
        (("submit", "a.b", "1", "--file", "-"), "as an argument or with --file, not both"),
        (("submit", "a.b", "1", "2"), "unexpected extra argument"),
        (("submit", "a.b", "--tag", "x"), "`x` is not key=value"),
        (("submit", "a.b", "--priority", "urgent"), "'urgent' is not one of 'high', 'normal', 'low'"),
        (("submit", "a.b", "--delay", "soon"), "'soon' is not a valid float"),
        (("submit", "a.b", "--max-attempts", "1.5"), "'1.5' is not a valid integer"),
        (("submit", "a.b", "--paylod", "1"), "No such option '--paylod'"),
        (("submit", "a.b", "123456789012345678901234567890"), "cannot be encoded"),
        (("submit", "a.b", "--idempotency-key", ""), "an idempotency key is 1 to 255"),
        (("submit", "a.b", "--idempotency-key", "ü"), "printable ASCII"),
        (("submit", "a.b", "--file", "/no/such/file"), "/no/such/file"),
        (("submit", "a.b", "--file", "/"), "'/'"),
        (("job",), "Missing argument 'JOB_ID'"),
        (("job", JOB_ID, "--wait", "long"), "'long' is not a valid float"),
        (("dead", "--limit", "many"), "'many' is not a valid integer"),
        (("dead", "redrive"), "either ids or a type"),
        (("dead", "discard"), "either ids or a type"),
        (("dead", "redrive", JOB_ID, "--type", "a.b"), "either ids or a type"),
        (("dead", "bury"), "No such command 'bury'"),
        (("dead", "redrive", "--type", "a.b"), "`dead redrive` asks first, and no terminal is there"),
        (("dead", "discard", "--type", "a.b"), "`dead discard` asks first, and no terminal is there"),
        (("dead", "discard", JOB_ID), "`dead discard` asks first, and no terminal is there"),
        (("jobs", "--running", "--state", "dead"), "--running and --state dead exclude each other"),
        (("jobs", "--state", "succeeded"), "'succeeded' is not one of"),
        (("queue",), "No such command 'queue'"),
    ],
    ids=name_of,
)
def test_wrong_words_are_refused_before_anything_is_sent(words, says):
    """Wrong arguments are refused in one line, with the status of wrong use, before anything is sent."""
    refused(run(*words, MILLSTREAM_URL=NO_API), says, code=ExitCode.USAGE)


def test_payload_that_is_no_text_is_refused(tmp_path):
    """A payload that is no text is refused, from a file and from standard input."""
    file = tmp_path / "payload"
    file.write_bytes(b'"\xff"')
    refused(run("submit", "a.b", "--file", str(file), "--url", NO_API))
    refused(run("submit", "a.b", "--file", "-", "--url", NO_API, stdin=b'"\xff"'))


def test_options_before_a_subcommand_are_not_silently_dropped():
    """Options before a subcommand, as in `dead --type a redrive`, are refused."""
    refused(run("dead", "--url", NO_API, "redrive", JOB_ID, MILLSTREAM_URL="http://127.0.0.1:10"), code=2)
    refused(run("dead", "--type", "a.b", "redrive", JOB_ID, "--url", NO_API), code=2)


@pytest.fixture(scope="module")
def url(redis_url, tmp_path_factory) -> Iterator[str]:
    """Yield the address of an API without workers."""
    log, namespace = tmp_path_factory.mktemp("api") / "log", f"cli-{secrets.token_hex(6)}"
    settings = {"MILLSTREAM_REDIS_URL": redis_url, "MILLSTREAM_NAMESPACE": namespace}
    with started_program("ingest", "--port", "0", log=log, **settings) as process:
        while not answers(f"{address_in(log)}/readyz"):
            assert process.poll() is None, log.read_text()
        yield address_in(log)
    anyio.run(clean_up, redis_url, namespace)


async def clean_up(redis_url: str, namespace: str) -> None:
    """Delete the namespace from the shared Redis."""
    async with open_broker(redis_url, namespace=namespace) as broker:
        await delete_namespace(broker.client, namespace)


def answers(address: str) -> bool:
    """Return whether a service is ready."""
    try:
        return httpx2.get(address, trust_env=False, timeout=10).status_code == 200
    except httpx2.HTTPError:
        return False


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("submit", "A.B"), "/type"),
        (("submit", "a.b", "--delay", "-1"), "/delay_s"),
        (("submit", "a.b", "--delay", "nan"), "/delay_s"),
        (("submit", "a.b", "--max-attempts", "0"), "/max_attempts"),
        (("submit", "a.b", "--timeout", "-1"), "/timeout_s"),
        (("submit", "a.b", "--tag", "=x"), "/tags"),
        (("job", JOB_ID), "no such job"),
        (("job", "../../health"), "nothing here"),
        (("job", JOB_ID, "--cancel"), "no such job"),
        (("job", JOB_ID, "--retry"), "no such job"),
        (("dead", "--limit", "0"), "limit"),
        (("dead", "--limit", "501"), "limit"),
        (("dead", "--cursor", "?"), "cursor"),
        (("demand", "A.*"), "types"),
        (("stats", "--step", "30s"), "no history"),
        (("dead", "--type", "A"), "type"),
        (("dead", "redrive", "--type", "A", "--yes"), "/type"),
        (("dead", "discard", "--type", "a.b", "--limit", "-1", "--yes"), "/limit"),
    ],
    ids=name_of,
)
def test_refusal_of_the_api_is_told_in_one_line(url, words, says):
    """A refusal of the API is one line with the wrong field."""
    assert says in refused(run(*words, "--url", url), code=ExitCode.REFUSED).lower()


def test_action_on_a_job_that_is_not_dead_is_reported_and_fails(url):
    """An action on a job that is not dead prints its report and fails."""
    job = json.loads(run("submit", "a.b", "--json", "--url", url).stdout)
    for action in ("redrive", "discard"):
        result = run("dead", action, job["id"], JOB_ID, "--yes", "--url", url)
        assert result.exit_code == ExitCode.REFUSED
        assert result.stdout.startswith("0 ")
        assert "2 refused" in result.stdout
        assert f"{job['id']}: it is not dead" in result.stderr
        assert f"{JOB_ID}: there is no such job" in result.stderr
        report = run("dead", action, job["id"], "--yes", "--json", "--url", url)
        assert (report.exit_code, json.loads(report.stdout)["refused"]) == (ExitCode.REFUSED, 1)


def test_job_that_does_not_end_in_time_fails_the_command_and_is_not_lost(url):
    """`submit --wait` fails when the job does not end in time, and prints the id of the job."""
    result = run("submit", "a.b", "--wait", "0.1", "--url", url)
    assert result.exit_code == ExitCode.UNFINISHED
    assert "it goes on" in result.stderr
    [job_id] = [word for word in result.stderr.split() if word.startswith("a.b_")]
    assert json.loads(run("job", job_id, "--json", "--url", url).stdout)["state"] == "queued"
    refused(run("job", job_id, "--wait", "0.1", "--url", url), "it goes on", code=ExitCode.UNFINISHED)


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), ExitCode.INTERRUPTED), (UnavailableError(NO_ANSWER), ExitCode.UNREACHABLE)],
    ids=["Ctrl-C", "an outage"],
)
@pytest.mark.parametrize("command", ["submit", "job"])
def test_wait_that_is_cut_short_tells_how_to_find_the_job_again(url, monkeypatch, command, error, code):
    """`--wait` that ends without an answer prints the command that waits for the same job."""

    def cut_short(*_: object) -> None:
        raise error

    words = ("submit", "a.b")
    if command == "job":
        words = ("job", json.loads(run(*words, "--json", "--url", url).stdout)["id"])
    monkeypatch.setattr("millstream.SyncClient.wait", cut_short)
    result = run(*words, "--wait", "9", "--url", url)
    told = result.stderr.splitlines()[0]
    assert (result.exit_code, result.stdout) == (code, "")
    job_id = re.fullmatch(
        r"millstream: the job goes on; wait for it again with: millstream job (a.b_\w+) --wait 9", told
    )[1]
    assert json.loads(run("job", job_id, "--json", "--url", url).stdout)["type"] == "a.b"


def test_a_job_is_given_a_priority_and_run_before_its_time(url):
    """A job is printed as it is then; both options at once are refused, as is a word that is no priority."""
    job_id = json.loads(run("submit", "a.b", "--delay", "600", "--json", "--url", url).stdout)["id"]
    asked = ("job", job_id, "--json", "--url", url)
    assert json.loads(run(*asked, "--priority", "high").stdout)["priority"] == "high"
    assert json.loads(run(*asked, "--run-now").stdout)["state"] == "queued"
    refused(run(*asked, "--run-now", "--priority", "low"), "--priority and --run-now exclude each other", code=2)
    refused(run(*asked, "--priority", "urgent"), "'urgent'", code=2)


def test_job_that_is_not_dead_cannot_be_retried(url):
    """`retry` of a job that is not dead is refused, and changes nothing."""
    job = json.loads(run("submit", "a.b", "--json", "--url", url).stdout)
    refused(run("job", job["id"], "--retry", "--url", url), code=ExitCode.REFUSED)
    assert json.loads(run("job", job["id"], "--cancel", "--json", "--url", url).stdout)["state"] == "cancelled"
