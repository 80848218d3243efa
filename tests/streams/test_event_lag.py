"""The lag of a consumer group is the age of the oldest event that it has not acknowledged."""

from contextlib import aclosing

from streams.seeds import events, seed
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, Event, JobType, Queue, QueueEvents
from millstream_streams import HISTORY_GROUP, Broker, Lag

OTHERS = [Queue(DEFAULT_TENANT, JobType("report.generate"), partition) for partition in range(3)]


async def test_a_group_is_as_far_behind_as_its_oldest_event(broker: Broker, queue: Queue) -> None:
    """The lag is that of the oldest event, read or not, of any queue; nothing without one, unknown without a group."""
    queues = [queue, *OTHERS]
    assert await broker.event_lag.of(HISTORY_GROUP, queues) is None
    for one in queues:
        await seed(broker, one)
    assert await broker.event_lag.of(HISTORY_GROUP, queues) is None
    oldest = {one: written_ms((await events(broker, one))[0]) for one in queues}
    async with aclosing(broker.feed(group=HISTORY_GROUP, consumer="a")) as feed:
        found: list[QueueEvents] = []

        async def have_all() -> bool:
            found.extend(await feed.read(queues, entries=10))
            return len(found) == len(queues)

        await wait_until(have_all, "every event is read")
        assert await broker.event_lag.of(HISTORY_GROUP, queues) == Lag(min(oldest.values()))
        await feed.acknowledge([batch for batch in found if batch.queue != OTHERS[0]])
        assert await broker.event_lag.of(HISTORY_GROUP, queues) == Lag(oldest[OTHERS[0]])
        await feed.acknowledge(found)
        assert await broker.event_lag.of(HISTORY_GROUP, queues) == Lag(None)
        await seed(broker, queue)
        later = written_ms((await events(broker, queue))[-1])
        assert await broker.event_lag.of(HISTORY_GROUP, queues) == Lag(later)


def written_ms(event: Event) -> int:
    """Return when an event was written, which may be a millisecond after what it tells of."""
    return int(event.entry.partition("-")[0])


async def test_jobs_of_several_queues_are_read_together(broker: Broker, queue: Queue) -> None:
    """Jobs of any queues come in the order that was asked for, without payloads; None for one that there is not."""
    ids = [(one, (await seed(broker, one, payload={"n": 1}))[0]) for one in (queue, *OTHERS)]
    missing = (queue, ids[1][1])
    found = await broker.views.jobs_anywhere([*reversed(ids), missing])
    assert [job and job.id for job in found] == [*(job_id for _, job_id in reversed(ids)), None]
    assert {job.payload for job in found if job} == {None}
    assert await broker.views.jobs_anywhere([]) == []
