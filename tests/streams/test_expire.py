"""expire.lua expires a job that has not started in time, also in a queue that no worker claims from."""

from streams.audit import audit
from streams.seeds import FAR_MS, LONG_AGO_MS, events, everything, job_of, seed, seed_dead, seed_running, take

from millstream_contracts import JobState, Queue
from millstream_streams import Broker, Expiry


async def test_expire_ends_what_waits_too_long(broker: Broker, queue: Queue) -> None:
    """Ready and scheduled jobs expire without any worker."""
    ids = await seed(broker, queue, 2, expires_at_ms=LONG_AGO_MS)
    ids += await seed(broker, queue, delay_ms=FAR_MS, expires_at_ms=LONG_AGO_MS)
    assert await broker.store.expire(queue) == Expiry(3, None)
    await audit(broker, queue)
    assert {(await job_of(broker, queue, one)).state for one in ids} == {JobState.EXPIRED}
    told = (await events(broker, queue))[-1]
    assert (told.kind, sorted(one.id for one in told.jobs)) == ("expired", sorted(ids))


async def test_expire_leaves_what_has_time_or_no_expiry(broker: Broker, queue: Queue) -> None:
    """No job expires before its time, and the response says when the next one does."""
    await seed(broker, queue)
    await seed(broker, queue, expires_in_ms=2 * FAR_MS)
    await seed(broker, queue, delay_ms=1, expires_in_ms=FAR_MS)
    before = await everything(broker, queue)
    found = await broker.store.expire(queue)
    assert found.expired == 0
    assert found.next_in_ms is not None
    assert 0 < found.next_in_ms <= FAR_MS
    assert await everything(broker, queue) == before


async def test_expire_leaves_a_job_that_has_started(broker: Broker, queue: Queue) -> None:
    """A job that has started in time does not expire, and neither does a dead one."""
    running = await seed_running(broker, queue, expires_in_ms=FAR_MS)
    dead = await seed_dead(broker, queue, expires_in_ms=FAR_MS)
    keys = broker.keys.of(queue)
    for job_id in (running.id, dead):
        await broker.client.hset(keys.job(job_id), "expires_at", LONG_AGO_MS)
        await broker.client.zadd(keys.expiring, {job_id: LONG_AGO_MS})
    assert await broker.store.expire(queue) == Expiry(0, None)
    assert (await job_of(broker, queue, running.id)).state is JobState.RUNNING
    assert (await job_of(broker, queue, dead)).state is JobState.DEAD


async def test_expire_leaves_a_redriven_job(broker: Broker, queue: Queue) -> None:
    """A redriven job no longer expires."""
    job_id = await seed_dead(broker, queue, expires_in_ms=FAR_MS)
    await broker.store.redrive(queue, [job_id])
    await broker.client.zadd(broker.keys.of(queue).expiring, {job_id: LONG_AGO_MS})
    assert (await broker.store.expire(queue)).expired == 0
    assert [one.id for one in await take(broker, queue)] == [job_id]


async def test_expire_ends_a_job_that_was_read_but_not_claimed(broker: Broker, queue: Queue) -> None:
    """A job whose entry was read and not claimed expires."""
    await take(broker, queue)
    (job_id,) = await seed(broker, queue, expires_at_ms=LONG_AGO_MS)
    reader = broker.reader()
    (entry,) = await reader.wait([queue], consumer="w1", block_ms=0)
    await reader.close()
    assert await broker.store.expire(queue) == Expiry(1, None)
    assert await take(broker, queue, read=[entry], resume=True) == []
    assert (await job_of(broker, queue, job_id)).state is JobState.EXPIRED


async def test_expire_is_bounded_and_says_that_more_are_due(broker: Broker, queue: Queue) -> None:
    """A call expires a bounded number of jobs, and says that more are due."""
    await seed(broker, queue, 3, expires_at_ms=LONG_AGO_MS)
    assert await broker.store.expire(queue, limit=2) == Expiry(2, 0)
    assert await broker.store.expire(queue, limit=2) == Expiry(1, None)


async def test_expire_does_nothing_when_the_queue_was_never_used(broker: Broker, queue: Queue) -> None:
    """A call on a queue that was never used expires nothing and makes no key."""
    assert await broker.store.expire(queue) == Expiry(0, None)
    assert not await broker.client.exists(*broker.keys.of(queue).script_keys)
