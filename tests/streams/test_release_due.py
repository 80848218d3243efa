"""release_due.lua makes a due job ready, and only one call releases it."""

import pytest
from streams.audit import audit
from streams.seeds import (
    FAR_MS,
    LONG_AGO_MS,
    events,
    everything,
    job_of,
    kinds,
    make_due,
    seed,
    seed_due,
    take,
    take_one,
)

from millstream_contracts import JobState, Priority, Queue
from millstream_streams import Broker, Release


@pytest.mark.parametrize("priority", list(Priority))
async def test_release_due_makes_a_due_job_ready(broker: Broker, queue: Queue, priority: Priority) -> None:
    """A due job moves from `due` to the stream of its priority in one step."""
    (job_id,) = await seed_due(broker, queue, priority=priority)
    assert await broker.store.release_due(queue) == Release(1, 0, None)
    await audit(broker, queue)
    delivery = await take_one(broker, queue)
    assert delivery.id == job_id
    assert list(Priority)[delivery.priority_index - 1] is priority


async def test_release_due_leaves_what_is_to_come(broker: Broker, queue: Queue) -> None:
    """A job that is not due stays, and the response says when it will be."""
    (job_id,) = await seed(broker, queue, delay_ms=FAR_MS)
    before = await everything(broker, queue)
    release = await broker.store.release_due(queue)
    assert (release.released, release.expired) == (0, 0)
    assert release.next_in_ms is not None
    assert 0 < release.next_in_ms <= FAR_MS
    assert await everything(broker, queue) == before
    assert (await job_of(broker, queue, job_id)).state is JobState.SCHEDULED


async def test_release_due_says_when_no_job_waits(broker: Broker, queue: Queue) -> None:
    """On a queue that was never used nothing is released, and the response has no next time."""
    assert await broker.store.release_due(queue) == Release(0, 0, None)
    assert await kinds(broker, queue) == []


async def test_release_due_takes_the_earliest_first_and_says_that_more_are_due(broker: Broker, queue: Queue) -> None:
    """A call releases a bounded number, the earliest first, and 0 in the response says that more are due."""
    first, second, third = await seed(broker, queue, 3, delay_ms=FAR_MS)
    for at_ms, job_id in enumerate((third, first, second), start=1):
        await make_due(broker, queue, [job_id], at_ms)
    assert await broker.store.release_due(queue, limit=2) == Release(2, 0, 0)
    assert [delivery.id for delivery in await take(broker, queue)] == [third, first]
    assert await broker.store.release_due(queue, limit=2) == Release(1, 0, None)
    assert [delivery.id for delivery in await take(broker, queue)] == [second]


async def test_release_due_releases_a_full_call(broker: Broker, queue: Queue) -> None:
    """One call releases a hundred jobs."""
    await seed_due(broker, queue, 100)
    await seed_due(broker, queue)
    assert await broker.store.release_due(queue) == Release(100, 0, 0)
    assert await broker.store.release_due(queue) == Release(1, 0, None)


async def test_release_due_expires_a_job_whose_time_is_over(broker: Broker, queue: Queue) -> None:
    """A job that is due after its expiry is expired and never ready."""
    (late,) = await seed_due(broker, queue, expires_at_ms=LONG_AGO_MS)
    (good,) = await seed_due(broker, queue, expires_in_ms=FAR_MS)
    assert await broker.store.release_due(queue) == Release(1, 1, None)
    assert (await job_of(broker, queue, late)).state is JobState.EXPIRED
    assert (await job_of(broker, queue, good)).state is JobState.QUEUED
    assert await kinds(broker, queue) == ["submitted", "submitted", "released", "expired"]


async def test_release_due_changes_nothing_when_sent_again(broker: Broker, queue: Queue) -> None:
    """A second call, as by another dispatcher, releases no job again."""
    await seed_due(broker, queue)
    await broker.store.release_due(queue)
    before = await everything(broker, queue)
    assert await broker.store.release_due(queue) == Release(0, 0, None)
    assert await everything(broker, queue) == before


async def test_release_due_drops_a_member_without_a_job(broker: Broker, torn_queue: Queue) -> None:
    """A due time whose job is gone is removed."""
    lost, kept = await seed_due(broker, torn_queue, 2)
    await broker.client.delete(broker.keys.of(torn_queue).job(lost))
    assert await broker.store.release_due(torn_queue) == Release(1, 0, None)
    assert (await take_one(broker, torn_queue)).id == kept


async def test_release_due_tells_of_its_jobs_in_one_event(broker: Broker, queue: Queue) -> None:
    """A call writes one event for all of its jobs."""
    ids = await seed_due(broker, queue, 3)
    await broker.store.release_due(queue)
    told = (await events(broker, queue))[-1]
    assert told.kind == "released"
    assert sorted((one.id, one.version, one.state) for one in told.jobs) == sorted((one, 2, "queued") for one in ids)
