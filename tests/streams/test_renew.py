"""renew.lua renews a lease only for the worker that holds both the token and the pending entry."""

import msgspec
import pytest
from streams.seeds import (
    commit,
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

from millstream_contracts import Priority, Progress, Queue
from millstream_streams import Broker, Lease, LeaseCode

HOUR_MS = 3_600_000


async def idle_ms(broker: Broker, queue: Queue, priority: Priority = Priority.NORMAL) -> int:
    """Return how long the one pending entry has been idle."""
    stream = broker.keys.of(queue).ready[list(Priority).index(priority)]
    (row,) = await broker.client.xpending_range(stream, "workers", min="-", max="+", count=10)
    return row["time_since_delivered"]


@pytest.mark.parametrize("priority", list(Priority))
async def test_renew_starts_the_lease_anew(broker: Broker, queue: Queue, priority: Priority) -> None:
    """A renewal resets the idle time of the entry, and counts no delivery."""
    running = await seed_running(broker, queue, priority=priority)
    stream = broker.keys.of(queue).ready[running.priority_index - 1]
    await broker.client.xclaim(stream, "workers", "w1", 0, [running.entry], idle=HOUR_MS, justid=True)
    assert await idle_ms(broker, queue, priority) >= HOUR_MS
    codes = await broker.store.renew(queue, consumer="w1", leases=[lease(running)])
    assert codes == [LeaseCode.RENEWED]
    assert await idle_ms(broker, queue, priority) < HOUR_MS
    assert await pending(broker, stream) == [(running.entry.encode(), b"w1")]
    assert (await job_of(broker, queue, running.id)).deliveries == 1


async def test_renew_answers_each_lease_for_itself(broker: Broker, queue: Queue) -> None:
    """One call answers renewed, cancelled and lost for each lease by itself."""
    for priority in Priority:
        await seed(broker, queue, priority=priority)
    high, normal, low = await take(broker, queue)
    await broker.store.cancel(queue, [normal.id])
    await commit(broker, low)
    codes = await broker.store.renew(queue, consumer="w1", leases=[lease(high), lease(normal), lease(low)])
    assert codes == [LeaseCode.RENEWED, LeaseCode.CANCEL_REQUESTED, LeaseCode.LOST]


async def test_renew_renews_every_lease_of_a_call_with_its_own_progress(broker: Broker, queue: Queue) -> None:
    """One call renews leases of every priority, each with its own progress, and counts no delivery."""
    for priority in Priority:
        await seed(broker, queue, 2, priority=priority)
    running = await take(broker, queue)
    streams = broker.keys.of(queue).ready
    for one in running:
        stream = streams[one.priority_index - 1]
        await broker.client.xclaim(stream, "workers", "w1", 0, [one.entry], idle=HOUR_MS, justid=True)
    progress = {one.id: Progress(float(at)) for at, one in enumerate(running)}
    leases = [lease(one, msgspec.msgpack.encode(progress[one.id])) for one in running]
    assert await broker.store.renew(queue, consumer="w1", leases=leases) == [LeaseCode.RENEWED] * 6
    for stream in streams:
        rows = await broker.client.xpending_range(stream, "workers", min="-", max="+", count=10)
        assert [row["time_since_delivered"] < HOUR_MS for row in rows] == [True, True]
        assert [row["times_delivered"] for row in rows] == [1, 1]
    assert {one.id: (await job_of(broker, queue, one.id)).progress for one in running} == progress


async def test_renew_notes_progress(broker: Broker, queue: Queue) -> None:
    """A renewal stores progress, and one without progress keeps the last."""
    running = await seed_running(broker, queue)
    progress = Progress(12.5, "twelve and a half")
    await broker.store.renew(queue, consumer="w1", leases=[lease(running, msgspec.msgpack.encode(progress))])
    await broker.store.renew(queue, consumer="w1", leases=[lease(running)])
    assert (await job_of(broker, queue, running.id)).progress == progress


async def test_renew_does_not_steal_the_job_back(broker: Broker, queue: Queue) -> None:
    """A stale renewal is refused and does not touch lease, entry or progress of the new owner."""
    zombie = await seed_running(broker, queue)
    await recover_all(broker, queue)
    owner = await take_one(broker, queue, "w2")
    before = await everything(broker, queue)
    progress = msgspec.msgpack.encode(Progress(99.0))
    codes = await broker.store.renew(queue, consumer="w1", leases=[lease(zombie, progress)])
    assert codes == [LeaseCode.LOST]
    assert await everything(broker, queue) == before
    assert owner.token != zombie.token


async def test_renew_refuses_a_job_that_succeeded_though_its_entry_is_pending(
    broker: Broker, torn_queue: Queue
) -> None:
    """A renewal of a succeeded job is lost, also when its entry id is pending again after a failover."""
    running = await seed_running(broker, torn_queue)
    await commit(broker, running)
    stream = broker.keys.of(torn_queue).ready[1]
    await broker.client.delete(stream)
    await broker.client.xgroup_create(stream, "workers", id="0", mkstream=True)
    await broker.client.xadd(stream, {"id": "another"}, id=running.entry)
    await broker.client.xreadgroup("workers", "w1", {stream: ">"})
    codes = await broker.store.renew(torn_queue, consumer="w1", leases=[lease(running)])
    await broker.client.delete(stream)
    assert codes == [LeaseCode.LOST]


async def test_renew_refuses_the_right_token_in_other_hands(broker: Broker, queue: Queue) -> None:
    """A renewal with the right token is refused when another consumer holds the entry."""
    running = await seed_running(broker, queue)
    before = await everything(broker, queue)
    assert await broker.store.renew(queue, consumer="w2", leases=[lease(running)]) == [LeaseCode.LOST]
    assert await everything(broker, queue) == before


async def test_renew_refuses_a_recovered_job_that_nobody_took(broker: Broker, queue: Queue) -> None:
    """A recovered lease is lost, also while no other worker has the job."""
    running = await seed_running(broker, queue)
    await recover_all(broker, queue)
    assert await broker.store.renew(queue, consumer="w1", leases=[lease(running)]) == [LeaseCode.LOST]


async def test_renew_says_lost_when_all_keys_have_vanished(broker: Broker, queue: Queue) -> None:
    """After a FLUSHALL every lease is lost, without an error."""
    lost = Lease(id="email.send_0000000000000000000000000A", priority_index=2, entry="1-0", token="1:n")
    assert await broker.store.renew(queue, consumer="w1", leases=[lost]) == [LeaseCode.LOST]


async def test_renew_makes_no_event(broker: Broker, queue: Queue) -> None:
    """A renewal writes no event and no version."""
    running = await seed_running(broker, queue)
    keys = broker.keys.of(queue)
    told = await broker.client.xlen(keys.events)
    await broker.store.renew(queue, consumer="w1", leases=[lease(running, b"\x81\xa7percent\x01")])
    assert await broker.client.xlen(keys.events) == told
    assert (await job_of(broker, queue, running.id)).version == 2
