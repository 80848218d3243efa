"""The commands for people and scripts work on the running system."""

import json
import shlex
from typing import Any

import pytest
from cli.commands import run
from cli.terminals import on_terminal, run_on_terminal
from system.running import System, notes
from waiting import wait_until

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


@pytest.fixture
def dies(system: System):
    """Return a function that runs a command that waits for a job which dies, and returns the job."""

    def run_command(*words: str) -> Any:
        result = run(*words, "--json", MILLSTREAM_URL=system.url)
        assert (result.exit_code, result.stderr) == (1, ""), result.output
        return json.loads(result.stdout)

    return run_command


def test_submit_waits_and_prints_the_job(do, ask, folder):
    """`submit --wait` prints the job as fields, or as JSON."""
    payload = json.dumps({"folder": str(folder), "n": 3})
    options = ("--priority", "high", "--tag", "a=b=c", "--delay", "0.1", "--max-attempts", "2", "--timeout", "9")
    job = ask("submit", "chore.count", payload, *options, *WAIT)
    shown = (job["state"], job["result"], job["priority"], job["tags"], job["max_attempts"], job["timeout_s"])
    assert shown == ("succeeded", 3, "high", {"a": "b=c"}, 2, 9.0)
    report = do("job", job["id"])
    printed = dict(line.split(maxsplit=1) for line in report.partition("\n\n")[0].splitlines())
    assert (printed["id"], printed["state"]) == (job["id"], "succeeded")
    assert report.endswith("\nresult\n  3\n")
    assert json.loads(report.partition("\npayload\n")[2].partition("\n\n")[0]) == json.loads(payload)


def test_result_that_is_nothing_much_is_printed_all_the_same(do, ask, folder):
    """A result of zero is printed."""
    job = ask("submit", "chore.count", json.dumps({"folder": str(folder)}), *WAIT)
    assert job["result"] == 0
    assert do("job", job["id"]).endswith("\nresult\n  0\n")


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["report", "json"])
def test_submit_that_waits_fails_when_the_job_dies(system: System, options):
    """`submit --wait` fails when the job dies, and prints the traceback as text."""
    result = run("submit", "chore.hopeless", '"no city"', *WAIT, *options, MILLSTREAM_URL=system.url)
    assert (result.exit_code, result.stderr) == (1, "")
    if options:
        assert json.loads(result.stdout)["state"] == "dead"
    else:
        assert "\n  Traceback (most recent call last):\n" in result.stdout
        assert result.stdout.endswith("\n  ValueError: no city\n")


def test_job_that_waits_fails_unless_the_job_succeeds(system: System, ask):
    """`job --wait` fails unless the job succeeds, and `--cancel` is no failure."""
    job = ask("submit", "chore.now", "--delay", "600")
    assert ask("job", job["id"], "--cancel", *WAIT)["state"] == "cancelled"
    assert run("job", job["id"], *WAIT, MILLSTREAM_URL=system.url).exit_code == 1


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


def test_dead_letters_are_listed_redriven_and_discarded(do, ask, dies):
    """`dead` lists, redrives and discards by id and by type, and prints any message as plain text."""
    odd = [dies("submit", "chore.hopeless", payload, *WAIT) for payload in ("null", '"no [/b] [red]city"')]
    assert [job["state"] for job in odd] == ["dead", "dead"]
    ids = [job["id"] for job in odd]
    assert set(ids) <= {letter["id"] for letter in ask("dead", "--type", "chore.hopeless", "--limit", "500")["items"]}
    table = do("dead", "--type", "chore.hopeless")
    assert "dead letters" in table
    assert "[/b]" in "".join(table.split())
    assert do("dead", "redrive", *ids) == "2 redriven, 0 refused\n"
    for job_id in ids:
        assert dies("job", job_id, *WAIT)["deliveries"] == 2
    assert ask("job", ids[0], "--retry")["id"] in ids
    dies("job", ids[0], *WAIT)
    assert ask("dead", "discard", *ids, "--yes")["done"] == 2
    assert do("dead", "--type", "chore.nothing") == "no dead letters\n"


def test_dead_letters_are_listed_page_by_page(do, ask, dies):
    """A list ends with the command that shows its next page, with all options of this one."""
    for _ in range(2):
        dies("submit", "chore.closed", *WAIT)
    options = ("--type", "chore.closed", "--limit", "1")
    *_, more = do("dead", *options).splitlines()
    assert more.startswith("more: millstream dead --type chore.closed --limit 1 --cursor ")
    [second] = ask(*more.removeprefix("more: millstream ").split())["items"]
    [first] = ask("dead", *options)["items"]
    assert first["id"] != second["id"]
    assert ask("dead", "redrive", *options, "--yes")["done"] == 1
    dies("job", first["id"], *WAIT)


def test_an_action_on_all_dead_jobs_of_a_type_asks_first(system: System, do, ask, dies):
    """`dead discard` says how many jobs it is about, and does nothing without a yes."""
    ids = {dies("submit", "chore.closed", *WAIT)["id"] for _ in range(2)}
    words = ("dead", "discard", "--type", "chore.closed", "--limit", "1", "--url", system.url)
    refused = run_on_terminal(*words, answer="\n")
    assert (refused.code, refused.lines[-1].endswith("millstream: nothing was done")) == (1, True)
    count = len(ask("dead", "--type", "chore.closed", "--limit", "500")["items"])
    assert any(
        f"Cancel the newest 1 of {count} dead jobs of type chore.closed for good? [y/N]" in line
        for line in refused.lines
    )
    taken = run_on_terminal(*words[:-4], "--url", system.url, answer="y\n")
    assert (taken.code, taken.lines[-1].endswith(f"{count} discarded, 0 refused")) == (0, True)
    assert {ask("job", job_id)["state"] for job_id in ids} == {"cancelled"}
    assert do("dead", "--type", "chore.closed") == "no dead letters\n"
    assert run_on_terminal(*words).lines == ["0 discarded, 0 refused"]


async def test_stack_shows_where_a_running_job_is(system: System, do, ask, folder):
    """`stack` prints where a running job is, or JSON; of one that has ended, and of none, it says so with status 5."""
    job = ask("submit", "chore.gate", json.dumps({"folder": str(folder)}))
    await wait_until(lambda: notes(folder, "started"), "the job runs")
    head, *lines = do("stack", job["id"]).splitlines()
    worker = ask("job", job["id"])["worker"]
    assert head == f"{job['id']}, attempt 1, on {worker}"
    assert lines[0].endswith("in gate")
    assert lines[1] == "    await anyio.sleep(LOOK_EVERY_S)"
    assert ask("stack", job["id"])["worker"] == worker
    (folder / "go").touch()
    ask("job", job["id"], *WAIT)
    for job_id, says in ((job["id"], "the job is succeeded: only one that runs has a stack"), ("x_1", "no such job")):
        result = run("stack", job_id, MILLSTREAM_URL=system.url)
        assert (result.exit_code, result.stdout) == (5, "")
        assert says in result.stderr


async def test_jobs_lists_what_has_not_ended(do, ask, folder):
    """`jobs` lists jobs by state and type, with the worker of a running one, page by page."""
    payload = json.dumps({"folder": str(folder)})
    job = ask("submit", "chore.gate", payload)
    await wait_until(lambda: notes(folder, "started"), "the job runs")
    later = ask("submit", "chore.gate", payload, "--delay", "86400")
    [running] = ask("jobs", "--running", "--type", "chore.gate")["items"]
    assert (running["id"], running["state"]) == (job["id"], "running")
    _, *rows = do("jobs", "--type", "chore.gate").splitlines()[1:]
    found = {row.split()[0]: row.split()[1:] for row in rows}
    assert found.keys() == {job["id"], later["id"]}
    assert (found[job["id"]][0], found[job["id"]][-1]) == ("running", running["worker"])
    assert found[later["id"]][:2] == ["scheduled", "in"]
    assert (
        do("jobs", "--type", "chore.gate", "--limit", "1")
        .splitlines()[-1]
        .startswith("more: millstream jobs --type chore.gate --limit 1 --cursor ")
    )
    ask("job", later["id"], "--cancel")
    (folder / "go").touch()
    ask("job", job["id"], *WAIT)


def test_an_id_is_whole_on_a_narrow_terminal(system: System, ask):
    """`jobs` prints an id whole on a terminal that is narrower than the id."""
    job = ask("submit", "chore.now", "--delay", "86400")
    seen = run_on_terminal("jobs", "--type", "chore.now", "--url", system.url, columns=30)
    assert any(line.startswith(f"{job['id']}  scheduled  in ") for line in seen.lines)
    ask("job", job["id"], "--cancel")


async def test_workers_are_listed_with_what_they_are(do, ask):
    """`workers` lists each worker with its load and its types."""
    found = ask("workers")
    _, _, *rows = do("workers").splitlines()
    assert {row.split()[0] for row in rows} == {worker["name"] for worker in found}
    assert all(" of 100 " in row and "chore.closed, chore.count" in row for row in rows)


def test_top_shows_queues_and_workers(do, ask, system):
    """`top` prints its tables once in a pipe, and on a terminal shows them until `q`, which leaves it as it was."""
    printed = do("top")
    assert "Queues" in printed
    assert "chore.count" in printed
    assert {one["name"] for one in ask("top")["workers"]} == {one["name"] for one in ask("workers")}
    with on_terminal("top", "--url", system.url, columns=120) as terminal:
        terminal.read_until("j k move")
        terminal.type("\r")
        terminal.read_until("jobs that wait, run or are dead")
        terminal.type("\x1b")
        terminal.type("q")
        seen = terminal.read_to_the_end()
    assert seen.code == 0
    assert seen.text.rindex("\x1b[?1049l") > seen.text.index("\x1b[?1049h")


def test_types_are_listed_and_told_one_by_one(do, ask):
    """`types` shows what a type takes, and a command that succeeds as it is printed."""
    assert "chore.count" in {one["type"] for one in ask("types")}
    assert any(line.split()[:4] == ["chore.retried", "3", "none", "Fail"] for line in do("types").splitlines())
    told = do("types", "invoice.send")
    assert ["attempts", "5"] in [line.split() for line in told.splitlines()]
    assert "\npayload\n  invoice_id: integer\n  email: string\n" in told
    command = shlex.split(told.splitlines()[-1].removeprefix("Try: millstream "))
    assert ask(*command)["state"] == "succeeded"
    assert ask("types", "chore.count")["type"] == "chore.count"


def test_a_type_that_is_unknown_is_told_with_the_one_that_was_meant(system: System):
    """`types` refuses an unknown type, and names the one that was probably meant."""
    result = run("types", "chore.cuont", "--url", system.url)
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr == "millstream: no worker has registered this job type; did you mean `chore.count`?\n"


def test_queues_and_doctor(do, ask):
    """`queues` lists the queues, and `doctor` reports on Redis."""
    assert "chore.count" in {queue["type"] for queue in ask("queues")}
    assert "chore.count" in do("queues")
    assert ask("demand", "chore.*")["slots"] > 0
    assert do("demand", "chore.*").split()[-2:] in (["0", "workers"], ["1", "worker"])
    assert ask("doctor")["objections"] == []
    assert "safe for jobs" in do("doctor")
