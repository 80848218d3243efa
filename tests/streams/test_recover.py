"""recover.lua makes the jobs of a lost worker ready again, and buries one that has crashed too often."""

import pytest
from streams.audit import audit
from streams.seeds import (
    ERROR,
    commit,
    events,
    everything,
    job_of,
    lease,
    pending,
    recover_all,
    seed,
    seed_running,
    take,
    take_one,
)

from millstream_contracts import JobState, Priority, Queue, RetryAt, Snoozed
from millstream_streams import FROM_THE_START, Broker, LeaseCode

LEASE_MS = 30_000
ALL_DONE = ("", "", "")


async def age(broker: Broker, queue: Queue, entry: str, consumer: str, index: int = 2) -> None:
    """Make a pending entry look as if its worker had been silent for twice the lease."""
    stream = broker.keys.of(queue).ready[index - 1]
    await broker.client.xclaim(stream, "workers", consumer, 0, [entry], idle=2 * LEASE_MS, justid=True)


@pytest.mark.parametrize("priority", list(Priority))
async def test_recover_makes_the_job_of_a_silent_worker_ready(broker: Broker, queue: Queue, priority: Priority) -> None:
    """The job of a silent worker is charged a crash and no attempt, and is ready in the stream of its priority."""
    running = await seed_running(broker, queue, priority=priority)
    await age(broker, queue, running.entry, "w1", running.priority_index)
    recovery = await broker.store.recover(queue, lease_ms=LEASE_MS, max_crashes=3)
    await audit(broker, queue)
    (report,) = recovery.requeued
    assert (report.id, report.worker, report.delivery, report.crash_charged) == (running.id, "w1", 1, True)
    assert report.spec != b""
    assert (recovery.buried, recovery.strays, recovery.cursors) == ([], 0, ALL_DONE)
    again = await take_one(broker, queue, "w2")
    assert (again.id, again.priority_index) == (running.id, running.priority_index)
    assert (again.attempts, again.crashes, again.deliveries) == (0, 1, 2)


async def test_recover_leaves_a_lease_that_has_not_run_out(broker: Broker, queue: Queue) -> None:
    """A job whose lease has not run out stays with its worker."""
    silent, alive = await seed_running(broker, queue), await seed_running(broker, queue)
    for one in (silent, alive):
        await age(broker, queue, one.entry, "w1")
    assert await broker.store.renew(queue, consumer="w1", leases=[lease(alive)]) == [LeaseCode.RENEWED]
    recovery = await broker.store.recover(queue, lease_ms=LEASE_MS, max_crashes=3)
    assert [one.id for one in recovery.requeued] == [silent.id]
    assert (await job_of(broker, queue, alive.id)).state is JobState.RUNNING


async def test_recover_does_nothing_when_the_queue_was_never_used(broker: Broker, queue: Queue) -> None:
    """A call on a queue that was never used recovers nothing and makes no key."""
    recovery = await broker.store.recover(queue, lease_ms=0, max_crashes=3)
    assert (recovery.requeued, recovery.buried, recovery.strays) == ([], [], 0)
    assert recovery.cursors == ALL_DONE
    assert not await broker.client.exists(*broker.keys.of(queue).ready)


async def test_recover_charges_nothing_for_an_entry_that_was_read_but_not_claimed(broker: Broker, queue: Queue) -> None:
    """A job whose entry was read and not claimed is charged no crash, and no delivery or worker is reported for it."""
    await take(broker, queue)
    earlier = await seed_running(broker, queue, "w0")
    await commit(broker, earlier, Snoozed(0))
    job_id = earlier.id
    reader = broker.reader()
    await reader.wait([queue], consumer="w1", block_ms=0)
    await reader.close()
    recovery = await broker.store.recover(queue, lease_ms=0, max_crashes=1)
    assert [(one.id, one.worker, one.delivery, one.crash_charged) for one in recovery.requeued] == [
        (job_id, "", 0, False)
    ]
    again = await take_one(broker, queue)
    assert (again.id, again.crashes, again.deliveries) == (job_id, 0, 2)


async def test_recover_buries_a_job_that_has_crashed_too_often(broker: Broker, queue: Queue) -> None:
    """A job that has crashed too often is buried with the reason `crashed`."""
    running = await seed_running(broker, queue)
    for _ in range(2):
        assert await recover_all(broker, queue, max_crashes=3) == [running.id]
        await take_one(broker, queue)
    recovery = await broker.store.recover(queue, lease_ms=0, max_crashes=3)
    assert [one.id for one in recovery.buried] == [running.id]
    assert recovery.requeued == []
    job = await job_of(broker, queue, running.id)
    assert (job.state, job.reason, job.crashes, job.attempts) == (JobState.DEAD, "crashed", 3, 0)
    assert job.error is not None
    assert (job.error.type, job.error.fingerprint) == ("crashed", "crashed")
    assert "3 times" in job.error.message
    (letter,) = (await broker.listing.dead([queue], cursor=None, limit=10)).items
    assert (letter.id, letter.reason, letter.crashes) == (running.id, "crashed", 3)


async def test_recover_counts_crashes_apart_from_failures(broker: Broker, queue: Queue) -> None:
    """Failed attempts do not count against the crash limit, and crashes do not count as attempts."""
    running = await seed_running(broker, queue)
    for _ in range(3):
        await commit(broker, running, RetryAt(0, ERROR))
        running = await take_one(broker, queue)
    assert await recover_all(broker, queue, max_crashes=2) == [running.id]
    again = await take_one(broker, queue)
    assert (again.attempts, again.crashes) == (3, 1)


async def test_recover_ends_a_job_whose_cancellation_was_asked_for(broker: Broker, queue: Queue) -> None:
    """A recovered job whose cancellation was asked for is cancelled."""
    running = await seed_running(broker, queue)
    await broker.store.cancel(queue, [running.id])
    recovery = await broker.store.recover(queue, lease_ms=0, max_crashes=3)
    assert (recovery.requeued, recovery.buried, recovery.cancelled) == ([], [], 1)
    assert (await job_of(broker, queue, running.id)).state is JobState.CANCELLED


async def test_recover_changes_nothing_when_sent_again(broker: Broker, queue: Queue) -> None:
    """A second recovery, as by another reaper, finds nothing."""
    await seed_running(broker, queue)
    await recover_all(broker, queue)
    before = await everything(broker, queue)
    assert await recover_all(broker, queue) == []
    assert await everything(broker, queue) == before


async def test_recover_goes_on_from_its_cursors(broker: Broker, queue: Queue) -> None:
    """A call looks at a bounded number of entries, and its cursors lead through all streams to the end."""
    wanted = set()
    for priority in Priority:
        wanted |= set(await seed(broker, queue, 5, priority=priority))
    await take(broker, queue, limit=15)
    found: list[str] = []
    cursors, calls = FROM_THE_START, 0
    while any(cursors):
        recovery = await broker.store.recover(queue, lease_ms=0, max_crashes=3, cursors=cursors, limit=2)
        assert len(recovery.requeued) <= 6
        found += [one.id for one in recovery.requeued]
        cursors, calls = recovery.cursors, calls + 1
    assert sorted(found) == sorted(wanted)
    assert calls >= 3


async def test_recover_removes_entries_without_a_job(broker: Broker, torn_queue: Queue) -> None:
    """A pending entry whose hash or stream entry is gone is counted and removed."""
    stream = broker.keys.of(torn_queue).ready[1]
    orphan, deleted = await seed_running(broker, torn_queue), await seed_running(broker, torn_queue)
    await broker.client.delete(broker.keys.of(torn_queue).job(orphan.id))
    await broker.client.xdel(stream, deleted.entry)
    recovery = await broker.store.recover(torn_queue, lease_ms=0, max_crashes=3)
    assert recovery.requeued == []
    assert recovery.strays >= 1
    assert await pending(broker, stream) == []
    assert await broker.client.xlen(stream) == 0
    await broker.client.delete(broker.keys.of(torn_queue).job(deleted.id))


async def test_recover_removes_an_entry_that_its_job_no_longer_names(broker: Broker, torn_queue: Queue) -> None:
    """A pending entry that its job does not name is removed."""
    stream = broker.keys.of(torn_queue).ready[1]
    running = await seed_running(broker, torn_queue)
    await broker.client.hset(broker.keys.of(torn_queue).job(running.id), "entry", "1-1")
    recovery = await broker.store.recover(torn_queue, lease_ms=0, max_crashes=3)
    assert (recovery.requeued, recovery.strays) == ([], 1)
    assert await broker.client.xlen(stream) == 0
    assert (await job_of(broker, torn_queue, running.id)).state is JobState.RUNNING


async def test_recover_tells_of_its_jobs(broker: Broker, queue: Queue) -> None:
    """A call writes one event for the recovered jobs, and one for the buried jobs."""
    poison, other = await seed_running(broker, queue), await seed_running(broker, queue)
    await broker.client.hset(broker.keys.of(queue).job(poison.id), "crashes", 2)
    await recover_all(broker, queue)
    told = [
        (str(event.kind), [(one.id, one.state, one.detail) for one in event.jobs])
        for event in await events(broker, queue)
    ]
    assert told[-2:] == [("recovered", [(other.id, "queued", "")]), ("dead", [(poison.id, "dead", "crashed")])]


async def test_recover_looks_at_a_stream_once_in_a_pass(broker: Broker, queue: Queue) -> None:
    """What is delivered in a stream that an earlier call was done with is left to the next pass."""
    await seed(broker, queue, 3)
    await take(broker, queue, limit=3)
    first = await broker.store.recover(queue, lease_ms=0, max_crashes=3, limit=2)
    assert (len(first.requeued), first.cursors[0]) == (2, "")
    await seed(broker, queue, priority=Priority.HIGH)
    held = await take_one(broker, queue)
    assert held.priority_index == 1
    last = await broker.store.recover(queue, lease_ms=0, max_crashes=3, cursors=first.cursors, limit=2)
    assert (len(last.requeued), last.cursors) == (1, ALL_DONE)
    assert (await job_of(broker, queue, held.id)).state is JobState.RUNNING
