"""A blocking read wakes one worker for each job, and outlasts the loss of its streams."""

from contextlib import suppress
from functools import partial

import anyio
import pytest
from streams.seeds import FAR_MS, seed, take
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobType, Priority, Queue
from millstream_streams import MAX_BLOCK_S, Broker, ReadEntry, ReadyReader, StoreError, StoreUnavailableError
from millstream_streams.connection.connections import BLOCKING_MARGIN_S, connect

LONG_MS = 5_000


async def blocked(broker: Broker) -> int:
    """Return how many clients wait in a blocking call."""
    info = await broker.client.info("clients")
    return info["blocked_clients"]


async def test_wait_returns_what_is_ready_already(broker: Broker, queue: Queue) -> None:
    """A waiting job is returned at once, and is then pending with this consumer."""
    await take(broker, queue)
    (job_id,) = await seed(broker, queue, priority=Priority.LOW)
    reader = broker.reader()
    (entry,) = await reader.wait([queue], consumer="w1", block_ms=LONG_MS)
    await reader.close()
    assert (entry.queue, entry.priority_index, entry.id) == (queue, 3, job_id)
    assert [one.entry for one in await take(broker, queue, limit=0, read=[entry])] == [entry.entry]


@pytest.mark.parametrize("block_ms", [0, 1])
async def test_wait_returns_nothing_when_nothing_comes(broker: Broker, queue: Queue, block_ms: int) -> None:
    """A read of an idle queue returns nothing, and a read with no time to wait returns at once."""
    await take(broker, queue)
    reader = broker.reader()
    assert await reader.wait([queue], consumer="w1", block_ms=block_ms) == []
    await reader.close()


async def test_wait_wakes_when_a_job_arrives(broker: Broker, queue: Queue) -> None:
    """A job that arrives ends the wait of a worker."""
    await take(broker, queue)
    before = await blocked(broker)
    reader = broker.reader()
    found: list[ReadEntry] = []

    async def wait() -> None:
        while not found:
            found.extend(await reader.wait([queue], consumer="w1", block_ms=1000))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await wait_until(lambda: is_blocked(broker, before), "the worker waits")
        assert reader.is_blocked
        ids = await seed(broker, queue)
        await wait_until(lambda: found, "the worker has the job")
    assert not reader.is_blocked
    await reader.close()
    assert [one.id for one in found] == ids


async def is_blocked(broker: Broker, before: int) -> bool:
    """Return whether more clients wait than before."""
    return await blocked(broker) > before


async def is_free(broker: Broker, before: int) -> bool:
    """Return whether no more clients wait than before."""
    return await blocked(broker) <= before


async def test_wait_wakes_one_worker_per_job(broker: Broker, queue: Queue) -> None:
    """Of two waiting workers, one gets the job."""
    await take(broker, queue)
    before = await blocked(broker)
    readers = [broker.reader(), broker.reader()]
    found: list[ReadEntry] = []
    done: list[int] = []

    async def wait(number: int) -> None:
        found.extend(await readers[number].wait([queue], consumer=f"w{number}", block_ms=1000))
        done.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(2):
            tasks.start_soon(wait, number)
        await wait_until(lambda: both_blocked(broker, before), "both workers wait")
        ids = await seed(broker, queue)
    for reader in readers:
        await reader.close()
    assert [one.id for one in found] == ids
    assert len(done) == 2


async def both_blocked(broker: Broker, before: int) -> bool:
    """Return whether two more clients wait than before."""
    return await blocked(broker) >= before + 2


async def test_wait_reads_several_queues_and_priorities(broker: Broker, queue: Queue) -> None:
    """One read looks at all queues and priorities, and what it does not return is left for the next."""
    other = Queue(DEFAULT_TENANT, JobType("report.generate"), 7)
    wanted = set()
    for one in (queue, other):
        await take(broker, one)
        for priority in (Priority.HIGH, Priority.LOW):
            wanted |= set(await seed(broker, one, priority=priority))
    reader = broker.reader()
    found: list[ReadEntry] = []
    while entries := await reader.wait([queue, other], consumer="w1", block_ms=0):
        found += entries
    await reader.close()
    assert {one.id for one in found} == wanted
    assert {(one.queue.partition, one.priority_index) for one in found} == {(0, 1), (0, 3), (7, 1), (7, 3)}


async def test_wait_says_that_it_blocks_for_as_long_as_it_does(broker: Broker, queue: Queue) -> None:
    """A reader reports that it blocks for exactly as long as it does, also when the read fails."""
    reader = broker.reader()
    await reader.wait([queue], consumer="w1", block_ms=1)
    assert not reader.is_blocked
    await broker.client.set(broker.keys.of(queue).ready[0], "no stream")
    with pytest.raises(StoreError):
        await reader.wait([queue], consumer="w1", block_ms=1)
    assert not reader.is_blocked
    await broker.client.delete(broker.keys.of(queue).ready[0])
    await reader.close()


async def test_wait_makes_the_groups_that_are_missing(broker: Broker, queue: Queue) -> None:
    """A read makes missing groups, and then delivers what waits in their streams."""
    ids = await seed(broker, queue)
    reader = broker.reader()
    assert await reader.wait([queue], consumer="w1", block_ms=LONG_MS) == []
    (entry,) = await reader.wait([queue], consumer="w1", block_ms=LONG_MS)
    assert [entry.id] == ids
    await reader.close()


async def test_wait_outlasts_the_end_of_its_streams(broker: Broker, torn_queue: Queue) -> None:
    """After the loss of its streams, as by FLUSHALL, a read goes on and gets the jobs that follow."""
    await take(broker, torn_queue)
    before = await blocked(broker)
    reader = broker.reader()
    found: list[ReadEntry] = []

    async def wait() -> None:
        while not found:
            # Redis 7.0 ends the read with UNBLOCKED, later ones and Valkey with NOGROUP, 6.2 only with the time.
            with suppress(StoreUnavailableError):
                found.extend(await reader.wait([torn_queue], consumer="w1", block_ms=200))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await wait_until(lambda: is_blocked(broker, before), "the worker waits")
        await broker.client.delete(*broker.keys.of(torn_queue).ready)
        ids = await seed(broker, torn_queue)
        await wait_until(lambda: found, "the worker has the job that came later")
    await reader.close()
    assert [one.id for one in found] == ids


async def test_a_blocking_read_is_never_cut_by_its_own_socket(broker: Broker) -> None:
    """The socket timeout of a reader is longer than the longest read that is allowed."""
    client = connect(broker.address, blocks_for_s=MAX_BLOCK_S)
    assert client.connection_pool.connection_kwargs["socket_timeout"] >= MAX_BLOCK_S + BLOCKING_MARGIN_S
    await client.aclose()


async def test_a_read_that_is_given_up_takes_no_job(broker: Broker, queue: Queue) -> None:
    """A read that was cancelled takes no job, because its connection is closed."""
    await take(broker, queue)
    before = await blocked(broker)
    reader = broker.reader()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(reader.wait, [queue], consumer="w1", block_ms=LONG_MS))
        await wait_until(lambda: is_blocked(broker, before), "the worker waits")
        tasks.cancel_scope.cancel()
    await wait_until(lambda: is_free(broker, before), "Redis has forgotten it")
    (job_id,) = await seed(broker, queue)
    assert [one.id for one in await take(broker, queue, consumer="w2")] == [job_id]
    await reader.close()


async def test_wait_leaves_delayed_jobs_alone(broker: Broker, queue: Queue) -> None:
    """A job that is not due wakes no worker."""
    await take(broker, queue)
    await seed(broker, queue, delay_ms=FAR_MS)
    reader = broker.reader()
    assert await reader.wait([queue], consumer="w1", block_ms=1) == []
    await reader.close()


async def test_interrupt_ends_the_read_that_is_under_way(broker: Broker, queue: Queue) -> None:
    """An interrupt ends the read that is under way, without a cancellation and without a loss."""
    await take(broker, queue)
    before = await blocked(broker)
    reader, other = broker.reader(), broker.reader()
    ended: list[str] = []
    found: list[ReadEntry] = []

    async def wait(name: str, one: ReadyReader) -> None:
        found.extend(await one.wait([queue], consumer=name, block_ms=LONG_MS))
        ended.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, "w1", reader)
        tasks.start_soon(wait, "w2", other)
        await wait_until(lambda: both_blocked(broker, before), "both workers wait")
        await reader.interrupt()
        await wait_until(lambda: ended, "the read has ended")
        assert (ended, found) == (["w1"], [])
        ids = await seed(broker, queue)
    for one in (reader, other):
        await one.close()
    assert [one.id for one in found] == ids


async def test_interrupt_does_nothing_when_no_read_is_under_way(broker: Broker, queue: Queue) -> None:
    """An interrupt between two reads does nothing, and the connections stay usable."""
    await take(broker, queue)
    reader = broker.reader()
    await reader.interrupt()
    assert await reader.wait([queue], consumer="w1", block_ms=0) == []
    await reader.interrupt()
    await reader.close()
