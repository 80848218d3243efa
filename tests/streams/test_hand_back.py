"""hand_back.lua makes a job ready at once that a leaving worker returns, at no cost for the job."""

from msgspec.structs import replace
from streams.audit import audit
from streams.seeds import (
    commit,
    events,
    everything,
    job_of,
    new_job,
    pending,
    recover_all,
    seed,
    seed_running,
    take,
    take_one,
)

from millstream_contracts import JobState, Priority, Queue
from millstream_streams import Broker, CommitCode, Delivery


async def hand_back(broker: Broker, queue: Queue, *deliveries: Delivery) -> list[CommitCode]:
    """Return deliveries."""
    return await broker.store.hand_back(queue, worker="w1", deliveries=deliveries)


async def test_hand_back_makes_the_job_ready_at_once(broker: Broker, queue: Queue) -> None:
    """A job that was handed back is ready at once, without an attempt or a crash."""
    running = await seed_running(broker, queue, priority=Priority.HIGH)
    assert await hand_back(broker, queue, running) == [CommitCode.COMMITTED]
    await audit(broker, queue)
    job = await job_of(broker, queue, running.id)
    assert (job.state, job.attempts, job.crashes, job.handbacks) == (JobState.QUEUED, 0, 0, 1)
    again = await take_one(broker, queue, "w2")
    assert (again.id, again.priority_index, again.attempts, again.deliveries) == (running.id, 1, 0, 2)


async def test_hand_back_counts_each(broker: Broker, queue: Queue) -> None:
    """Each hand-back of a job is counted."""
    running = await seed_running(broker, queue)
    for _ in range(3):
        await hand_back(broker, queue, running)
        running = await take_one(broker, queue)
    assert (await job_of(broker, queue, running.id)).handbacks == 3


async def test_hand_back_clears_the_stream_that_the_job_was_claimed_from(broker: Broker, queue: Queue) -> None:
    """A hand-back deletes the entry from the stream it was claimed from, and follows a changed priority."""
    running = await seed_running(broker, queue)
    await broker.client.hset(broker.keys.of(queue).job(running.id), "priority", "high")
    assert await hand_back(broker, queue, running) == [CommitCode.COMMITTED]
    await audit(broker, queue)
    assert (await take_one(broker, queue, "w2")).priority_index == 1


async def test_hand_back_leaves_no_entry_behind(broker: Broker, queue: Queue) -> None:
    """A hand-back acknowledges the entry and deletes it."""
    running = await seed_running(broker, queue)
    stream = broker.keys.of(queue).ready[1]
    await hand_back(broker, queue, running)
    assert [entry.decode() for entry, _ in await broker.client.xrange(stream)] != [running.entry]
    assert await broker.client.xlen(stream) == 1
    assert await pending(broker, stream) == []


async def test_hand_back_changes_nothing_when_sent_again(broker: Broker, queue: Queue) -> None:
    """A repeated hand-back answers that it was made before, and changes nothing."""
    running = await seed_running(broker, queue)
    await hand_back(broker, queue, running)
    before = await everything(broker, queue)
    assert await hand_back(broker, queue, running) == [CommitCode.COMMITTED_BEFORE]
    assert await everything(broker, queue) == before


async def test_hand_back_refuses_a_zombie(broker: Broker, queue: Queue) -> None:
    """A worker whose lease was recovered cannot hand the job back."""
    zombie = await seed_running(broker, queue)
    await recover_all(broker, queue)
    await take_one(broker, queue, "w2")
    before = await everything(broker, queue)
    assert await hand_back(broker, queue, zombie) == [CommitCode.STALE]
    assert await everything(broker, queue) == before


async def test_hand_back_says_so_when_there_is_no_such_job(broker: Broker, queue: Queue) -> None:
    """A hand-back of a job that is gone is reported, and the others of the call are made."""
    running = await seed_running(broker, queue)
    gone = replace(running, id=new_job(queue).id)
    assert await hand_back(broker, queue, gone, running) == [CommitCode.UNKNOWN_JOB, CommitCode.COMMITTED]


async def test_hand_back_ends_a_job_whose_cancellation_was_asked_for(broker: Broker, queue: Queue) -> None:
    """A job whose cancellation was asked for is cancelled when it is handed back."""
    running = await seed_running(broker, queue)
    await broker.store.cancel(queue, [running.id])
    assert await hand_back(broker, queue, running) == [CommitCode.CANCELLED]
    assert (await job_of(broker, queue, running.id)).state is JobState.CANCELLED
    assert await take(broker, queue) == []


async def test_hand_back_loses_against_a_commit(broker: Broker, queue: Queue) -> None:
    """A job that was committed cannot be handed back."""
    running = await seed_running(broker, queue)
    await commit(broker, running)
    assert await hand_back(broker, queue, running) == [CommitCode.COMMITTED_BEFORE]
    assert (await job_of(broker, queue, running.id)).state is JobState.SUCCEEDED


async def test_hand_back_tells_of_all_its_jobs_in_one_event(broker: Broker, queue: Queue) -> None:
    """A call writes one event for all of its jobs, with the worker."""
    ids = await seed(broker, queue, 3)
    await hand_back(broker, queue, *await take(broker, queue))
    told = (await events(broker, queue))[-1]
    assert (told.kind, told.worker) == ("handed_back", "w1")
    assert [(one.id, one.version, one.state) for one in told.jobs] == [(one, 3, "queued") for one in ids]
