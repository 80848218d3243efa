"""The turns of a connection pool survive whatever happens to the callers that wait for them."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
import pytest
from chaos.fault_proxy import FaultProxy
from redis_servers import LocalServer, ServerPool
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis
from millstream_cli.redis_finder import RedisBinary
from millstream_streams import StoreBusyError, parse_redis_url
from millstream_streams.connection import turns
from millstream_streams.connection.connections import close, connect
from millstream_streams.connection.faults import translating

POOLED = 4
CALLS = 200


@pytest.fixture
async def link(own_redis: EmbeddedRedis) -> AsyncIterator[FaultProxy]:
    """Yield a proxy for Redis that a test can hold."""
    async with FaultProxy(("127.0.0.1", own_redis.port)) as proxy:
        yield proxy


@pytest.fixture
async def client(link: FaultProxy) -> AsyncIterator[Any]:
    """Yield a client of few connections."""
    opened = connect(parse_redis_url(link.url), max_connections=POOLED)
    yield opened
    await close(opened)


async def wait_used_up(client: Any) -> None:
    """Wait until every connection of the pool is made and in use."""
    pool = client.connection_pool
    await wait_until(lambda: len(pool._in_use_connections) == POOLED, "the pool is used up")


async def test_calls_that_are_cancelled_together_leave_the_pool_whole(client: Any, link: FaultProxy) -> None:
    """Calls that are cancelled together return their turns and connections."""
    link.swallow()
    async with anyio.create_task_group() as tasks:
        for _ in range(CALLS):
            tasks.start_soon(client.get, "a")
        await wait_used_up(client)
        tasks.cancel_scope.cancel()
    link.heal()
    before = link.traffic
    async with anyio.create_task_group() as tasks:
        for _ in range(CALLS):
            tasks.start_soon(client.get, "a")
    assert link.traffic.since(before).connections <= POOLED
    assert not client.connection_pool._in_use_connections
    assert len(client.connection_pool._available_connections) == POOLED


async def test_calls_are_served_in_the_order_in_which_they_came(client: Any, link: FaultProxy) -> None:
    """A new call does not overtake one that waits."""
    order: list[int] = []

    async def ask(number: int) -> None:
        await client.get("a")
        order.append(number)
        if number < POOLED:
            # They have a connection in hand and come again, behind all the others.
            await client.get("a")
            order.append(100 + number)

    link.slow(delay_s=0.002)
    async with anyio.create_task_group() as tasks:
        for number in range(5 * POOLED):
            tasks.start_soon(ask, number)
    assert sorted(order[-POOLED:]) == [100 + number for number in range(POOLED)]


async def test_a_call_that_waits_too_long_says_that_the_connections_are_in_use(
    client: Any, link: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that waits too long for a turn raises an error that names the used-up pool, and not Redis."""
    link.swallow()
    async with anyio.create_task_group() as tasks:
        for _ in range(POOLED):
            tasks.start_soon(client.get, "a")
        await wait_used_up(client)
        monkeypatch.setattr(turns, "WAIT_FOR_TURN_S", 0.05)
        with pytest.raises(StoreBusyError, match="all 4 connections to Redis are in use"):
            await translating(lambda: client.get("b"))
        tasks.cancel_scope.cancel()
    link.heal()
    assert await client.get("b") is None


async def test_a_connection_is_taken_back_while_its_caller_is_cancelled(client: Any) -> None:
    """A caller that is cancelled at every wait still returns its connection."""
    pool = client.connection_pool
    connection = await pool.get_connection()
    connection.mark_for_reconnect()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pool.release(connection)
    assert not pool._in_use_connections
    assert pool._available_connections == [connection]


async def test_a_connection_that_is_lost_and_cannot_be_made_again_gives_its_turn_back_once(
    client: Any, link: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is lost and cannot be made again returns its turn once, so that the limit holds."""
    async with anyio.create_task_group() as tasks:
        for _ in range(POOLED):
            tasks.start_soon(client.get, "a")
    link.refuse()
    link.cut()
    for _ in range(3 * POOLED):
        with pytest.raises(ConnectionError):
            await _plainly(client)
    link.heal()

    async def answers() -> bool:
        with suppress(ConnectionError):
            return await _plainly(client) is None
        return False

    for _ in range(POOLED):
        await wait_until(answers, "Redis answers again")
    link.swallow()
    async with anyio.create_task_group() as tasks:
        for _ in range(POOLED):
            tasks.start_soon(_stubbornly, client)
        await wait_used_up(client)
        monkeypatch.setattr(turns, "WAIT_FOR_TURN_S", 0.05)
        with pytest.raises(StoreBusyError, match="all 4 connections to Redis are in use"):
            await translating(lambda: client.get("b"))
        tasks.cancel_scope.cancel()


async def _stubbornly(client: Any) -> None:
    """Call until a call is under way, because a cut connection may show only when it is written to."""
    while True:
        with suppress(ConnectionError):
            await _plainly(client)


async def test_a_connection_that_cannot_be_made_gives_its_turn_back(free_tcp_port: int) -> None:
    """A connection that cannot be made returns its turn, so that an outage does not use up the pool."""
    client = connect(parse_redis_url(f"redis://127.0.0.1:{free_tcp_port}"), max_connections=POOLED)
    for _ in range(3 * POOLED):
        with pytest.raises(ConnectionError):
            await _plainly(client)
    await close(client)


async def _plainly(client: Any) -> None:
    try:
        await client.get("a")
    except Exception as error:
        raise ConnectionError(type(error).__name__) from error


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
async def test_more_calls_than_connections_wait_whatever_stands_between(
    server_pool: ServerPool, redis_binary: RedisBinary, kind: str
) -> None:
    """Calls beyond the number of connections wait, also through Sentinel and on a cluster."""
    url = server_pool.url_of(LocalServer(redis_binary, kind))
    client = connect(parse_redis_url(url), max_connections=POOLED)
    await client.initialize()
    async with anyio.create_task_group() as tasks:
        for _ in range(CALLS):
            tasks.start_soon(client.get, "a")
    await close(client)
