"""`jobs search`, `job --timeline` and `dead groups` show what the API answers, and point at a fault in a query."""

from collections.abc import Iterator

import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi, job_body, problem

from millstream_cli.exit_codes import ExitCode

MOMENT = "2026-01-02T03:04:05Z"


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def said(api: ScriptedApi, *words: str, code: int = 0) -> str:
    """Return the output of a command, which must end with this status."""
    result = run(*words, "--url", api.url)
    assert result.exit_code == code, result.output
    return result.output


def page(*jobs: dict, **fields) -> Reply:
    """Return a page of a search."""
    return Reply(200, {"items": list(jobs), "next_cursor": None, **fields})


def test_a_search_shows_its_jobs_and_how_many_there_are(api):
    """A search prints a row for each job, the count as exact as it is, and the command for the next page."""
    error = {"type": "shop.MailError", "message": "refused"}
    count = {"value": 12_345, "relation": "~"}
    api.script.append(page(job_body("x_1", "dead", error=error), next_cursor="h.a", count=count))
    output = said(api, "jobs", "search", "state:dead tag.a:b", "--count", "--tag", "customer=c1", "--limit", "1")
    assert "MailError: refused" in output
    assert "about 12,345 in all" in output
    assert "jobs search 'state:dead tag.a:b' --tag customer=c1 --count --limit 1" in " ".join(output.split())
    assert "--cursor h.a" in output
    query = api.received[-1].query
    assert {name: query[name][0] for name in ("q", "tag.customer", "count", "limit")} == {
        "q": "state:dead tag.a:b",
        "tag.customer": "c1",
        "count": "1",
        "limit": "1",
    }


def test_a_search_goes_on_while_pages_have_no_time(api):
    """A search follows pages that ran out of time until its own page is full."""
    api.script.extend([page(next_cursor="h.a", complete=False), page(job_body("x_1")), page(job_body("x_2"))])
    output = said(api, "jobs", "search", "worker:w")
    assert "x_1" in output
    assert "x_2" not in output
    assert [request.query.get("cursor") for request in api.received] == [None, ["h.a"]]


def test_a_search_that_takes_too_long_says_how_far_it_has_come(api, monkeypatch):
    """A search that is not done in its time says so, and how far back it has looked."""
    monkeypatch.setattr("millstream_cli.client.jobs_commands.SEARCH_FOR_S", 0.0)
    api.script.append(page(next_cursor="h.a", complete=False, searched_until=MOMENT, history_lag_s=61.0))
    output = said(api, "jobs", "search", "worker:w")
    assert "no jobs so far" in output
    assert "searched back to 2026-01-02 03:04:05 UTC only" in output
    assert "the history is 61 s behind" in output


def test_an_empty_search_says_why(api):
    """A search that finds nothing prints the hint of the API."""
    api.script.append(page(hint="no known job type fits `emial.*`"))
    assert said(api, "jobs", "search", "type:emial.*").splitlines() == ["no jobs", "no known job type fits `emial.*`"]


@pytest.mark.parametrize(
    ("q", "position", "end", "caret"),
    [
        ("state:failed", 6, 12, "        ^^^^^^"),
        ("error:日本 state:x", 15, 16, "                   ^"),
        ("state:", 6, 7, "        ^"),
    ],
)
def test_an_error_points_at_its_place(api, q, position, end, caret):
    """A query without meaning is printed with a mark below the fault, and with what may have been meant."""
    fault = {
        "pointer": "#/query/q",
        "detail": "there is no state",
        "position": position,
        "end": end,
        "hint": "is it x?",
    }
    api.script.append(problem(422, "The search means nothing", errors=[fault]))
    lines = said(api, "jobs", "search", q, code=ExitCode.REFUSED).splitlines()
    assert lines == ["millstream: there is no state; is it x?", f"millstream:   {q}", f"millstream: {caret}"]


def test_options_stand_behind_the_subcommand(api):
    """Options before `search` are refused, because they would be ignored."""
    result = run("jobs", "--limit", "3", "search")
    assert result.exit_code == ExitCode.USAGE
    assert "write --limit after `search`" in result.output


def test_a_timeline_has_attempts_with_their_tracebacks(api):
    """The timeline of a job has its transitions and its attempts, each with its traceback, and says what is missing."""
    error = {"type": "shop.MailError", "message": "refused", "traceback": "  File x\nshop.MailError: refused\n"}
    lengths = {"waited_ms": 5, "ran_ms": 2_500}
    attempts = [
        {"n": 1, "started_at": MOMENT, **lengths, "outcome": "retrying", "worker": "w1", "error": error},
        {"n": 2, "started_at": MOMENT, "outcome": "running"},
    ]  # fmt: skip
    items = [{"at": MOMENT, "kind": "started", "state": "running", "version": 2, "worker": "w1", "detail": None}]
    api.script.append(Reply(200, {"id": "x_1", "items": items, "attempts": attempts, "complete": False}))
    output = said(api, "job", "x_1", "--timeline")
    assert "2  2026-01-02 03:04:05.000  started  running  w1" in output
    assert (
        "delivery 1: retrying after 2.5 s on w1, after a wait of 5 ms\n    File x\n  shop.MailError: refused" in output
    )
    assert "delivery 2: running" in output
    assert "some transitions are missing" in output
    assert run("job", "x_1", "--timeline", "--wait", "1").exit_code == ExitCode.USAGE


def test_groups_of_dead_jobs_are_listed(api):
    """Groups of dead jobs are a table, with the search that finds the jobs of one."""
    error = {"type": "shop.MailError", "message": "refused"}
    group = {"type": "a.b", "fingerprint": "v2:f", "count": 1200, "first_seen": MOMENT, "last_seen": MOMENT, "live": 3}
    api.script.append(Reply(200, {"items": [{**group, "sample": {"id": "x_1", "error": error}}], "complete": False}))
    output = said(api, "dead", "groups", "--since", "24")
    assert "1,200     3  a.b   v2:f" in output
    assert "MailError: refused" in output
    assert "counted in the last day only" in output
    assert "jobs search 'state:dead fingerprint:v2:f'" in output
    assert api.received[-1].query["since"] == ["86400s"]


@pytest.mark.parametrize(("asked", "sent"), [({}, "masked"), ({"MILLSTREAM_SHOW_SECRETS": "true"}, None)])
def test_commands_show_no_secrets_unless_they_are_asked_to(api: ScriptedApi, asked: dict[str, str], sent: str | None):
    """A command asks for masked answers: what is on a terminal is soon in a ticket."""
    api.script.append(Reply(200, job_body("x_1")))
    assert run("job", "x_1", "--url", api.url, **asked).exit_code == 0
    assert api.received[-1].headers.get("millstream-secrets") == sent
