"""The event feed gives each event to one consumer of a group, and again until it is acknowledged."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, suppress

import anyio
import msgspec
import pytest
from streams.seeds import commit, events, seed, seed_running
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobId, JobState, JobTransition, JobType, Queue, QueueEvents
from millstream_streams import Broker, EventFeed, StoreError

MANY = 100
NewFeed = Callable[[str], EventFeed]


@pytest.fixture
async def feed_of(broker: Broker) -> AsyncIterator[NewFeed]:
    """Yield a function that returns a new consumer of the group `history`."""
    async with AsyncExitStack() as stack:
        opened: list[EventFeed] = []

        def make(consumer: str) -> EventFeed:
            opened.append(broker.feed(group="history", consumer=consumer))
            return opened[-1]

        yield make
        for feed in opened:
            await stack.enter_async_context(aclosing(feed))


async def read(feed: EventFeed, *queues: Queue, entries: int = MANY) -> list[QueueEvents]:
    """Return the next events once there are any; the first read of a queue only adds it to the group."""
    found: list[QueueEvents] = []

    async def are_any() -> bool:
        found.extend(await feed.read(queues, entries=entries))
        return bool(found)

    await wait_until(are_any, "there are events")
    return found


async def test_read_returns_all_that_has_happened_oldest_first(broker: Broker, queue: Queue, feed_of: NewFeed) -> None:
    """A new group reads every event that is still stored, the oldest first."""
    await commit(broker, await seed_running(broker, queue))
    assert await read(feed_of("a"), queue) == [QueueEvents(queue, await events(broker, queue))]


async def test_read_returns_events_of_every_queue(broker: Broker, queue: Queue, feed_of: NewFeed) -> None:
    """A read returns events of queues on different nodes of a cluster."""
    others = [Queue(DEFAULT_TENANT, JobType("report.generate"), partition) for partition in range(4)]
    feed, found = feed_of("a"), list[QueueEvents]()
    for one in (queue, *others):
        await seed(broker, one)

    async def have_all() -> bool:
        found.extend(await feed.read([queue, *others], entries=MANY))
        return len(found) == 5

    await wait_until(have_all, "all events are read")
    assert {one.queue for one in found} == {queue, *others}


async def test_read_takes_no_more_than_asked_for(broker: Broker, queue: Queue, feed_of: NewFeed) -> None:
    """A read returns no more events than asked for, and the next read goes on."""
    for _ in range(5):
        await seed(broker, queue)
    feed = feed_of("a")
    [first] = await read(feed, queue, entries=3)
    [second] = await read(feed, queue, entries=3)
    assert [len(first.events), len(second.events)] == [3, 2]


async def test_read_waits_for_the_next_event(broker: Broker, queue: Queue, feed_of: NewFeed) -> None:
    """A read blocks until the next event arrives."""
    feed, found = feed_of("a"), list[QueueEvents]()
    await seed(broker, queue)
    await feed.acknowledge(await read(feed, queue))

    async def wait() -> None:
        while not found:
            found.extend(await feed.read([queue], entries=MANY))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        [job_id] = await seed(broker, queue)
    assert [job.id for job in found[0].events[0].jobs] == [job_id]


async def test_each_event_reaches_one_consumer(broker: Broker, queue: Queue, feed_of: NewFeed) -> None:
    """The consumers of a group share its events."""
    first, second = feed_of("a"), feed_of("b")
    ids = [(await seed(broker, queue))[0] for _ in range(6)]
    found: list[str] = []
    while len(found) < len(ids):
        for feed in (first, second):
            batches = await feed.read([queue], entries=1)
            found += [job.id for batch in batches for event in batch.events for job in event.jobs]
    assert sorted(found) == sorted(ids)


async def test_what_a_consumer_never_acknowledged_goes_to_another(
    broker: Broker, queue: Queue, feed_of: NewFeed
) -> None:
    """Events that a dead consumer did not acknowledge go to another one."""
    await seed(broker, queue)
    lost = await read(feed_of("dead"), queue)
    heir = feed_of("heir")
    assert await heir.take_over([queue], idle_ms=3_600_000) == []
    assert await heir.take_over([queue], idle_ms=0) == lost


async def test_what_was_acknowledged_does_not_come_again(broker: Broker, queue: Queue, feed_of: NewFeed) -> None:
    """An acknowledged event is not read again."""
    feed = feed_of("a")
    await seed(broker, queue)
    await feed.acknowledge(await read(feed, queue))
    assert await feed.take_over([queue], idle_ms=0) == []
    assert (await broker.store.trim_events(queue, keep=0, cap=MANY))[1] == 0


async def test_what_was_trimmed_while_a_consumer_held_it_is_passed_over(
    broker: Broker, torn_queue: Queue, feed_of: NewFeed
) -> None:
    """An event that was trimmed while a consumer held it is skipped, on Redis 6.2 and on later versions."""
    await seed(broker, torn_queue)
    await read(feed_of("dead"), torn_queue)
    await broker.client.xtrim(broker.keys.of(torn_queue).events, maxlen=0, approximate=False)
    assert await feed_of("heir").take_over([torn_queue], idle_ms=0) == []


async def test_what_cannot_be_read_is_passed_over(broker: Broker, torn_queue: Queue, feed_of: NewFeed) -> None:
    """An event that cannot be read is skipped and acknowledged, and those behind it are read."""
    stream = broker.keys.of(torn_queue).events
    whole = {"kind": "started", "state": "running", "at": 1, "worker": "", "detail": ""}
    moves = msgspec.msgpack.encode(["x", 1, 1])
    for broken in (
        {"jobs": b"\xc1"},
        {"jobs": msgspec.msgpack.encode([1, "x", 1])},
        {"jobs": msgspec.msgpack.encode(["x", 1])},
        {"at": "soon", "jobs": moves},
        {},
    ):
        await broker.client.xadd(stream, whole | broken)
    [job_id] = await seed(broker, torn_queue)
    feed = feed_of("a")
    [found] = await read(feed, torn_queue)
    assert [job.id for event in found.events for job in event.jobs] == [job_id]
    await feed.acknowledge([found])
    assert (await broker.client.xpending(stream, "history"))["pending"] == 0


async def test_an_event_of_a_kind_that_is_not_known_is_told_all_the_same(
    broker: Broker, torn_queue: Queue, feed_of: NewFeed
) -> None:
    """An event of an unknown kind, as a newer release writes it, is returned with its kind as text."""
    entry = {"kind": "parked", "state": "elsewhere", "at": 1, "worker": "", "detail": "why", "new": "ignored"}
    await broker.client.xadd(
        broker.keys.of(torn_queue).events, entry | {"jobs": msgspec.msgpack.encode(["a_00x", 4, 1])}
    )
    [found] = await read(feed_of("a"), torn_queue)
    [event] = found.events
    assert (event.kind, event.jobs) == ("parked", [JobTransition(JobId("a_00x"), 4, "elsewhere", 1, "why")])


async def test_following_goes_on_when_redis_has_forgotten_the_group(
    broker: Broker, queue: Queue, feed_of: NewFeed
) -> None:
    """When Redis has lost the group, the feed makes it again at the oldest event."""
    feed = feed_of("a")
    await seed(broker, queue)
    await read(feed, queue)
    await broker.client.xgroup_destroy(broker.keys.of(queue).events, "history")
    assert await feed.take_over([queue], idle_ms=0) == []
    assert await read(feed, queue) == [QueueEvents(queue, await events(broker, queue))]


async def test_a_stream_that_is_none_is_an_error_of_ours(broker: Broker, torn_queue: Queue, feed_of: NewFeed) -> None:
    """A key that is no stream raises an error of ours."""
    await broker.client.set(broker.keys.of(torn_queue).events, "no stream")
    feed = feed_of("a")
    with pytest.raises(StoreError):
        await feed.read([torn_queue], entries=MANY)
    with pytest.raises(StoreError):
        await feed.take_over([torn_queue], idle_ms=0)
    await broker.client.delete(broker.keys.of(torn_queue).events)


async def test_a_stream_that_is_none_stops_no_other(
    broker: Broker, queue: Queue, torn_queue: Queue, feed_of: NewFeed
) -> None:
    """A key that is no stream does not stop the others, and what was read of them is returned."""
    await broker.client.set(broker.keys.of(torn_queue).events, "no stream")
    ids = await seed(broker, queue)
    feed = feed_of("a")
    found: list[QueueEvents] = []

    async def are_any() -> bool:
        with suppress(StoreError):
            found.extend(await feed.read([torn_queue, queue], entries=MANY))
        return bool(found)

    await wait_until(are_any, "there are events")
    assert [job.id for event in found[0].events for job in event.jobs] == ids
    assert await feed_of("heir").take_over([torn_queue, queue], idle_ms=0) == found
    await broker.client.delete(broker.keys.of(torn_queue).events)


async def test_what_was_acknowledged_of_several_queues_comes_again_from_none(
    broker: Broker, queue: Queue, feed_of: NewFeed
) -> None:
    """One call acknowledges the events of several queues."""
    other = Queue(DEFAULT_TENANT, JobType("report.generate"))
    feed, found = feed_of("a"), list[QueueEvents]()
    for one in (queue, other):
        await seed(broker, one)
        await seed(broker, one)

    async def have_both() -> bool:
        found.extend(await feed.read([queue, other], entries=MANY))
        return len(found) == 2

    await wait_until(have_both, "there are events of both")
    await feed.acknowledge(found)
    assert await feed_of("heir").take_over([queue, other], idle_ms=0) == []


async def test_jobs_of_tells_what_they_are_by_now(broker: Broker, torn_queue: Queue, feed_of: NewFeed) -> None:
    """`jobs_of` returns the present state of each job of a large batch, without the jobs that are gone."""
    done = await seed_running(broker, torn_queue)
    await commit(broker, done)
    ids = [job_id for _ in range(3) for job_id in await seed(broker, torn_queue, 100)]
    await broker.client.delete(broker.keys.of(torn_queue).job(ids[7]))
    feed = feed_of("a")
    [batch] = await read(feed, torn_queue)
    found = await feed.jobs_of(batch)
    assert found.jobs.keys() == {done.id, *ids} - {ids[7]}
    assert found.jobs[done.id].state is JobState.SUCCEEDED
    assert found.jobs[ids[8]] == await broker.views.job(torn_queue, ids[8])
    assert found.size_bytes > 300 * 50
