"""After a failover the store goes on at the new primary, with what was replicated."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from streams.audit import audit
from streams.seeds import commit, job_of, seed, seed_running, take
from topologies.sentinel import SentinelTrio, sentinel_trio

from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import DEFAULT_TENANT, JobState, JobType, Queue
from millstream_streams import Broker, CommitCode, ReadEntry, StoreUnavailableError, open_broker

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))


@pytest.fixture
def trio(redis_binary: RedisBinary, tmp_path: Path) -> Iterator[SentinelTrio]:
    """Yield a primary, a replica and three Sentinels that a test may stop."""
    with sentinel_trio(tmp_path / "trio", redis_binary) as running:
        yield running


@pytest.fixture
async def watched(trio: SentinelTrio, namespace: str) -> AsyncIterator[Broker]:
    """Yield a broker that is patient enough for a failover."""
    trio.wait_until_ready()
    async with open_broker(trio.url, namespace=namespace, patience_s=40.0) as opened:
        yield opened


def change_primary(trio: SentinelTrio, how: str) -> None:
    """Make the other server the only primary, and wait until it is.

    In a planned switch the old primary accepts writes for a while, which are lost.
    """
    old = trio.kill_primary() if how == "killed" else trio.failover()
    trio.wait_for_new_primary(old)
    if how == "swapped":
        trio.demote(old)


@pytest.mark.parametrize("how", ["killed", "swapped"])
async def test_the_store_goes_on_at_the_new_primary(watched: Broker, trio: SentinelTrio, how: str) -> None:
    """After a failover scripts are loaded again, commits and claims work, and each job is in one place."""
    running = await seed_running(watched, QUEUE)
    waiting = await seed(watched, QUEUE, 5)
    await anyio.to_thread.run_sync(trio.wait_until_replicated)
    await anyio.to_thread.run_sync(change_primary, trio, how)
    assert await commit(watched, running) is CommitCode.COMMITTED
    assert {one.id for one in await take(watched, QUEUE)} == set(waiting)
    assert (await job_of(watched, QUEUE, running.id)).state is JobState.SUCCEEDED
    await audit(watched, QUEUE)


async def test_a_blocking_read_finds_the_new_primary(watched: Broker, trio: SentinelTrio) -> None:
    """A blocking read leaves the old primary and continues at the new one."""
    await take(watched, QUEUE)
    reader, found = watched.reader(), list[ReadEntry]()

    async def read() -> None:
        while not found:
            try:
                found.extend(await reader.wait([QUEUE], consumer="w1", block_ms=1000))
            except StoreUnavailableError:
                await anyio.sleep(0.05)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.to_thread.run_sync(change_primary, trio, "killed")
        (job_id,) = await seed(watched, QUEUE)
    await reader.close()
    assert [entry.id for entry in found] == [job_id]
    await audit(watched, QUEUE)


async def test_what_was_not_replicated_is_forgotten_and_nothing_else(watched: Broker, trio: SentinelTrio) -> None:
    """A failover loses whole transitions at the tail, and each job is in one place (promise 6)."""
    kept = await seed_running(watched, QUEUE)
    await anyio.to_thread.run_sync(trio.wait_until_replicated)
    trio.replica.freeze()
    # What is in the sockets would still arrive when it thaws.
    trio.primary.ask("CLIENT", "KILL", "TYPE", "replica")
    assert await commit(watched, kept) is CommitCode.COMMITTED
    (lost,) = await seed(watched, QUEUE)
    old = trio.kill_primary()
    next(one for one in trio.servers if one is not old).thaw()
    await anyio.to_thread.run_sync(trio.wait_for_new_primary, old)
    assert await watched.views.job(QUEUE, lost) is None
    assert (await job_of(watched, QUEUE, kept.id)).state is JobState.RUNNING
    assert await commit(watched, kept) is CommitCode.COMMITTED
    await audit(watched, QUEUE)
