"""Statistics count each transition once, in its minute and hour, with how long jobs waited and ran."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from history_databases import execute, query
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import (
    DEFAULT_TENANT,
    Event,
    EventKind,
    Happened,
    JobTransition,
    JobType,
    Queue,
    QueueEvents,
    Tenant,
    new_job_id,
)
from millstream_history import History, open_history, rows_of
from millstream_history.statistics.buckets import bucket_of, middle_of, percentile
from millstream_history.statistics.windows import HOURS_KEPT, MINUTES_KEPT

QUEUE = Queue(DEFAULT_TENANT, JobType("invoice.send"))
NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
NOON_MS = round(NOON.timestamp() * 1000)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MINUTE_MS = 60_000
RECOUNT = (
    "SELECT tenant, split_part(job_id, '_', 1), date_trunc('{step}', at, 'UTC'), kind, count(*), "
    "coalesce(sum(coalesce(waited_ms, ran_ms)), 0) FROM transitions GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
)
COUNTED = (
    "SELECT tenant, type, at, kind, sum(n)::bigint, sum(sum_ms)::bigint FROM {table} "
    "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
)


@pytest.fixture
async def history(history_url: str) -> AsyncIterator[History]:
    """Yield an open history database."""
    async with open_history(history_url) as opened:
        yield opened


def lives(
    count: int, *, at_ms: int = NOON_MS, queue: Queue = QUEUE, waited_ms: int = 20, ran_ms: int = 500
) -> QueueEvents:
    """Return events of jobs that are submitted, start and succeed, a second apart."""
    ids = [new_job_id(queue) for _ in range(count)]
    kinds = ((EventKind.SUBMITTED, "queued"), (EventKind.STARTED, "running"), (EventKind.SUCCEEDED, "succeeded"))
    events = []
    for version, (kind, state) in enumerate(kinds, start=1):
        waited = waited_ms if kind is EventKind.STARTED else None
        ran = ran_ms if kind is EventKind.SUCCEEDED else None
        jobs = [JobTransition(job_id, version, state, 1, "", 1, waited, ran) for job_id in ids]
        events.append(Event(f"{version}-0", kind, at_ms + 1000 * version, "w", jobs))
    return QueueEvents(queue, events)


async def check_counts(url: str) -> None:
    """Check that minutes and hours equal a recount of all transitions."""
    for table, step in (("stats_minutes", "minute"), ("stats_hours", "hour")):
        counted = await query(url, COUNTED.format(table=table))
        assert counted == await query(url, RECOUNT.format(step=step))
        assert counted


async def test_transitions_are_counted_by_minute_and_by_hour(history: History, history_url: str) -> None:
    """Each transition counts in its minute and hour, by tenant, type and kind."""
    others = [Queue(Tenant("acme"), QUEUE.type), Queue(DEFAULT_TENANT, JobType("sms.send"))]
    for number, queue in enumerate((QUEUE, *others, QUEUE)):
        await history.store(rows_of([lives(3, at_ms=NOON_MS + 25 * number * MINUTE_MS, queue=queue)], {}))
    await check_counts(history_url)


async def test_a_batch_that_is_stored_again_counts_once(history: History, history_url: str) -> None:
    """A replay of a whole batch, of a part of it, or of more than it, counts what is new alone."""
    first, second = lives(5), lives(5, at_ms=NOON_MS + MINUTE_MS)
    for batches in ([first], [first], [first, second], [second, first]):
        await history.store(rows_of(batches, {}))
    await check_counts(history_url)
    assert await query(history_url, "SELECT sum(n)::int FROM stats_minutes") == [(30,)]


async def test_an_event_that_stands_twice_in_a_batch_counts_once(history: History, history_url: str) -> None:
    """A batch that has one event twice counts it once, in partitions too."""
    await history.days.make(NOON.date() if abs((NOON - datetime.now(UTC)).days) < 30 else datetime.now(UTC).date())
    events = lives(4)
    await history.store(rows_of([events, events], {}))
    await check_counts(history_url)


async def test_dispatchers_that_store_the_same_events_at_once_count_them_once(history_url: str) -> None:
    """Several dispatchers that store the same batches at the same time count each transition once."""
    batches = [lives(20, at_ms=NOON_MS + number * MINUTE_MS) for number in range(6)]

    async def store_all(order: list[QueueEvents]) -> None:
        async with open_history(history_url) as history:
            for one in order:
                await history.store(rows_of([one], {}))

    async with anyio.create_task_group() as tasks:
        for order in (batches, batches[::-1], batches[3:] + batches[:3]):
            tasks.start_soon(store_all, order)
    await check_counts(history_url)
    assert await query(history_url, "SELECT sum(n)::int FROM stats_hours") == [(6 * 60,)]


async def test_a_point_has_the_counts_of_its_step(history: History) -> None:
    """Points cover the time without gaps, and each has the counts and percentiles of its step."""
    for minute, waited_ms in ((0, 10), (1, 1000), (5, 10)):
        await history.store(rows_of([lives(10, at_ms=NOON_MS + minute * MINUTE_MS, waited_ms=waited_ms)], {}))
    points = await history.statistics.points(
        DEFAULT_TENANT, QUEUE.type, begin=NOON, end=NOON + 6 * MINUTE, step=2 * MINUTE
    )
    assert [point.at for point in points] == [NOON, NOON + 2 * MINUTE, NOON + 4 * MINUTE]
    assert [(point.submitted, point.started, point.succeeded) for point in points] == [(20,) * 3, (0,) * 3, (10,) * 3]
    assert points[0].wait_p50_ms == pytest.approx(10, rel=0.1)
    assert points[0].wait_p95_ms == pytest.approx(1000, rel=0.1)
    assert points[0].run_p95_ms == pytest.approx(500, rel=0.1)
    assert (points[1].wait_p50_ms, points[1].run_p50_ms) == (None, None)


@pytest.mark.parametrize("step", [2 * MINUTE, HOUR], ids=["minutes", "hours"])
async def test_types_have_the_sums_of_their_points(history: History, step: timedelta) -> None:
    """What a type did in a time is the sum of its points, and its series are the numbers of these."""
    other = Queue(DEFAULT_TENANT, JobType("sms.send"))
    end = NOON + 2 * step
    for minute, queue, ran_ms in ((0, QUEUE, 10), (1, QUEUE, 1000), (3, QUEUE, 10), (1, other, 500)):
        await history.store(rows_of([lives(10, at_ms=NOON_MS + minute * MINUTE_MS, queue=queue, ran_ms=ran_ms)], {}))
    await history.store(rows_of([lives(9, queue=Queue(Tenant("acme"), other.type))], {}))
    found = await history.statistics.by_type(DEFAULT_TENANT, begin=NOON, end=end, step=step, limit=9)
    assert ([one.type for one in found.types], found.is_complete) == ([QUEUE.type, other.type], True)
    for one in found.types:
        points = await history.statistics.points(DEFAULT_TENANT, one.type, begin=NOON, end=end, step=step)
        [whole] = await history.statistics.points(DEFAULT_TENANT, one.type, begin=NOON, end=end, step=end - NOON)
        assert one.submitted_by_step == [point.submitted for point in points]
        assert one.ended_by_step == [point.succeeded + point.dead for point in points]
        assert one.failed_by_step == [0, 0]
        assert all(getattr(one, name) == getattr(whole, name) for name in Happened.__struct_fields__)


async def test_there_are_as_many_types_as_were_asked_for(history: History) -> None:
    """Beyond the limit a type is left out, the one of which least happened, and the answer is not complete."""
    for count in (3, 1, 2):
        queue = Queue(DEFAULT_TENANT, JobType(f"of.{count}"))
        await history.store(rows_of([lives(count, queue=queue)], {}))
    found = await history.statistics.by_type(DEFAULT_TENANT, begin=NOON, end=NOON + HOUR, step=MINUTE, limit=2)
    assert ([one.type for one in found.types], found.is_complete) == (["of.3", "of.2"], False)


async def test_points_of_all_types_are_those_of_one_tenant(history: History) -> None:
    """Without a type the points count all types, and never those of another tenant."""
    for queue in (QUEUE, Queue(DEFAULT_TENANT, JobType("sms.send")), Queue(Tenant("acme"), QUEUE.type)):
        await history.store(rows_of([lives(3, queue=queue)], {}))
    for job_type, submitted in ((None, 6), (QUEUE.type, 3), (JobType("none"), 0)):
        [point] = await history.statistics.points(DEFAULT_TENANT, job_type, begin=NOON, end=NOON + MINUTE, step=MINUTE)
        assert point.submitted == submitted


async def test_points_of_hours_are_those_of_their_minutes(history: History, history_url: str) -> None:
    """A step of whole hours is read from the hours, which outlive the minutes, and gives the same counts."""
    for minute in (0, 59, 61):
        await history.store(rows_of([lives(2, at_ms=NOON_MS + minute * MINUTE_MS - 3_000)], {}))
    asked = {"begin": NOON - HOUR, "end": NOON + 2 * HOUR}
    by_minutes = await history.statistics.points(DEFAULT_TENANT, None, **asked, step=30 * MINUTE)
    await execute(history_url, "DELETE FROM stats_minutes")
    hours = await history.statistics.points(DEFAULT_TENANT, None, **asked, step=HOUR)
    assert [point.submitted for point in hours] == [
        one.submitted + other.submitted for one, other in zip(by_minutes[::2], by_minutes[1::2], strict=True)
    ]
    assert sum(point.submitted for point in hours) == 6


async def test_minutes_and_hours_are_forgotten_in_their_time(history: History, history_url: str) -> None:
    """Minutes go after two weeks and hours after 400 days, and no younger ones."""
    await history.store(rows_of([lives(1)], {}))
    await history.statistics.forget(NOON + MINUTES_KEPT)
    assert await query(history_url, "SELECT count(*) FROM stats_minutes") == [(3,)]
    await history.statistics.forget(NOON + MINUTES_KEPT + MINUTE)
    assert await query(history_url, "SELECT count(*) FROM stats_minutes") == [(0,)]
    assert await query(history_url, "SELECT count(*) FROM stats_hours") == [(3,)]
    await history.statistics.forget(NOON + HOURS_KEPT + MINUTE)
    assert await query(history_url, "SELECT count(*) FROM stats_hours") == [(0,)]


@given(st.integers(0, 2**62))
def test_a_bucket_is_within_nine_per_cent_of_what_is_in_it(milliseconds: int) -> None:
    """The middle of a bucket stands for each of its durations to nine per cent, and buckets fit their column."""
    bucket = bucket_of(milliseconds)
    assert 0 <= bucket < 2**15
    if milliseconds:
        assert middle_of(bucket) == pytest.approx(milliseconds, rel=0.095)


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=50), st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_that_of_the_durations_to_nine_per_cent(durations: list[int], share: float) -> None:
    """A percentile of the counted buckets is that of the durations themselves, to nine per cent."""
    exact = sorted(durations)[-(-len(durations) * round(share * 100) // 100) - 1]
    found = percentile(Counter(map(bucket_of, durations)), share)
    assert found == pytest.approx(exact, rel=0.095, abs=0.25)
