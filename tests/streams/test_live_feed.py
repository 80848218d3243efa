"""The live feed returns the events of queues to readers that keep their own positions."""

import anyio
import pytest
import structlog
from msgspec.structs import replace
from streams.seeds import commit, seed, seed_running

from millstream_contracts import Queue
from millstream_streams import Broker, LiveFeed
from millstream_streams.reading.live_feed import FEWEST_KEPT

START = "0-0"


@pytest.fixture
async def feed(broker: Broker):
    """Yield a live feed."""
    opened = broker.live_feed()
    yield opened
    await opened.aclose()


@pytest.fixture
def other_queue(queue: Queue) -> Queue:
    """Return a second queue."""
    return replace(queue, partition=7)


async def kinds_read(feed: LiveFeed, positions: dict[Queue, str]) -> dict[Queue, list[str]]:
    """Read once, move the positions, and return the kinds of the events by queue."""
    found = await feed.read(positions)
    positions.update({queue: position for queue, (position, _) in found.items()})
    return {queue: [event.kind for event in events] for queue, (_, events) in found.items()}


async def test_read_goes_on_behind_its_positions(broker: Broker, feed: LiveFeed, queue: Queue) -> None:
    """Each event is read once by a reader that moves its position, in the order of the stream."""
    positions = {queue: START}
    running = await seed_running(broker, queue)
    assert await kinds_read(feed, positions) == {queue: ["submitted", "started"]}
    await commit(broker, running)
    assert await kinds_read(feed, positions) == {queue: ["succeeded"]}


async def test_read_waits_for_the_next_event(broker: Broker, feed: LiveFeed, queue: Queue) -> None:
    """A read of queues in which nothing happens returns once something does."""
    positions, found = {queue: START}, {}
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            while not found:
                found.update(await kinds_read(feed, positions))

        tasks.start_soon(read)
        await seed(broker, queue)
    assert found == {queue: ["submitted"]}


async def test_one_broken_stream_does_not_keep_the_others_from_being_read(
    broker: Broker, feed: LiveFeed, queue: Queue, other_queue: Queue
) -> None:
    """A key that is no stream is logged, and the events of the other queues are read."""
    await broker.client.set(broker.keys.of(other_queue).events, "no stream")
    await seed(broker, queue)
    with structlog.testing.capture_logs() as lines:
        assert await kinds_read(feed, {queue: START, other_queue: START}) == {queue: ["submitted"]}
    assert {line["queue"] for line in lines} == {other_queue.tag}
    await broker.client.delete(broker.keys.of(other_queue).events)


async def test_an_unreadable_entry_is_passed_over(broker: Broker, feed: LiveFeed, torn_queue: Queue) -> None:
    """An entry that this release cannot read is no event, and the position moves behind it."""
    await broker.client.xadd(broker.keys.of(torn_queue).events, {"kind": "strange"})
    positions = {torn_queue: START}
    assert await kinds_read(feed, positions) == {torn_queue: []}
    assert positions[torn_queue] != START


async def test_since_returns_what_happened_from_a_moment_on(broker: Broker, feed: LiveFeed, queue: Queue) -> None:
    """The events of a queue since a moment are complete while none of them was trimmed and they are not too many."""
    before = round((await broker.now()).timestamp() * 1000)
    await seed_running(broker, queue)
    whole = await feed.since(queue, before, most=10)
    assert ([event.kind for event in whole.events.events], whole.is_complete) == (["submitted", "started"], True)
    assert not (await feed.since(queue, before, most=1)).is_complete
    assert (await feed.since(queue, before + 3_600_000, most=10)).events.events == []


async def test_since_says_that_a_full_stream_may_have_lost_events(broker: Broker, feed: LiveFeed, queue: Queue) -> None:
    """A long stream that begins after the moment may have been cut, and one that begins before it was not."""
    pipeline = broker.client.pipeline(transaction=False)
    for number in range(FEWEST_KEPT):
        fields = {"kind": "submitted", "state": "queued", "at": 1, "worker": "", "detail": "", "jobs": b"\x90"}
        pipeline.xadd(broker.keys.of(queue).events, fields, id=f"{1_000 + number}-0")
    await pipeline.execute()
    assert not (await feed.since(queue, 999, most=10_000)).is_complete
    assert (await feed.since(queue, 1_000, most=10_000)).is_complete
