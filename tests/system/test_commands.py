"""The commands for people and scripts work on the running system."""

import json

import pytest
from cli.commands import run
from system.running import System

WAIT = ("--wait", "60")


@pytest.fixture
def do(system: System):
    """Return a function that runs a command, which must succeed, and returns its output."""

    def run_command(*words: str, stdin: str | None = None) -> str:
        result = run(*words, stdin=stdin, MILLSTREAM_URL=system.url, MILLSTREAM_REDIS_URL=system.redis_url)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return result.stdout

    return run_command


@pytest.fixture
def ask(do):
    """Return a function that runs a command with `--json`, and returns the decoded output."""
    return lambda *words, stdin=None: json.loads(do(*words, "--json", stdin=stdin))


def test_submit_waits_and_prints_the_job(do, ask, folder):
    """`submit --wait` prints the job as fields, or as JSON."""
    payload = json.dumps({"folder": str(folder), "n": 3})
    options = ("--priority", "high", "--tag", "a=b=c", "--delay", "0.1", "--max-attempts", "2", "--timeout", "9")
    job = ask("submit", "chore.count", payload, *options, *WAIT)
    shown = (job["state"], job["result"], job["priority"], job["tags"], job["max_attempts"], job["timeout_s"])
    assert shown == ("succeeded", 3, "high", {"a": "b=c"}, 2, 9.0)
    printed = dict(line.split(maxsplit=1) for line in do("job", job["id"]).splitlines())
    assert (printed["id"], printed["state"], printed["result"]) == (job["id"], "succeeded", "3")
    assert json.loads(printed["payload"]) == json.loads(payload)


def test_result_that_is_nothing_much_is_printed_all_the_same(do, ask, folder):
    """A result of zero is printed."""
    job = ask("submit", "chore.count", json.dumps({"folder": str(folder)}), *WAIT)
    assert job["result"] == 0
    assert ["result", "0"] in [line.split() for line in do("job", job["id"]).splitlines()]


def test_submit_reads_its_payload_from_a_file_or_standard_input(ask, tmp_path):
    """`submit` reads its payload from a file or from standard input."""
    (tmp_path / "payload.json").write_text('"abc"')
    from_file = ask("submit", "chore.digest", "--file", str(tmp_path / "payload.json"), *WAIT)
    from_stdin = ask("submit", "chore.digest", "--file", "-", *WAIT, stdin='"abc"')
    assert (
        from_file["result"]
        == from_stdin["result"]
        == ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    )


def test_submit_with_the_same_key_makes_no_second_job(ask, folder):
    """`submit` with the same key makes no second job."""
    first, second = (ask("submit", "chore.now", "--idempotency-key", str(folder)) for _ in range(2))
    assert first["id"] == second["id"]


def test_job_is_cancelled(ask):
    """`cancel` cancels a scheduled job at once."""
    job = ask("submit", "chore.now", "--delay", "600")
    assert ask("job", job["id"], "--cancel")["state"] == "cancelled"


def test_dead_letters_are_listed_redriven_and_discarded(do, ask):
    """`dead` lists, redrives and discards by id and by type, and prints any message as plain text."""
    odd = [ask("submit", "chore.hopeless", payload, *WAIT) for payload in ("null", '"no [/b] [red]city"')]
    assert [job["state"] for job in odd] == ["dead", "dead"]
    ids = {job["id"] for job in odd}
    assert ids <= {letter["id"] for letter in ask("dead", "--type", "chore.hopeless", "--limit", "500")["items"]}
    table = do("dead", "--type", "chore.hopeless")
    assert "dead letters" in table
    assert "[/b]" in "".join(table.split())
    assert do("dead", "redrive", *ids) == "2 redriven, 0 refused\n"
    for job_id in ids:
        assert ask("job", job_id, *WAIT)["deliveries"] == 2
    assert ask("job", next(iter(ids)), "--retry")["id"] in ids
    ask("job", next(iter(ids)), *WAIT)
    assert ask("dead", "discard", *ids)["done"] == 2
    assert do("dead", "--type", "chore.nothing") == "no dead letters\n"


def test_dead_letters_are_listed_page_by_page(do, ask):
    """A list ends with the command that shows its next page."""
    for _ in range(2):
        ask("submit", "chore.closed", *WAIT)
    *_, more = do("dead", "--type", "chore.closed", "--limit", "1").splitlines()
    cursor = more.removeprefix("more: millstream dead --cursor ")
    assert cursor != more
    [second] = ask("dead", "--type", "chore.closed", "--limit", "1", "--cursor", cursor)["items"]
    [first] = ask("dead", "--type", "chore.closed", "--limit", "1")["items"]
    assert first["id"] != second["id"]
    assert ask("dead", "redrive", "--type", "chore.closed", "--limit", "1")["done"] == 1
    ask("job", first["id"], *WAIT)


def test_queues_and_doctor(do, ask):
    """`queues` lists the queues, and `doctor` reports on Redis."""
    assert "chore.count" in {queue["type"] for queue in ask("queues")}
    assert "chore.count" in do("queues")
    assert ask("doctor")["objections"] == []
    assert "safe for jobs" in do("doctor")
