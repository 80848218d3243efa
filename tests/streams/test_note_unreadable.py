"""note_unreadable.lua records with a job which releases could not read it."""

from streams.seeds import ERROR, commit, seed_running

from millstream_contracts import Dead, Queue
from millstream_streams import Broker


async def test_each_release_is_noted_once(broker: Broker, queue: Queue) -> None:
    """Each release is recorded once, however many of its workers have tried."""
    job = await seed_running(broker, queue)
    assert await broker.store.note_unreadable(queue, job.id, job.token, "ab") == {"ab"}
    assert await broker.store.note_unreadable(queue, job.id, job.token, "cd") == {"ab", "cd"}
    assert await broker.store.note_unreadable(queue, job.id, job.token, "ab") == {"ab", "cd"}
    await commit(broker, job)


async def test_a_stale_delivery_notes_nothing(broker: Broker, queue: Queue) -> None:
    """A stale delivery records nothing."""
    job = await seed_running(broker, queue)
    assert await broker.store.note_unreadable(queue, job.id, "1:other", "ab") == set()
    await commit(broker, job)
    assert await broker.store.note_unreadable(queue, job.id, job.token, "ab") == set()
    assert not await broker.client.hexists(broker.keys.of(queue).job(job.id), "unread_by")


async def test_a_digest_that_is_a_part_of_another_is_one_of_its_own(broker: Broker, queue: Queue) -> None:
    """Digests are compared whole, so that one that is a part of another counts for itself."""
    job = await seed_running(broker, queue)
    await broker.store.note_unreadable(queue, job.id, job.token, "abcd")
    assert await broker.store.note_unreadable(queue, job.id, job.token, "bc") == {"abcd", "bc"}
    await commit(broker, job)


async def test_a_redriven_job_is_tried_by_all_again(broker: Broker, queue: Queue) -> None:
    """A redrive clears the record, so that each release tries the job again."""
    job = await seed_running(broker, queue)
    await broker.store.note_unreadable(queue, job.id, job.token, "ab")
    await commit(broker, job, Dead("invalid_payload", ERROR))
    await broker.store.redrive(queue, [job.id])
    assert not await broker.client.hexists(broker.keys.of(queue).job(job.id), "unread_by")
