"""Lists and reports of the command line have each number in its column and in its unit."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi, job_body

from millstream import DeadGroup
from millstream_cli.client.connection import RETRY_FOR_S
from millstream_cli.client.dead_commands import releases_of
from millstream_cli.client.jobs_commands import LAG_TOLD_S, SEARCH_FOR_S
from millstream_cli.client.tail_command import RETRY_FOR_S as TAIL_RETRIES_FOR_S
from millstream_cli.client.tenant_commands import LOOK_EVERY_S
from millstream_cli.exit_codes import ExitCode
from millstream_contracts import DeadSample, JobId, JobType

MOMENT = "2026-03-27T03:04:05Z"
ID = "BA_0001KBCSZ4000ABCDEFGHJKMNP"


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def hours_ago(hours: float) -> str:
    """Return a moment of the past, as the API has it."""
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


def lines(api: ScriptedApi, *words: str, answer: Any, code: int = 0) -> list[list[str]]:
    """Return the lines of a command for an answer, in words."""
    api.script.append(Reply(200, answer))
    result = run(*words, "--url", api.url)
    assert result.exit_code == code, result.output
    return [line.split() for line in result.stdout.splitlines()]


def test_times_of_the_commands_have_their_magnitude() -> None:
    """A person learns soon that the API is away; who follows events outlasts a restart; a search has some seconds."""
    assert 1.0 <= RETRY_FOR_S <= 5.0
    assert 30.0 <= TAIL_RETRIES_FOR_S <= 300.0
    assert 5.0 <= SEARCH_FOR_S <= 30.0
    assert 1.0 <= LAG_TOLD_S <= 15.0
    assert 0.2 <= LOOK_EVERY_S <= 2.0


def test_workers_are_listed_with_memory_and_lag(api: ScriptedApi) -> None:
    """A worker has its slots, its memory in MiB, the lag of its loop, and when it began and was seen."""
    one = {
        "name": "h:1", "types": ["b", "a"], "concurrency": 40, "busy": 3, "rss_bytes": 84 << 20, "loop_lag_ms": 1500.0,
        "started_at": hours_ago(2), "seen_at": hours_ago(0), "state": "active",
    }  # fmt: skip
    found = lines(api, "workers", answer={"items": [one, {**one, "rss_bytes": None, "loop_lag_ms": None}]})
    assert found[2] == ["h:1", "active", "3", "of", "40", "84", "MiB", "1.5", "s", "2", "h", "ago", "now", "a,", "b"]
    assert found[3] == ["h:1", "active", "3", "of", "40", "2", "h", "ago", "now", "a,", "b"]


def test_demand_has_each_number_under_its_name(api: ScriptedApi) -> None:
    """Demand says how many jobs wait, run and are due soon, how old the oldest is, and how many workers are wanted."""
    answer = {"queued": 12, "running": 3, "due_soon": 4, "oldest_ready_age_s": 90.0, "slots": 10, "wanted_workers": 1}
    shown = [["queued", "12"], ["running", "3"], ["due", "soon", "4"], ["oldest", "1.5", "min"], ["slots", "10"]]
    assert lines(api, "demand", answer=answer) == [*shown, ["wanted", "1", "worker"]]
    found = lines(api, "demand", answer={**answer, "queued": 0, "oldest_ready_age_s": 0.0, "wanted_workers": 2})
    assert found[3:] == [["oldest", "none", "waits"], ["slots", "10"], ["wanted", "2", "workers"]]


def test_queues_are_listed_with_what_they_hold(api: ScriptedApi) -> None:
    """A queue has its ready jobs by priority, and the jobs that are held back, run, are scheduled, blocked and dead."""
    one = {
        "type": "a.b", "partitions": 1, "queued": {"high": 1, "normal": 2, "low": 3}, "parked": 4, "running": 5,
        "scheduled": 6, "blocked": 7, "dead": 8, "oldest_ready_age_s": 90.0,
    }  # fmt: skip
    for fields, trouble in (
        ({}, ""),
        ({"paused": True, "breaker": "open"}, "paused"),
        ({"breaker": "open", "held_until": hours_ago(-2)}, "breaker open"),
        ({"breaker": "closed", "held_until": hours_ago(0)}, "held for 0 ms"),
    ):
        found = lines(api, "queues", answer={"items": [{**one, **fields}]})
        assert found[2] == f"a.b 1 2 3 4 5 6 7 8 1.5 min {trouble}".split()


def test_incidents_say_since_when(api: ScriptedApi) -> None:
    """An incident has when it began, how many notices were sent, and what is wrong."""
    one = {"rule": "workers", "about": "", "opened_at": hours_ago(2), "notices": 3, "summary": "none"}
    assert lines(api, "incidents", answer={"items": [one]})[2] == ["workers", "2", "h", "ago", "3", "none"]


@pytest.mark.parametrize(
    ("state", "field", "since"),
    [
        ("running", "started_at", "2 h ago"),
        ("scheduled", "run_at", "in 1.5 h"),
        ("dead", "finished_at", "2 h ago"),
        ("succeeded", "finished_at", "2 h ago"),
        ("cancelled", "finished_at", "2 h ago"),
        ("expired", "finished_at", "2 h ago"),
        ("queued", "", "5 h ago"),
    ],
)
def test_a_job_is_listed_by_the_moment_that_its_state_is_about(
    api: ScriptedApi, state: str, field: str, since: str
) -> None:
    """A running job tells when it started, a scheduled one when it is due, an ended one when it ended."""
    at = hours_ago(-1.5 if state == "scheduled" else 2)
    one = {
        **job_body("a_1"),
        "state": state,
        "created_at": hours_ago(5),
        "attempts": 2,
        **({field: at} if field else {}),
    }
    found = lines(api, "jobs", "search", answer={"items": [one], "next_cursor": None})
    assert found[2] == ["a_1", state, *since.split(), "2"]


def test_a_search_goes_on_where_its_page_had_no_time(api: ScriptedApi) -> None:
    """Pages that had no time are filled up to the limit that was asked for, and the count is that of the first."""
    first = {
        "items": [job_body("a_1")], "next_cursor": "h.1", "complete": False, "count": {"value": 9, "relation": "~"},
        "hint": "is it x?",
    }  # fmt: skip
    second = {"items": [job_body("a_2")], "next_cursor": None, "complete": True, "count": None}
    api.script.extend([Reply(200, first), Reply(200, second)])
    result = run("jobs", "search", "type:a", "--limit", "3", "--url", api.url)
    assert result.exit_code == 0, result.output
    assert [one.query["limit"] for one in api.received] == [["3"], ["2"]]
    assert api.received[1].query["cursor"] == ["h.1"]
    assert all(word in result.stdout for word in ("a_1", "a_2", "about 9 in all"))
    assert "is it x?" not in result.stdout


@pytest.mark.parametrize(
    ("relation", "told"), [("exact", "1,200"), ("~", "about 1,200"), ("at_least", "at least 1,200")]
)
def test_a_count_says_how_sure_it_is(api: ScriptedApi, relation: str, told: str) -> None:
    """A count is told as exact, as an estimate, or as the least that there are."""
    answer = {"items": [job_body("a_1")], "next_cursor": None, "count": {"value": 1200, "relation": relation}}
    assert lines(api, "jobs", "search", "--count", answer=answer)[-1] == f"{told} in all".split()


@pytest.mark.parametrize(("lag_s", "is_told"), [(4.9, False), (5.0, True), (None, False)])
def test_a_lag_of_the_history_is_told_from_some_seconds_on(
    api: ScriptedApi, lag_s: float | None, is_told: bool
) -> None:
    """A search says that the history is behind where what was just submitted may be missing."""
    found = lines(api, "jobs", "search", answer={"items": [], "next_cursor": None, "history_lag_s": lag_s})
    assert (["the", "history", "is", "5", "s", "behind"] in found) is is_told


def test_a_hint_is_for_a_search_that_has_found_nothing(api: ScriptedApi) -> None:
    """What may have been meant is said where nothing was found, and not below what was."""
    answer = {"items": [job_body("a_1")], "next_cursor": None, "hint": "is it x?"}
    assert ["is", "it", "x?"] not in lines(api, "jobs", "search", "type:a", answer=answer)
    assert ["is", "it", "x?"] in lines(api, "jobs", "search", "type:a", answer={**answer, "items": []})


@pytest.mark.parametrize(
    "words",
    [
        ("--fresh",),
        ("--cancel", "--fresh"),
        ("--steps", "--wait", "1"),
        ("--logs", "--wait", "1"),
        ("--timeline", "--wait", "1"),
        ("--priority", "high", "--cancel"),
        ("--priority", "high", "--retry"),
    ],
)
def test_options_of_a_job_that_exclude_each_other_are_refused(api: ScriptedApi, words: tuple[str, ...]) -> None:
    """Options of which one would be ignored beside the other are refused before anything is sent."""
    result = run("job", "a_1", *words, "--url", api.url)
    assert result.exit_code == ExitCode.USAGE
    assert "--" in result.stderr.splitlines()[-1]
    assert api.received == []


@pytest.mark.parametrize(
    "words", [("--unique-scope", "running"), ("--unique-window", "5"), ("--on-conflict", "reject")], ids=" ".join
)
def test_options_of_a_unique_key_need_the_key(api: ScriptedApi, words: tuple[str, ...]) -> None:
    """What says how a unique key is held is refused without one, and not ignored."""
    result = run("submit", "a.b", *words, "--url", api.url)
    assert result.exit_code == ExitCode.USAGE
    assert "go with --unique" in result.stderr
    assert api.received == []


@pytest.mark.parametrize(("words", "code"), [(("--cancel",), ExitCode.DONE), ((), ExitCode.FAILED)])
def test_a_job_that_was_to_be_cancelled_is_no_failure(api: ScriptedApi, words: tuple[str, ...], code: int) -> None:
    """A wait for the end of a job that this command cancels succeeds with it; another wait for it fails."""
    asked, ended = ({**job_body("a_1"), "state": state} for state in ("running", "cancelled"))
    api.script.extend([Reply(200, asked), Reply(200, ended)] if words else [Reply(200, ended)] * 2)
    result = run("job", "a_1", *words, "--wait", "30", "--url", api.url)
    assert result.exit_code == code, result.output
    assert ["state", "cancelled"] in [line.split() for line in result.stdout.splitlines()]


def test_releases_of_a_group_are_told_once_and_in_order() -> None:
    """A group of dead jobs tells its first and its last release; one alone where both are the same or one is known."""
    now = datetime.now(UTC)

    def told(first: str, last: str) -> str:
        return releases_of(
            DeadGroup(
                type=JobType("a"),
                fingerprint="f",
                count=1,
                first_seen=now,
                last_seen=now,
                sample=DeadSample(JobId("a_1"), None),
                first_release=first,
                last_release=last,
            )
        )

    assert [told("1", "2"), told("1", "1"), told("", "2"), told("", "")] == ["1 to 2", "1", "2", ""]


@pytest.mark.parametrize("ends", [True, False])
def test_a_batch_tells_its_times_and_its_callbacks(api: ScriptedApi, ends: bool) -> None:
    """A batch tells when it began, when it closes, how long it took, and how far each of its callbacks is."""
    batch = {
        "id": ID, "name": "import", "state": "succeeded", "total": 1, "counts": {"succeeded": 1}, "created_at": MOMENT,
        "callbacks": {
            "on_complete": {"job": "r_1", "fired": True}, "on_success": {"job": "m_1", "fired": True, "submitted": True}
        },
        **({"finished_at": "2026-03-27T05:04:05Z"} if ends else {"expires_at": "2026-03-28T03:04:05Z"}),
    }  # fmt: skip
    found = lines(api, "batches", "close", ID, answer=batch)
    assert ["on", "complete", "r_1", "(about", "to", "be", "submitted)"] in found
    assert ["on", "success", "m_1"] in found
    assert (["ended", "2026-03-27", "05:04:05", "UTC,", "after", "2", "h"] in found) is ends
    assert (["closes", "2026-03-28", "03:04:05", "UTC"] in found) is not ends


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("stalled", 1)])
def test_a_batch_that_is_waited_for_is_shown_as_it_ended(api: ScriptedApi, state: str, code: int) -> None:
    """`batches show --wait` waits for the end, shows it with members of the page asked for, and has its status."""
    batch = {"id": ID, "name": "n", "state": "running", "total": 1, "counts": {}, "created_at": MOMENT}
    api.script.extend([Reply(200, batch), Reply(200, {**batch, "state": state})])
    api.script.append(Reply(200, {"items": [{"job": "a_1", "state": "dead"}], "next_cursor": None}))
    words = ("--wait", "30", "--state", "dead", "--cursor", "c", "--limit", "7")
    result = run("batches", "show", ID, *words, "--url", api.url)
    assert result.exit_code == code, result.output
    assert ["state", state] in [line.split() for line in result.stdout.splitlines()]
    assert api.received[-1].query == {"state": ["dead"], "cursor": ["c"], "limit": ["7"]}


def test_next_occasions_are_as_many_as_are_asked_for(api: ScriptedApi) -> None:
    """`schedules next -n` asks for that many occasions."""
    schedule = {
        "name": "n", "state": "active", "version": 1, "job": {"type": "a"}, "cron": "@daily", "created_at": MOMENT,
        "updated_at": MOMENT,
    }  # fmt: skip
    api.script.append(Reply(200, schedule))
    api.script.append(Reply(200, {"items": []}))
    assert run("schedules", "next", "n", "-n", "7", "--url", api.url).exit_code == 0
    assert api.received[-1].query == {"n": ["7"]}


def test_a_schedule_tells_what_it_has_done_and_why_it_fails(api: ScriptedApi) -> None:
    """A schedule tells how many occasions fired, were skipped, missed and refused, and its last error."""
    answer = {
        "name": "n", "state": "active", "version": 1, "job": {"type": "a"}, "cron": "@daily", "created_at": MOMENT,
        "updated_at": MOMENT, "error": "no\x1b such type", "late_s": 90.0,
        "counts": {"fired": 1, "skipped": 2, "missed": 3, "failed": 4},
    }  # fmt: skip
    found = lines(api, "schedules", "show", "n", answer=answer)
    assert ["so", "far", "1", "fired,", "2", "skipped,", "3", "missed,", "4", "refused"] in found
    assert ["error", "no�", "such", "type"] in found


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ("delivered", "the job goes on"),
        ("kept", "the job keeps it until it waits for it"),
        ("replayed", "an earlier request with this key has sent it"),
    ],
)
def test_a_signal_tells_what_became_of_it(api: ScriptedApi, outcome: str, told: str) -> None:
    """`jobs signal` tells whether the job goes on, will find the signal, or had it already."""
    answer = {"id": "a_1", "name": "go", "outcome": outcome}
    assert lines(api, "jobs", "signal", "a_1", "go", answer=answer) == [f"go: {told}".split()]


def test_steps_tell_which_signals_wait(api: ScriptedApi) -> None:
    """`job --steps` has each step with its size, the signal that the job waits for, and those that it has not taken."""
    step = {"name": "charge", "kind": "step", "saved_at": MOMENT, "version": "2", "size_bytes": 1204}
    answer = {"id": "a_1", "steps": [step], "waiting_for": "paid", "kept_signals": ["undo", "stop"]}
    found = lines(api, "job", "a_1", "--steps", answer=answer)
    assert found[2:] == [
        ["charge", "(version", "2)", "step", "2026-03-27", "03:04:05", "UTC", "1,204"],
        ["waits", "for", "the", "signal", "paid"],
        ["has", "not", "taken", "the", "signal", "undo", "yet"],
        ["has", "not", "taken", "the", "signal", "stop", "yet"],
    ]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "enabled"),
        ({"failing_since": MOMENT}, "failing"),
        ({"failing_since": MOMENT, "disabled_at": MOMENT, "disabled_reason": "by hand"}, "disabled: by hand"),
    ],
)
def test_a_webhook_tells_whether_it_works(api: ScriptedApi, fields: dict[str, str], state: str) -> None:
    """An endpoint is enabled, fails, or is disabled for a reason."""
    one = {
        "id": "W1",
        "url": "https://a.example/",
        "types": ["*"],
        "events": ["dead"],
        "payloads": False,
        "description": "",
        "created_at": MOMENT,
        **fields,
    }
    assert f"state {state}".split() in lines(api, "webhooks", "show", "W1", answer=one)


@pytest.mark.parametrize(("hours", "told"), [(-2, None), (2, "expired"), (0, "expired")])
def test_a_key_that_has_expired_says_so(api: ScriptedApi, hours: float, told: str | None) -> None:
    """A key tells when it expires, and from then on that it has."""
    one = {
        "id": "K1", "name": "ci", "role": "admin", "scopes": [], "created_at": MOMENT, "expires_at": hours_ago(hours)
    }  # fmt: skip
    ends = told or f"{datetime.fromisoformat(one['expires_at']):%Y-%m-%d %H:%M} UTC"
    assert f"expires {ends}".split() in lines(api, "keys", "show", "K1", answer=one)


def test_a_workflow_tells_how_long_it_took_and_what_its_nodes_wait_for(api: ScriptedApi) -> None:
    """A workflow has its length, a node the first five that it waits for, and a map how many items are done."""
    workflow = {
        "id": "WF_0001KBCSZ4000ABCDEFGHJKMNP", "name": "n", "state": "succeeded", "counts": {"succeeded": 2},
        "created_at": MOMENT, "finished_at": "2026-03-27T03:04:35Z",
    }  # fmt: skip
    waiting = {"name": "z", "type": "a", "state": "waiting", "waits_for": [f"n{number}" for number in range(7)]}
    items = {
        "name": "m",
        "type": "a",
        "state": "started",
        "items": {"total": 1200, "counts": {"succeeded": 7, "dead": 1}},
    }
    open_map = {**items, "items": {"total": None, "counts": {}}}
    nodes = [waiting, items, open_map]
    found = lines(api, "workflows", "show", "x", answer={"workflow": workflow, "nodes": nodes, "next_cursor": None})
    assert ["ended", "2026-03-27", "03:04:35", "UTC,", "after", "30", "s"] in found
    assert ["z", "waiting", "a", "waits", "for", "n0,", "n1,", "n2,", "n3,", "n4", "and", "2", "more"] in found
    assert ["m", "started", "a", "7/1,200", "items"] in found
    assert ["m", "started", "a", "0/?", "items"] in found


@pytest.mark.parametrize("complete", [True, False])
def test_a_list_of_workflows_says_where_the_history_is_missing(api: ScriptedApi, complete: bool) -> None:
    """Without the history the list says that workflows may be missing, on stderr, beside what it has."""
    api.script.append(Reply(200, {"items": [], "next_cursor": None, "complete": complete}))
    result = run("workflows", "--url", api.url)
    assert ("the history cannot be read now" in result.stderr) is not complete
