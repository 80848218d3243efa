"""enqueue.lua notes callbacks with their jobs, and leave_events.lua removes the group that reads for them."""

import msgspec
import pytest
from streams.seeds import FAR_MS, events, new_job, seed

from millstream_contracts import Callback, JobEvent, Queue
from millstream_streams import WEBHOOKS_GROUP, Broker, EnqueueCode, Idempotency

CALLBACK = Callback("https://a.example/?a=1&b=+", [JobEvent.DEAD, JobEvent.SUCCEEDED])
ENCODED = msgspec.json.encode(CALLBACK)


async def groups(broker: Broker, queue: Queue) -> list[str]:
    """Return the groups of the event stream."""
    return [group["name"].decode() for group in await broker.client.xinfo_groups(broker.keys.of(queue).events)]


@pytest.mark.parametrize(
    "options",
    [{}, {"delay_ms": FAR_MS}, {"expires_in_ms": FAR_MS}, {"waited": True}, {"idempotency": Idempotency(b"k", "f")}],
    ids=str,
)
async def test_enqueue_notes_the_callback_beside_every_other_option(
    broker: Broker, queue: Queue, options: dict[str, object]
) -> None:
    """A job with a callback has it noted whatever else its submission says."""
    job = new_job(queue, callback=ENCODED, **options)
    (stored,) = await broker.store.enqueue(queue, [job])
    assert stored.code is EnqueueCode.STORED
    assert await broker.callbacks.of(queue, [job.id]) == {job.id: CALLBACK}


async def test_group_begins_with_the_event_of_the_first_job_with_a_callback(broker: Broker, queue: Queue) -> None:
    """The group for webhooks reads from the submission of the first callback on, that event included."""
    await seed(broker, queue)
    job = new_job(queue, callback=ENCODED)
    await broker.store.enqueue(queue, [job])
    feed = broker.feed(group=WEBHOOKS_GROUP, consumer="c")
    (batch,) = await feed.read([queue], entries=10)
    await feed.aclose()
    assert [[one.id for one in event.jobs] for event in batch.events] == [[job.id]]
    assert len(await events(broker, queue)) == 2


async def test_enqueue_makes_no_group_without_a_callback(broker: Broker, queue: Queue) -> None:
    """A queue whose jobs have no callback has no group for webhooks."""
    await seed(broker, queue, waited=True)
    assert await groups(broker, queue) == []


async def test_enqueue_notes_nothing_of_a_job_that_was_stored_before(broker: Broker, queue: Queue) -> None:
    """The same job sent again, or another under its key, notes no callback."""
    job = new_job(queue, idempotency=Idempotency(b"k", "f"))
    await broker.store.enqueue(queue, [job])
    other = new_job(queue, callback=ENCODED, idempotency=Idempotency(b"k", "f"))
    again = new_job(queue, callback=ENCODED, idempotency=Idempotency(b"k", "g"))
    codes = [one.code for one in await broker.store.enqueue(queue, [other, again])]
    assert codes == [EnqueueCode.REPLAYED, EnqueueCode.KEY_REUSED]
    assert await broker.callbacks.of(queue, [job.id, other.id, again.id]) == {}


async def test_group_is_left_once_no_job_has_a_callback(broker: Broker, queue: Queue) -> None:
    """The group is removed after the last callback has ended, and not before."""
    jobs = [new_job(queue, callback=ENCODED) for _ in range(2)]
    await broker.store.enqueue(queue, jobs)
    await broker.callbacks.end(queue, [jobs[0].id])
    assert not await broker.store.leave_events(queue)
    assert await groups(broker, queue) == [WEBHOOKS_GROUP]
    await broker.callbacks.end(queue, [jobs[1].id])
    assert await broker.store.leave_events(queue)
    assert await broker.store.leave_events(queue)
    assert await groups(broker, queue) == []


async def test_leaving_a_queue_that_was_never_used_makes_nothing(broker: Broker, queue: Queue) -> None:
    """A queue without events has no group to remove, and none is made."""
    assert await broker.store.leave_events(queue)
    assert await broker.client.exists(broker.keys.of(queue).events) == 0


async def test_callback_that_cannot_be_read_is_none(broker: Broker, queue: Queue) -> None:
    """What is no callback, or that of a newer release, is passed over."""
    job = new_job(queue, callback=b'{"url":"https://a/","way":"pigeon"}')
    await broker.store.enqueue(queue, [job])
    assert await broker.callbacks.of(queue, [job.id]) == {}
