"""The history knows when each worker was seen, and writes it once a minute at most."""

from datetime import timedelta

from history_databases import execute, query
from msgspec.structs import replace

from millstream_contracts import (
    DEFAULT_TENANT,
    Event,
    EventKind,
    JobTransition,
    JobType,
    Queue,
    QueueEvents,
    moment,
    new_job_id,
)
from millstream_history import Rows, open_history, rows_of, with_releases
from millstream_history.projection.worker_spans import AHEAD

QUEUE = Queue(DEFAULT_TENANT, JobType("a"))
MINUTE_MS = 60_000
SPANS = "SELECT worker, first_at, last_at FROM worker_spans ORDER BY worker"


def seen(worker: str, *times_ms: int) -> Rows:
    """Return the rows of transitions by a worker at these times."""
    events = [
        Event(f"{at_ms}-0", EventKind.STARTED, at_ms, worker, [JobTransition(new_job_id(QUEUE), 2, "running", 1)])
        for at_ms in times_ms
    ]
    return rows_of([QueueEvents(QUEUE, events)], {})


async def test_a_worker_is_stored_from_its_first_to_beyond_its_last_transition(history_url: str) -> None:
    """The span of a worker covers each of its transitions, in whatever order they are stored."""
    async with open_history(history_url) as history:
        for rows in (seen("b", 5_000, 9_000), seen("", 1), seen("a\0", 7_000), seen("b", 2_000)):
            await history.store(rows)
        assert await query(history_url, SPANS) == [
            ("a\ufffd", moment(7_000), moment(7_000) + AHEAD),
            ("b", moment(2_000), moment(9_000) + AHEAD),
        ]


async def test_a_worker_is_written_once_a_minute(history_url: str) -> None:
    """A transition within the stored span writes nothing; the first one behind it extends the span."""
    async with open_history(history_url) as history:
        await history.store(seen("w", MINUTE_MS))
        await execute(history_url, "DELETE FROM worker_spans")
        await history.store(seen("w", 2 * MINUTE_MS))
        assert await query(history_url, SPANS) == []
        await history.store(seen("w", 2 * MINUTE_MS + 1))
        [(_, first, last)] = await query(history_url, SPANS)
        assert last - first == AHEAD
        assert timedelta(minutes=1) == AHEAD


async def test_spans_of_two_dispatchers_are_one(history_url: str) -> None:
    """Two dispatchers that store the same worker extend one span."""
    for at_ms in (5_000, 500_000, 1_000):
        async with open_history(history_url) as history:
            await history.store(seen("w", at_ms))
    assert await query(history_url, SPANS) == [("w", moment(1_000), moment(500_000) + AHEAD)]


async def test_the_release_of_a_worker_is_kept(history_url: str) -> None:
    """A release that is known stays where a later span does not know it, and a newer one takes its place."""
    async with open_history(history_url) as history:
        for number, releases in enumerate(({}, {"w": "1.4\0"}, {"v": "9"}, {"w": "1.5"}), 1):
            rows = seen("w", 2 * number * MINUTE_MS)
            await history.store(replace(rows, spans=with_releases(rows.spans, releases)))
            found = await query(history_url, "SELECT release FROM worker_spans")
            assert found == [([None, "1.4\ufffd", "1.4\ufffd", "1.5"][number - 1],)]


async def test_releases_come_with_their_first_worker(history_url: str) -> None:
    """A release came when its first worker was seen; the oldest of all took the place of none and did not come."""
    async with open_history(history_url) as history:
        for minute, worker, release in (
            (1, "a", "1.0"),
            (5, "b", "1.1"),
            (9, "c", "1.1"),
            (20, "d", "1.2"),
            (21, "e", ""),
        ):
            rows = seen(worker, minute * MINUTE_MS)
            await history.store(replace(rows, spans=with_releases(rows.spans, {worker: release})))
        for begin, end, wanted in ((0, 60, ["1.1", "1.2"]), (6, 20, []), (5, 21, ["1.1", "1.2"])):
            found = await history.statistics.releases(
                DEFAULT_TENANT, moment(begin * MINUTE_MS), moment(end * MINUTE_MS)
            )
            assert [one.release for one in found] == wanted
        assert found[0].at == moment(5 * MINUTE_MS)
        assert await history.statistics.releases("another", moment(0), moment(60 * MINUTE_MS)) == []
