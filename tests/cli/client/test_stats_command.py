"""`stats` prints what happened in a time, with its lengths of time in words, and what the numbers lack."""

from collections.abc import Iterator
from typing import Any

import pytest
from cli.commands import run
from sdk.client.scripted_api import Reply, ScriptedApi

SPAN = {"from": "2026-03-27T03:00:00Z", "to": "2026-03-27T04:00:00Z", "step_s": 60}
NUMBERS = {"submitted": 1200, "succeeded": 31, "retried": 7, "dead": 2}
LENGTHS = {"wait_p50_ms": 40.0, "wait_p95_ms": 1500.0, "run_p50_ms": 90_000.0, "run_p95_ms": 7_200_000.0}
CELLS = ["1,200", "31", "7", "2", "40", "ms", "1.5", "s", "1.5", "min", "2", "h"]
GAP = {"from": "2026-03-27T03:10:00Z", "to": "2026-03-27T03:20:00Z"}


@pytest.fixture
def api() -> Iterator[ScriptedApi]:
    """Serve a scripted API."""
    server = ScriptedApi()
    yield server
    server.close()


def printed(api: ScriptedApi, *words: str, **answer: Any) -> list[str]:
    """Return the lines of `stats` for an answer."""
    api.script.append(Reply(200, {**SPAN, **answer}))
    result = run("stats", *words, "--url", api.url)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_a_line_has_the_numbers_of_its_time(api: ScriptedApi) -> None:
    """A line has its time, its counts and the median and the 95th percentile of waits and runs, each in its unit."""
    point = {"at": "2026-03-27T03:04:00Z", **NUMBERS, **LENGTHS}
    release = {"at": "2026-03-27T03:05:00Z", "release": "v2\x1b[31m"}
    _, head, line, told, lost = printed(api, points=[point], releases=[release], gaps=[GAP])
    columns = "from (UTC) submitted succeeded retried dead wait p50 p95 run p50 p95"
    assert (head.split(), line.split()) == (columns.split(), ["2026-03-27", "03:04", *CELLS])
    assert told == "2026-03-27 03:05 UTC: release v2\ufffd[31m"
    assert lost == "events were lost from 2026-03-27 03:10 to 2026-03-27 03:20 UTC"


@pytest.mark.parametrize("what", ["submitted", "started", "succeeded", "retried", "dead", "cancelled", "expired"])
def test_a_time_in_which_anything_happened_has_a_line(api: ScriptedApi, what: str) -> None:
    """A step has a line when anything at all happened in it, and none otherwise."""
    points = [{"at": "2026-03-27T03:04:00Z", what: 1}, {"at": "2026-03-27T03:05:00Z"}]
    *_, last = printed(api, points=points)
    assert "03:04" in last
    assert printed(api, points=points[1:]) == ["nothing happened within 1 h"]


@pytest.mark.parametrize("complete", [True, False])
def test_types_have_a_line_each_and_it_is_said_where_some_are_missing(api: ScriptedApi, complete: bool) -> None:
    """By type there is a line for each, and a note where the API has more types than it has answered with."""
    steps = {"submitted_by_step": [], "ended_by_step": [], "failed_by_step": []}
    one = {"type": "a.b", **NUMBERS, **LENGTHS, **steps}
    _, head, line, *more = printed(api, "--by-type", items=[one], complete=complete, gaps=[GAP])
    assert (head.split()[0], line.split()) == ("type", ["a.b", *CELLS])
    note = [] if complete else ["the busiest types only: there are more"]
    assert more == [*note, "events were lost from 2026-03-27 03:10 to 2026-03-27 03:20 UTC"]
