"""Errors of the commands of the HTTP API: wrong use, refusals, an API that does not answer.

tests/system has the commands at work.
"""

import json
import secrets
from collections.abc import Iterator

import anyio
import httpx2
import pytest
from cli.commands import NO_API, address_in, refused, run, started_program
from leftovers import delete_namespace

from millstream_streams import open_broker

JOB_ID = "demo.delayed_0001JD3YQ8Z7M4T6V0RXKBN5C2WA"

COMMANDS = [
    ("submit", "demo.delayed"),
    ("job", JOB_ID),
    ("job", JOB_ID, "--cancel"),
    ("job", JOB_ID, "--retry"),
    ("dead",),
    ("dead", "redrive", JOB_ID),
    ("dead", "discard", JOB_ID),
    ("queues",),
    ("demand", "demo.*"),
]


def name_of(words: object) -> str:
    """Return what pytest calls a case."""
    return " ".join(words) if isinstance(words, tuple) else repr(words)


@pytest.fixture(autouse=True)
def impatience(monkeypatch):
    """Give up at once where nothing answers."""
    monkeypatch.setattr("millstream_cli.client_commands.RETRY_FOR_S", 0.0)


@pytest.mark.parametrize("words", COMMANDS, ids=name_of)
def test_command_says_in_one_line_that_nobody_answers(words):
    """With the address, and soon: a person waits."""
    refused(run(*words, "--url", NO_API), NO_API, "Connection refused", code=1)


def test_address_comes_from_the_option_or_the_environment():
    """The option wins."""
    refused(run("queues", MILLSTREAM_URL=NO_API), f"{NO_API}/v1/queues")
    refused(run("queues", "--url", f"{NO_API}/x", MILLSTREAM_URL="http://127.0.0.1:10"), f"{NO_API}/x/v1/queues")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://a", "http://", "http://[::1", "http://a:x", "-"])
def test_address_that_is_none_is_refused(url):
    """It is refused before anything is sent, and is not shown: a password may be in it."""
    refused(run("queues", "--url", url), "address")
    refused(run("queues", MILLSTREAM_URL=url), "address")


@pytest.mark.parametrize("words", COMMANDS, ids=name_of)
def test_misspelt_variable_stops_every_command(words):
    """A setting that is silently not used would be worse."""
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
        (("queue",), "No such command 'queue'"),
    ],
    ids=name_of,
)
def test_wrong_words_are_refused_before_anything_is_sent(words, says):
    """One line that says what is wrong, and an exit code that is not 0."""
    refused(run(*words, MILLSTREAM_URL=NO_API), says)


def test_payload_that_is_no_text_is_refused(tmp_path):
    """From a file and from standard input."""
    file = tmp_path / "payload"
    file.write_bytes(b'"\xff"')
    refused(run("submit", "a.b", "--file", str(file), "--url", NO_API))
    refused(run("submit", "a.b", "--file", "-", "--url", NO_API, stdin=b'"\xff"'))


def test_options_before_a_subcommand_are_not_silently_dropped():
    """`dead --type a redrive` looks as if it were about that type only."""
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
    """Leave nothing in a Redis that others use as well."""
    async with open_broker(redis_url, namespace=namespace) as broker:
        await delete_namespace(broker.client, namespace)


def answers(address: str) -> bool:
    """Whether a service is ready."""
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
        (("dead", "--type", "A"), "type"),
        (("dead", "redrive", "--type", "A"), "/type"),
        (("dead", "discard", "--type", "a.b", "--limit", "-1"), "/limit"),
    ],
    ids=name_of,
)
def test_refusal_of_the_api_is_told_in_one_line(url, words, says):
    """With the field that is wrong."""
    assert says in refused(run(*words, "--url", url), code=1).lower()


def test_action_on_a_job_that_is_not_dead_is_reported_and_fails(url):
    """The report is printed, the exit code tells a script."""
    job = json.loads(run("submit", "a.b", "--json", "--url", url).stdout)
    for action in ("redrive", "discard"):
        result = run("dead", action, job["id"], JOB_ID, "--url", url)
        assert result.exit_code == 1
        assert result.stdout.startswith("0 ")
        assert "2 refused" in result.stdout
        assert f"{job['id']}: it is not dead" in result.stderr
        assert f"{JOB_ID}: there is no such job" in result.stderr
        report = run("dead", action, job["id"], "--json", "--url", url)
        assert (report.exit_code, json.loads(report.stdout)["refused"]) == (1, 1)


def test_job_that_does_not_end_in_time_fails_the_command_and_is_not_lost(url):
    """A job that was submitted without --wait can still be found."""
    result = run("submit", "a.b", "--wait", "0.1", "--url", url)
    assert result.exit_code == 1
    assert "it goes on" in result.stderr
    [job_id] = [word for word in result.stderr.split() if word.startswith("a.b_")]
    assert json.loads(run("job", job_id, "--json", "--url", url).stdout)["state"] == "queued"
    refused(run("job", job_id, "--wait", "0.1", "--url", url), "it goes on", code=1)


def test_job_that_is_not_dead_cannot_be_retried(url):
    """What the job's state forbids is refused, and leaves it as it is."""
    job = json.loads(run("submit", "a.b", "--json", "--url", url).stdout)
    refused(run("job", job["id"], "--retry", "--url", url), code=1)
    assert json.loads(run("job", job["id"], "--cancel", "--json", "--url", url).stdout)["state"] == "cancelled"
