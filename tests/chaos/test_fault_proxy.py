"""The fault proxy causes the faults that it is told to."""

import time
from collections.abc import AsyncIterator

import anyio
import pytest
from chaos.fault_proxy import FaultProxy
from redis.exceptions import ConnectionError as RedisConnectionError
from streams.seeds import seed, take
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import Broker, open_broker
from millstream_streams.connection.address import parse_redis_url
from millstream_streams.connection.connections import Client, close, connect

BROKEN = (RedisConnectionError, ConnectionError)
"""The exceptions of a connection that was ended. TimeoutError is none of them, because the end is reported at once."""


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[FaultProxy]:
    """Yield a proxy for the Redis of this run."""
    async with FaultProxy(parse_redis_url(redis_url).hosts[0]) as opened:
        yield opened


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[Client]:
    """Yield a client that uses the proxy."""
    made = connect(parse_redis_url(proxy.url))
    yield made
    await close(made)


async def test_proxy_passes_commands_on_and_counts_them(proxy: FaultProxy, client: Client) -> None:
    """The proxy passes commands on and counts them."""
    before = proxy.traffic
    for _ in range(3):
        assert await client.ping()
    counted = proxy.traffic.since(before)
    assert counted.connections == 1
    # The first connection introduces itself as well.
    assert counted.commands >= 3


async def test_proxy_drops_connections_once_when_it_cuts(proxy: FaultProxy, client: Client) -> None:
    """A cut resets the connections once, and new ones are accepted."""
    await client.ping()
    proxy.cut()
    with pytest.raises(BROKEN):
        await client.ping()
    assert await client.ping()


async def test_proxy_resets_every_new_connection_while_it_refuses(proxy: FaultProxy, client: Client) -> None:
    """While it refuses, the proxy resets each new connection, and counts it."""
    proxy.refuse()
    before = proxy.traffic
    for _ in range(3):
        with pytest.raises(BROKEN):
            await client.ping()
    assert proxy.traffic.since(before).connections == 3
    proxy.heal()
    assert await client.ping()


async def test_proxy_holds_what_was_sent_and_delivers_it_when_it_heals(proxy: FaultProxy, client: Client) -> None:
    """The proxy holds data while it swallows, and delivers it when it heals, as a half-open link does."""
    await client.ping()
    answers = []

    async def ask() -> None:
        answers.append(await client.ping())

    async with anyio.create_task_group() as tasks:
        sent = proxy.traffic.commands
        proxy.swallow()
        tasks.start_soon(ask)
        await wait_until(lambda: proxy.traffic.commands > sent, "the proxy has the command")
        assert answers == []
        proxy.heal()
    assert answers == [True]


@pytest.mark.parametrize("slowness", [{"delay_s": 0.05}, {"bytes_per_s": 2_000.0}])
async def test_proxy_is_slow_in_each_direction(proxy: FaultProxy, client: Client, slowness: dict[str, float]) -> None:
    """A slow proxy delays data, or passes a few bytes a second, in each direction."""
    await client.ping()
    proxy.slow(**slowness)
    begun = time.monotonic()
    for _ in range(2):
        await client.echo("x" * 100)
    least_s = 2 * slowness["delay_s"] if "delay_s" in slowness else 100 / slowness["bytes_per_s"]
    assert time.monotonic() - begun >= least_s


async def test_proxy_tells_once_of_a_blocking_read_that_brings_a_job(proxy: FaultProxy, broker: Broker) -> None:
    """The proxy tells of the answer to a blocking read with a job, once, and of no read without one and of no claim."""
    queue = Queue(DEFAULT_TENANT, JobType("proxied"))
    told: list[int] = []
    async with open_broker(proxy.url, namespace=broker.keys.namespace) as other:
        reader = other.reader()
        await take(other, queue)
        proxy.on_read = lambda: told.append(1)
        assert await reader.wait([queue], consumer="w1", block_ms=1) == []
        await seed(broker, queue)
        assert len(await take(other, queue)) == 1
        assert told == []
        for _ in range(2):
            await seed(broker, queue)
            assert len(await reader.wait([queue], consumer="w1", block_ms=1)) == 1
        await reader.close()
    assert told == [1]
    assert proxy.on_read is None


async def test_proxy_ends_a_connection_whose_redis_is_not_there() -> None:
    """The proxy closes a connection at once whose Redis is not there."""
    async with FaultProxy(("127.0.0.1", 1)) as proxy:
        client = connect(parse_redis_url(proxy.url))
        with pytest.raises(BROKEN):
            await client.ping()
        await close(client)
