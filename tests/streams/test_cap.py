"""A queue with a cap takes no more jobs of clients than that; what it has goes on."""

import msgspec
import pytest
from streams.seeds import FAR_MS, commit, take, take_one

from millstream_contracts import JobError, JobSpec, KeyLimits, Priority, Queue, QueueLimits, RetryAt, new_job_id
from millstream_streams import Broker, EnqueueCode, NewJob
from millstream_streams.store.job_store import Enqueued

MINUTE_MS = 60_000


def new_job(queue: Queue, **options: object) -> NewJob:
    """Return a job that a client submits."""
    spec = msgspec.msgpack.encode(JobSpec(payload=msgspec.Raw(b"\xc0"), created_at_ms=0))
    return NewJob(id=new_job_id(queue), spec=spec, priority=Priority.NORMAL, **options)  # type: ignore[arg-type]


async def submit(broker: Broker, queue: Queue, jobs: int, **options: object) -> list[Enqueued]:
    """Submit jobs as a client does."""
    return await broker.store.enqueue(queue, [new_job(queue, **options) for _ in range(jobs)], is_capped=True)


def codes(answers: list[Enqueued]) -> list[EnqueueCode]:
    """Return what became of jobs."""
    return [answer.code for answer in answers]


STORED, FULL, KEY_FULL = EnqueueCode.STORED, EnqueueCode.FULL, EnqueueCode.KEY_FULL


async def test_jobs_above_the_cap_are_refused(broker: Broker, queue: Queue) -> None:
    """Of one call as many are stored as there is room for, and there is room again when one has ended."""
    await broker.settings.limit(queue, QueueLimits(cap=2))
    assert codes(await submit(broker, queue, 3)) == [STORED, STORED, FULL]
    assert codes(await submit(broker, queue, 1)) == [FULL]
    delivery = await take_one(broker, queue)
    assert codes(await submit(broker, queue, 1)) == [FULL]  # what runs counts
    await commit(broker, delivery)
    assert codes(await submit(broker, queue, 2)) == [STORED, FULL]


async def test_scheduled_jobs_count(broker: Broker, queue: Queue) -> None:
    """A job that waits for its time takes a place, and one is refused with a delay too."""
    await broker.settings.limit(queue, QueueLimits(cap=1))
    assert codes(await submit(broker, queue, 2, delay_ms=FAR_MS)) == [STORED, FULL]
    assert codes(await submit(broker, queue, 1)) == [FULL]


async def test_only_submissions_of_clients_are_refused(broker: Broker, queue: Queue) -> None:
    """Children, and jobs of schedules and workflows, are stored above the cap; so does a retry come back."""
    await broker.settings.limit(queue, QueueLimits(cap=1))
    assert codes(await submit(broker, queue, 1)) == [STORED]
    delivery = await take_one(broker, queue)
    assert codes(await broker.store.enqueue(queue, [new_job(queue), new_job(queue)])) == [STORED, STORED]
    await commit(broker, delivery, RetryAt(0, JobError("ValueError", "no")))
    await broker.store.release_due(queue)
    assert len(await take(broker, queue, limit=10)) == 3


async def test_a_job_that_is_stored_is_found_when_it_is_sent_again(broker: Broker, queue: Queue) -> None:
    """A repetition after a lost answer is no new job, however full the queue is."""
    await broker.settings.limit(queue, QueueLimits(cap=1))
    job = new_job(queue)
    assert codes(await broker.store.enqueue(queue, [job], is_capped=True)) == [STORED]
    assert codes(await broker.store.enqueue(queue, [job], is_capped=True)) == [EnqueueCode.STORED_BEFORE]


async def test_a_refused_submitter_learns_the_pace_of_the_queue(broker: Broker, queue: Queue) -> None:
    """Without starts in the last minute it is told the longest time, and a shorter one the more have started."""
    await broker.settings.limit(queue, QueueLimits(cap=1))
    (_, refused) = await submit(broker, queue, 2)
    assert refused.retry_after_ms == MINUTE_MS
    for _ in range(4):
        await commit(broker, await take_one(broker, queue))
        (_, refused) = await submit(broker, queue, 2)
    assert refused.retry_after_ms == pytest.approx(MINUTE_MS / 4, rel=0.35)


async def test_a_queue_without_a_cap_takes_all(broker: Broker, queue: Queue) -> None:
    """Neither a queue without limits nor one with others refuses a job, and a cap that is gone refuses none."""
    assert codes(await submit(broker, queue, 3)) == [STORED] * 3
    await broker.settings.limit(queue, QueueLimits(concurrency=1))
    assert codes(await submit(broker, queue, 3)) == [STORED] * 3
    await broker.settings.limit(queue, QueueLimits(cap=1))
    assert codes(await submit(broker, queue, 1)) == [FULL]
    await broker.settings.limit(queue, None)
    assert codes(await submit(broker, queue, 1)) == [STORED]


async def test_jobs_above_the_cap_of_their_key_are_refused(broker: Broker, queue: Queue) -> None:
    """A key has as many jobs as its cap says, those in one call and those that run included; others have room."""
    await broker.settings.limit(queue, QueueLimits(per_key=KeyLimits(cap=2)))
    assert codes(await submit(broker, queue, 3, key="acme")) == [STORED, STORED, KEY_FULL]
    assert codes(await submit(broker, queue, 1, key="other")) == [STORED]
    assert codes(await submit(broker, queue, 4)) == [STORED] * 4
    first, *_ = await take(broker, queue)
    assert codes(await submit(broker, queue, 1, key="acme")) == [KEY_FULL]
    await commit(broker, first)
    assert codes(await submit(broker, queue, 2, key="acme")) == [STORED, KEY_FULL]


async def test_a_key_above_its_cap_takes_no_place_of_the_queue(broker: Broker, queue: Queue) -> None:
    """A refused job leaves the room of the queue to others, and a full queue is told before a full key."""
    await broker.settings.limit(queue, QueueLimits(cap=3, per_key=KeyLimits(cap=1)))
    jobs = [new_job(queue, key=key) for key in ("acme", "acme", "other", "third", "third")]
    answers = await broker.store.enqueue(queue, jobs, is_capped=True)
    assert codes(answers) == [STORED, KEY_FULL, STORED, STORED, FULL]


async def test_a_refused_key_shares_the_pace_of_the_queue(broker: Broker, queue: Queue) -> None:
    """The more keys wait for their turn, the longer it takes until one of them has room."""
    await broker.settings.limit(queue, QueueLimits(concurrency=1, per_key=KeyLimits(cap=1)))
    for _ in range(8):
        await submit(broker, queue, 1, key="past")
        await commit(broker, await take_one(broker, queue))
    await submit(broker, queue, 1)
    await take_one(broker, queue)
    await submit(broker, queue, 1, key="acme")
    [alone] = await submit(broker, queue, 1, key="acme")
    for key in ("b", "c", "d"):
        await submit(broker, queue, 1, key=key)
    [among] = await submit(broker, queue, 1, key="acme")
    assert alone.retry_after_ms is not None
    assert among.retry_after_ms == pytest.approx(4 * alone.retry_after_ms, rel=0.35)
