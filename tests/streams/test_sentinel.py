"""The store works where Sentinel names the primary. What a failover does stands in tests/topologies."""

from collections.abc import AsyncIterator

import pytest
from leftovers import delete_namespace
from redis_servers import LocalServer, ServerPool
from streams.seeds import commit, recover_all, seed, seed_running, take

from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import Queue
from millstream_streams import Broker, CommitCode, StoreUnavailableError, open_broker


@pytest.fixture
def sentinel_url(server_pool: ServerPool, redis_binary: RedisBinary) -> str:
    """Return the URL of a primary and a replica under three Sentinels."""
    return server_pool.url_of(LocalServer(redis_binary, "sentinel"))


@pytest.fixture
async def broker(sentinel_url: str, namespace: str) -> AsyncIterator[Broker]:
    """Yield a broker that asks Sentinel for its server."""
    async with open_broker(sentinel_url, namespace=namespace) as opened:
        yield opened
        await delete_namespace(opened.client, namespace)


async def test_jobs_go_through_where_sentinel_names_the_server(broker: Broker, queue: Queue, namespace: str) -> None:
    """Commands, blocking reads and lists reach the primary that Sentinel names."""
    await take(broker, queue)
    running = await seed_running(broker, queue)
    assert await commit(broker, running) is CommitCode.COMMITTED
    (job_id,) = await seed(broker, queue)
    reader = broker.reader()
    (entry,) = await reader.wait([queue], consumer="w1", block_ms=1000)
    await reader.close()
    assert entry.id == job_id
    assert await recover_all(broker, queue) == [job_id]
    assert (await broker.probe()).mode == "sentinel"
    _, primary = await broker.client.connection_pool.get_master_address()
    async with open_broker(f"redis://127.0.0.1:{primary}/0", namespace=namespace) as direct:
        assert (await direct.store.measure(queue)).queued == (0, 1, 0)


async def test_a_service_that_sentinel_does_not_know_is_unavailable(sentinel_url: str) -> None:
    """A name that Sentinel does not know raises unavailability, because Sentinel may learn it later."""
    async with open_broker(sentinel_url.replace("/main", "/other"), patience_s=0.0) as stray:
        with pytest.raises(StoreUnavailableError):
            await stray.ping()
