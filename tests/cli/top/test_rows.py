"""The rows of `top`: each number in its column, with its unit, and nothing where nothing is known."""

from datetime import timedelta

import pytest
from cli.top.snapshots import HOSTILE, NOW, group, queue, snapshot, worker
from msgspec.structs import replace

from millstream_cli.top.rows import COLUMNS, UNKNOWN, cells_of, job_cells
from millstream_cli.top.view import Table
from millstream_cli.wording import printable
from millstream_contracts import ErrorPlace, Job, JobError, JobId, JobState, JobType, RunningJob

ONE_MINUTE = timedelta(minutes=1)


def row(one: object, table: str, *, has_past: bool = True) -> dict[str, str]:
    """Return the cells of a row by their columns."""
    return dict(zip(COLUMNS[table], cells_of(one, snapshot(has_past=has_past)), strict=True))


def test_a_queue_shows_what_waits_runs_and_ended() -> None:
    """A queue has the sum of its priorities, its oldest ready job, and rates a minute of the history."""
    one = replace(queue("t.0"), queued={"high": 1, "normal": 1200, "low": 3}, running=2, scheduled=3, dead=4)
    found = row(replace(one, oldest_ready_age_s=90.0, paused=True), Table.QUEUES)
    assert found == {
        "type": "t.0", "ready": "1,204", "running": "2", "scheduled": "3", "dead": "4", "oldest": "1.5 min",
        "ended/min": "11", "failed/min": "1.0", "": "paused",
    }  # fmt: skip
    quiet = row(queue("other"), Table.QUEUES)
    assert (quiet["oldest"], quiet["ended/min"], quiet["failed/min"], quiet[""]) == ("", "0", "0", "")
    unknown = row(queue("t.0"), Table.QUEUES, has_past=False)
    assert (unknown["ended/min"], unknown["failed/min"]) == (UNKNOWN, UNKNOWN)


def test_rates_are_those_of_the_time_that_has_passed() -> None:
    """A rate goes by the minutes up to now, also where the step of the history has not ended; a minute at the least."""
    for now, end, minutes in ((NOW, NOW, 2.0), (NOW - timedelta(seconds=30), NOW, 1.5), (NOW, NOW - ONE_MINUTE, 1.0)):
        shown = snapshot()
        assert shown.past is not None
        by_type = replace(shown.past.by_type, end=end)
        shown = replace(shown, at=now, past=replace(shown.past, by_type=by_type))
        assert shown.rates_of("t.0") == (22 / minutes, 2 / minutes)
    just = replace(shown, at=NOW - timedelta(minutes=2))
    assert just.rates_of("t.0") == (22.0, 2.0)


def test_rates_of_a_type_that_the_history_did_not_get_to_are_unknown() -> None:
    """A type that is missing among the busiest has unknown rates where the history has more types than it told."""
    shown = snapshot()
    assert shown.past is not None
    partial = replace(shown, past=replace(shown.past, by_type=replace(shown.past.by_type, complete=False)))
    assert (shown.rates_of("other"), partial.rates_of("other")) == ((0.0, 0.0), None)
    assert partial.rates_of("t.0") == (11.0, 1.0)


def test_a_worker_shows_how_busy_it_is_and_its_longest_job() -> None:
    """A worker has its memory in MiB, the lag of its loop, and the job that has run for the longest time."""
    running = [RunningJob(f"a_{age}", NOW - timedelta(seconds=age)) for age in (250, 30, 4)]
    one = replace(worker(HOSTILE), busy=3, running=running, loop_lag_ms=1500.0, seen_at=NOW - timedelta(seconds=2))
    found = row(one, Table.WORKERS)
    assert (found["worker"], found["busy"], found["memory"]) == (printable(HOSTILE), "3 of 10", "84 MiB")
    assert (found["loop lag"], found["seen"], found["longest job"]) == ("1.5 s", "2 s ago", "4.2 min  a_250")
    idle = row(replace(one, running=[], rss_bytes=None, loop_lag_ms=None), Table.WORKERS)
    assert (idle["memory"], idle["loop lag"], idle["longest job"]) == ("", "", "")


@pytest.mark.parametrize("died_s", [60, None])
def test_a_group_of_dead_jobs_shows_its_last_death_and_what_it_died_of(died_s: int | None) -> None:
    """A group has the time of its last death, or of when it was last seen, its place and its error on one line."""
    last = None if died_s is None else NOW - timedelta(seconds=died_s)
    one = replace(group("t.0", "no\x1b[2J room"), last_seen=NOW - timedelta(hours=2), last_died_at=last, count=1234)
    found = row(replace(one, place=ErrorPlace("shop.py", 7, "send")), Table.DEAD)
    assert (found["type"], found["dead"], found["place"]) == ("t.0", "1,234", "shop.py:7")
    assert found["last"] == ("1 min ago" if died_s else "2 h ago")
    assert "\x1b" not in found["error"]
    assert "room" in found["error"]
    bare = replace(one, sample=replace(one.sample, error=None))
    assert (row(bare, Table.DEAD)["place"], row(bare, Table.DEAD)["error"]) == ("", "f1")


def test_a_job_shows_its_age_and_its_error() -> None:
    """A job has its state, its attempts, its age and the beginning of its error."""
    job = Job(
        id=JobId("a_1"), type=JobType("a"), state=JobState.DEAD, attempts=1204, created_at=NOW - timedelta(minutes=5),
        error=JobError("ValueError", "no room"),
    )  # fmt: skip
    assert job_cells(job, NOW)[:4] == ("a_1", "dead", "1,204", "5 min ago")
    assert "no room" in job_cells(job, NOW)[4]
