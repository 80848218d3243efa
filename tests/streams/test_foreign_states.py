"""Scripts leave a job in a state of a newer release, and its entry, to that release."""

from streams.seeds import FAR_MS, lease, seed, seed_due, take, take_one

from millstream_contracts import Queue, Succeeded
from millstream_streams import ActionCode, Broker, Commit, CommitCode, LeaseCode

STATE = "parked"


async def test_no_transition_moves_a_job_in_a_state_that_it_does_not_know(broker: Broker, torn_queue: Queue) -> None:
    """No script moves a job from a state that it does not know."""
    (job_id,) = await seed(broker, torn_queue)
    delivery = await take_one(broker, torn_queue)
    key = broker.keys.of(torn_queue).job(job_id)
    await broker.client.hset(key, "state", STATE)
    before = await broker.client.hgetall(key)
    store = broker.store
    assert await store.cancel(torn_queue, [job_id]) == [ActionCode.WRONG_STATE]
    assert await store.redrive(torn_queue, [job_id]) == [ActionCode.WRONG_STATE]
    assert await store.discard(torn_queue, [job_id]) == [ActionCode.WRONG_STATE]
    assert await store.erase(torn_queue, [job_id]) == [ActionCode.WRONG_STATE]
    assert await store.hand_back(torn_queue, worker="w1", deliveries=[delivery]) == [CommitCode.STALE]
    assert await store.commit(torn_queue, worker="w1", commits=[Commit(delivery, Succeeded(), 10_000)]) == [
        CommitCode.STALE
    ]
    assert await store.renew(torn_queue, consumer="w1", leases=[lease(delivery)]) == [LeaseCode.LOST]
    assert await store.note_unreadable(torn_queue, job_id, delivery.token, "d") == set()
    recovery = await store.recover(torn_queue, lease_ms=0, max_crashes=1)
    assert (recovery.requeued, recovery.buried, recovery.strays) == ([], [], 0)
    assert await broker.client.hgetall(key) == before
    assert await broker.client.xlen(broker.keys.of(torn_queue).ready[1]) == 1


async def test_no_claim_takes_the_entry_of_a_job_in_a_state_that_it_does_not_know(
    broker: Broker, torn_queue: Queue
) -> None:
    """No claim removes the entry of a job in an unknown state, with which a newer worker finds the job."""
    await take(broker, torn_queue)
    (job_id,) = await seed(broker, torn_queue)
    await broker.client.hset(broker.keys.of(torn_queue).job(job_id), "state", STATE)
    assert await take(broker, torn_queue) == []
    assert await broker.client.xlen(broker.keys.of(torn_queue).ready[1]) == 1


async def test_no_release_and_no_expiry_forgets_a_job_in_a_state_that_it_does_not_know(
    broker: Broker, torn_queue: Queue
) -> None:
    """Release and expiry skip a job in an unknown state, keep it in its index, and go on behind it."""
    keys, store = broker.keys.of(torn_queue), broker.store
    foreign, due = await seed_due(broker, torn_queue, 2, expires_in_ms=FAR_MS)
    await broker.client.hset(keys.job(foreign), "state", STATE)
    await broker.client.zadd(keys.expiring, {foreign: 1, due: FAR_MS + 1})
    release = await store.release_due(torn_queue)
    assert (release.released, release.next_in_ms is not None and release.next_in_ms > 0) == (1, True)
    expiry = await store.expire(torn_queue)
    assert (expiry.expired, expiry.next_in_ms is not None and expiry.next_in_ms > 0) == (0, True)
    assert await broker.client.zscore(keys.due, foreign) is not None
    assert await broker.client.zscore(keys.expiring, foreign) is not None
    assert await broker.client.hget(keys.job(foreign), "state") == STATE.encode()
