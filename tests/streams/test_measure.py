"""measure.lua returns counts and ages of a queue that agree with its jobs."""

import itertools

import pytest
from streams.seeds import (
    FAR_MS,
    LONG_AGO_MS,
    everything,
    job_of,
    make_due,
    recover_all,
    seed,
    seed_dead,
    seed_running,
    take,
)

from millstream_contracts import Priority, Queue
from millstream_streams import Broker, Depths

HOUR_MS = 3_600_000


async def test_measure_counts_nothing_when_the_queue_was_never_used(broker: Broker, queue: Queue) -> None:
    """A queue that was never used counts zero jobs, and the call makes no key."""
    assert await broker.store.measure(queue) == Depths((0, 0, 0), 0, 0, 0, False, 0, 0, 0)
    assert await everything(broker, queue) == await everything(broker, queue)
    assert not await broker.client.exists(*broker.keys.of(queue).script_keys)


async def test_measure_counts_the_jobs_of_each_place(broker: Broker, queue: Queue) -> None:
    """Ready jobs by priority, running, scheduled and dead jobs are counted once each."""
    await seed_dead(broker, queue)
    for priority in Priority:
        await seed(broker, queue, 4, priority=priority)
    await take(broker, queue, limit=6, shares=(3, 2, 1))
    await seed(broker, queue, 5, delay_ms=FAR_MS)
    depths = await broker.store.measure(queue)
    assert depths.queued == (1, 2, 3)
    assert (depths.running, depths.scheduled, depths.dead, depths.paused) == (6, 5, 1, False)
    assert depths.events == await broker.client.xlen(broker.keys.of(queue).events)


async def test_measure_counts_jobs_that_no_group_has_seen(broker: Broker, queue: Queue) -> None:
    """Ready jobs are counted before the first claim has made a group."""
    await seed(broker, queue, 3)
    assert (await broker.store.measure(queue)).queued == (0, 3, 0)


async def test_measure_stays_right_when_entries_are_deleted_out_of_order(broker: Broker, queue: Queue) -> None:
    """The counts stay right where the lag that Redis reports is nil or wrong."""
    ids = await seed(broker, queue, 6)
    await take(broker, queue, limit=2)
    await broker.store.cancel(queue, [ids[4]])
    await recover_all(broker, queue)
    depths = await broker.store.measure(queue)
    assert (depths.queued, depths.running) == ((0, 5, 0), 0)


async def test_measure_says_that_a_queue_is_paused(broker: Broker, queue: Queue) -> None:
    """A paused queue is reported as paused."""
    await broker.client.hset(broker.keys.of(queue).settings, "paused", "1")
    assert (await broker.store.measure(queue)).paused


async def test_measure_tells_the_age_of_the_job_that_has_waited_longest(broker: Broker, queue: Queue) -> None:
    """The age of the oldest ready job counts from when it became ready, and running jobs do not count."""
    first, second = await seed(broker, queue, 2)
    now_ms = int((await broker.client.time())[0]) * 1000
    for job_id, age_ms in ((first, 2 * HOUR_MS), (second, HOUR_MS)):
        await broker.client.hset(broker.keys.of(queue).job(job_id), "ready_at", now_ms - age_ms)
    assert 2 * HOUR_MS <= (await broker.store.measure(queue)).oldest_ready_age_ms < 3 * HOUR_MS
    await take(broker, queue, limit=1)
    assert HOUR_MS <= (await broker.store.measure(queue)).oldest_ready_age_ms < 2 * HOUR_MS
    await take(broker, queue, limit=1)
    assert (await broker.store.measure(queue)).oldest_ready_age_ms == 0


@pytest.mark.parametrize("oldest_first", list(itertools.permutations(Priority)), ids=" ".join)
async def test_measure_tells_the_age_of_the_job_that_has_waited_longest_of_all_priorities(
    broker: Broker, queue: Queue, oldest_first: tuple[Priority, ...]
) -> None:
    """The age is that of the oldest ready job of all priorities, so that a starved one raises an alert."""
    now_ms = int((await broker.client.time())[0]) * 1000
    for hours, priority in enumerate(reversed(oldest_first), start=1):
        (job_id,) = await seed(broker, queue, priority=priority)
        await broker.client.hset(broker.keys.of(queue).job(job_id), "ready_at", now_ms - hours * HOUR_MS)
    assert 3 * HOUR_MS <= (await broker.store.measure(queue)).oldest_ready_age_ms < 4 * HOUR_MS


async def test_measure_tells_the_age_of_the_oldest_dead_letter(broker: Broker, torn_queue: Queue) -> None:
    """The age of the oldest dead letter is reported."""
    now_ms = int((await broker.client.time())[0]) * 1000
    await broker.client.xadd(broker.keys.of(torn_queue).dlq, {"id": "x", "at": now_ms - HOUR_MS})
    depths = await broker.store.measure(torn_queue)
    assert HOUR_MS <= depths.oldest_dead_age_ms < 2 * HOUR_MS


async def test_measure_tells_the_age_of_a_job_that_has_just_died(broker: Broker, queue: Queue) -> None:
    """A dead letter and its job carry the time of death in ms, by the clock of Redis."""
    job_id = await seed_dead(broker, queue)
    assert (await broker.store.measure(queue)).oldest_dead_age_ms < HOUR_MS
    (letter,) = (await broker.listing.dead([queue], cursor=None, limit=1)).items
    now_s = (await broker.client.time())[0]
    assert now_s - 3600 < letter.died_at.timestamp() <= now_s + 1
    assert letter.died_at == (await job_of(broker, queue, job_id)).finished_at


async def test_measure_tells_when_the_next_waiting_job_is_due(broker: Broker, queue: Queue) -> None:
    """The time until the next job is due is reported, and is 0 when one is due already."""
    assert (await broker.store.measure(queue)).next_due_in_ms is None
    (late,) = await seed(broker, queue, delay_ms=2 * FAR_MS)
    await seed(broker, queue, delay_ms=FAR_MS)
    depths = await broker.store.measure(queue)
    assert depths.next_due_in_ms is not None
    assert 0 < depths.next_due_in_ms <= FAR_MS
    await make_due(broker, queue, [late])
    assert (await broker.store.measure(queue)).next_due_in_ms == 0
    await broker.store.release_due(queue)
    assert FAR_MS / 2 < ((await broker.store.measure(queue)).next_due_in_ms or 0) <= FAR_MS


async def test_measure_tells_when_the_next_job_expires(broker: Broker, queue: Queue) -> None:
    """The time until the next ready or scheduled job expires is reported; a running job does not count."""
    await seed_running(broker, queue, expires_in_ms=FAR_MS)
    assert (await broker.store.measure(queue)).next_expiry_in_ms is None
    await seed(broker, queue, expires_in_ms=2 * FAR_MS)
    await seed(broker, queue, delay_ms=3 * FAR_MS, expires_in_ms=FAR_MS)
    depths = await broker.store.measure(queue)
    assert depths.next_expiry_in_ms is not None
    assert 0 < depths.next_expiry_in_ms <= FAR_MS
    await seed(broker, queue, expires_at_ms=LONG_AGO_MS)
    assert (await broker.store.measure(queue)).next_expiry_in_ms == 0
    await broker.store.expire(queue)
    assert FAR_MS / 2 < ((await broker.store.measure(queue)).next_expiry_in_ms or 0) <= FAR_MS
