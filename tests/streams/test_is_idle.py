"""is_idle.lua says that nothing is left to do in a queue only where no duty and no worker would find anything."""

from collections.abc import Awaitable, Callable

import pytest
from streams.seeds import FAR_MS, commit, new_job, seed, seed_dead, seed_running

from millstream_contracts import JobId, Queue, QueueLimits, Succeeded
from millstream_streams import HISTORY_GROUP, Broker, Parents

Fill = Callable[[Broker, Queue], Awaitable[object]]


async def a_queued_job(broker: Broker, queue: Queue) -> None:
    """Let a job wait for a worker."""
    await seed(broker, queue)


async def a_running_job(broker: Broker, queue: Queue) -> None:
    """Let a job run."""
    await seed_running(broker, queue)


async def a_scheduled_job(broker: Broker, queue: Queue) -> None:
    """Let a job wait for its time."""
    await seed(broker, queue, delay_ms=FAR_MS)


async def a_parked_job(broker: Broker, queue: Queue) -> None:
    """Let a job wait in a lane for the rate of the queue, and none in a stream."""
    await broker.settings.limit(queue, QueueLimits(rate="1/h"), is_split=False)
    await finish_one(broker, queue)
    await seed(broker, queue)


async def a_blocked_job(broker: Broker, queue: Queue) -> None:
    """Let a job wait for another."""
    parents = Parents((JobId("some.job_00"),), (JobId("some.job_00"),))
    await broker.store.enqueue(queue, [new_job(queue, parents=parents)])


async def a_dead_letter(broker: Broker, queue: Queue) -> None:
    """Let a job be dead."""
    await seed_dead(broker, queue)


async def a_pause(broker: Broker, queue: Queue) -> None:
    """Pause the queue."""
    await broker.settings.pause(queue)


async def a_hold(broker: Broker, queue: Queue) -> None:
    """Hold the queue back."""
    await broker.settings.hold(queue, after_ms=FAR_MS, job_id=JobId("some.job_00"))


async def a_gap(broker: Broker, queue: Queue) -> None:
    """Have the history lack events that were lost."""
    await broker.client.hset(broker.keys.of(queue).settings, mapping={"gap_first": "1-0", "gap_last": "2-0"})


async def an_unread_event(broker: Broker, queue: Queue) -> None:
    """Let the history have read the first event of two."""
    await broker.client.xgroup_create(broker.keys.of(queue).events, HISTORY_GROUP, "0")
    await broker.client.xreadgroup(HISTORY_GROUP, "h", {broker.keys.of(queue).events: ">"}, count=1, noack=True)


async def an_unacknowledged_event(broker: Broker, queue: Queue) -> None:
    """Let the history have read all events, and stored none."""
    await broker.client.xgroup_create(broker.keys.of(queue).events, HISTORY_GROUP, "0")
    await broker.client.xreadgroup(HISTORY_GROUP, "h", {broker.keys.of(queue).events: ">"})


WORK: list[Fill] = [
    a_queued_job,
    a_running_job,
    a_scheduled_job,
    a_parked_job,
    a_blocked_job,
    a_dead_letter,
    a_pause,
    a_hold,
    a_gap,
    an_unread_event,
    an_unacknowledged_event,
]


async def finish_one(broker: Broker, queue: Queue) -> None:
    """Let a job succeed."""
    await commit(broker, await seed_running(broker, queue), Succeeded())


async def test_a_queue_whose_jobs_have_ended_is_idle(broker: Broker, queue: Queue) -> None:
    """A queue is idle that was never used, and one whose jobs have ended, though these can still be read."""
    assert await broker.store.is_idle(queue, quiet_s=0)
    await finish_one(broker, queue)
    events = broker.keys.of(queue).events
    await broker.client.xgroup_create(events, HISTORY_GROUP, "0")
    await broker.client.xreadgroup(HISTORY_GROUP, "h", {events: ">"}, noack=True)
    assert await broker.store.is_idle(queue, quiet_s=0)


async def test_a_queue_is_not_idle_soon_after_a_job(broker: Broker, queue: Queue) -> None:
    """A queue in which something has happened of late is not idle."""
    await finish_one(broker, queue)
    assert not await broker.store.is_idle(queue, quiet_s=3600)


@pytest.mark.parametrize("fill", WORK, ids=lambda fill: fill.__name__)
async def test_a_queue_with_work_is_not_idle(broker: Broker, queue: Queue, fill: Fill) -> None:
    """Whatever is left to do keeps a queue from being idle."""
    await finish_one(broker, queue)
    await fill(broker, queue)
    assert not await broker.store.is_idle(queue, quiet_s=0)
