"""The pipelined client sends many commands over one connection, and survives its failures."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
import pytest
import uvloop
from anyio.abc import SocketAttribute, SocketStream
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from streams.cutting_proxy import CuttingProxy, cutting_proxy
from waiting import wait_until

from millstream_streams.connection.address import parse_redis_url
from millstream_streams.connection.connections import close, connect, pipelined
from millstream_streams.connection.pipelined import PipelinedClient


@asynccontextmanager
async def client_of(url: str, *, answer_within_s: float = 5.0) -> AsyncIterator[PipelinedClient]:
    """Yield a client of a server."""
    ordinary = connect(parse_redis_url(url), answer_within_s=answer_within_s)
    opened = pipelined(ordinary, answer_within_s=answer_within_s)
    try:
        yield opened
    finally:
        await close(opened)
        await close(ordinary)


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[CuttingProxy]:
    """Yield a proxy for Redis that can lose responses."""
    parts = urlsplit(redis_url)
    async with cutting_proxy((parts.hostname, parts.port)) as opened:
        yield opened


@asynccontextmanager
async def server(answer: Callable[[bytes], bytes]) -> AsyncIterator[tuple[str, list[SocketStream]]]:
    """Yield the URL of a server whose responses a function computes, and its connections."""
    connections: list[SocketStream] = []

    async def handle(stream: SocketStream) -> None:
        connections.append(stream)
        async with stream:
            async for asked in stream:
                # What redis-py says first is of no interest here.
                greeting = b"+OK\r\n" * asked.count(b"CLIENT") + b"+PONG\r\n" * asked.count(b"PING")
                await stream.send(greeting or answer(asked))

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield f"redis://127.0.0.1:{listener.extra(SocketAttribute.local_port)}", connections
        tasks.cancel_scope.cancel()


async def test_replies_reach_who_asked(redis_url: str) -> None:
    """Each reply reaches its caller, however many commands of whatever size are under way."""
    async with client_of(redis_url) as client, anyio.create_task_group() as tasks:

        async def ask(number: int) -> None:
            text = str(number) * (1 + number % 7 * 1_000)
            assert await client.execute_command("ECHO", text) == text.encode()

        for number in range(300):
            tasks.start_soon(ask, number)


async def test_an_error_is_raised_where_it_belongs(redis_url: str) -> None:
    """An error reply is raised in its caller by the class of redis-py, and the connection goes on."""
    async with client_of(redis_url) as client:
        own = await client.execute_command("CLIENT", "ID")
        with pytest.raises(NoScriptError):
            await client.execute_command("EVALSHA", "0" * 40, 0)
        with pytest.raises(ResponseError, match="wrong number"):
            await client.execute_command("GET")
        assert await client.execute_command("CLIENT", "ID") == own


async def test_a_caller_that_goes_away_takes_no_reply_of_others(redis_url: str) -> None:
    """The reply to a caller that was cancelled is given to no other."""
    async with client_of(redis_url) as client:
        own = await client.execute_command("CLIENT", "ID")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.execute_command, "DEBUG", "SLEEP", "0.05")
            await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert await client.execute_command("ECHO", "mine") == b"mine"
        assert await client.execute_command("CLIENT", "ID") == own


async def test_a_lost_connection_is_told_to_all_and_made_anew(proxy: CuttingProxy) -> None:
    """All commands under way on a lost connection fail, because they may have been executed, and a new one is made."""
    async with client_of(proxy.url) as client:
        await client.execute_command("PING")
        proxy.lose_answer_to("SLEEP")
        told = await asyncio.gather(
            client.execute_command("DEBUG", "SLEEP", "0.01"), client.execute_command("PING"), return_exceptions=True
        )
        assert [type(error) for error in told] == [RedisConnectionError] * 2
        assert await client.execute_command("ECHO", "again") == b"again"
        assert proxy.cuts == 1


async def test_a_server_that_says_nothing_is_left_in_time() -> None:
    """All callers of a silent server fail in time, and the next command gets a new connection."""
    async with server(lambda asked: b"") as (url, connections), client_of(url, answer_within_s=0.2) as client:
        told = await asyncio.gather(*(client.execute_command("GET", "a") for _ in range(3)), return_exceptions=True)
        assert [type(error) for error in told] == [RedisTimeoutError] * 3
        with pytest.raises(RedisTimeoutError):
            await client.execute_command("GET", "a")
        assert len(connections) == 2


async def test_a_server_that_became_a_replica_is_left() -> None:
    """A READONLY reply ends the connection, because the address may lead to another server by now."""
    replies = [b"-READONLY You can't write against a read only replica.\r\n", b"+OK\r\n"]
    async with server(lambda asked: replies.pop(0)) as (url, connections), client_of(url) as client:
        with pytest.raises(ReadOnlyError):
            await client.execute_command("SET", "a", "b")
        assert await client.execute_command("SET", "a", "b") == b"OK"
        assert len(connections) == 2


async def test_what_is_no_reply_ends_the_connection() -> None:
    """A response that is not in the protocol ends the connection."""
    async with server(lambda asked: b"HTTP/1.1 400 Bad Request\r\n") as (url, _), client_of(url) as client:
        with pytest.raises(RedisConnectionError, match="no reply"):
            await client.execute_command("GET", "a")


async def test_callers_share_one_attempt_to_connect(free_tcp_port: int) -> None:
    """Concurrent callers share one attempt to connect."""
    async with client_of(f"redis://127.0.0.1:{free_tcp_port}") as client:
        told = await asyncio.gather(*(client.execute_command("PING") for _ in range(20)), return_exceptions=True)
        assert all(isinstance(error, RedisConnectionError) for error in told)
        assert len({id(error) for error in told}) == 1


async def test_connections_are_of_redis_py_s_making(redis_url: str) -> None:
    """A connection selects the database and sets the name that URL and service ask for."""
    ordinary = connect(parse_redis_url(f"{redis_url.rpartition('/')[0]}/5"), name="ann")
    client = pipelined(ordinary, answer_within_s=5.0)
    described = (await client.execute_command("CLIENT", "INFO")).decode()
    await close(client)
    await close(ordinary)
    assert " name=ann " in described
    assert " db=5 " in described


async def test_a_closed_client_leaves_no_connection(redis_url: str) -> None:
    """A closed client leaves no connection, and calls under way fail with an error that says so."""
    async with client_of(redis_url) as other, client_of(redis_url) as client:
        own = await client.execute_command("CLIENT", "ID")
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                with pytest.raises(RedisConnectionError, match="given up"):
                    await client.execute_command("BLPOP", "nothing", 0)

            tasks.start_soon(wait)
            await wait_until(lambda: _blocked(other, own), "the command is under way")
            await close(client)
        await wait_until(lambda: _gone(other, own), "Redis has seen the connection end")


async def _blocked(other: PipelinedClient, client_id: int) -> bool:
    return b"cmd=blpop" in await other.execute_command("CLIENT", "LIST", "ID", client_id)


async def _gone(other: PipelinedClient, client_id: int) -> bool:
    return not await other.execute_command("CLIENT", "LIST", "ID", client_id)


async def test_commands_sent_together_are_answered_together(redis_url: str) -> None:
    """Commands sent together get their replies in order, beside those of others; an empty batch returns at once."""
    async with client_of(redis_url) as client, anyio.create_task_group() as tasks:

        async def ask(number: int) -> None:
            texts = [f"{number}.{place}" for place in range(number)]
            replies = await client.execute_many([("ECHO", text) for text in texts])
            assert replies == [text.encode() for text in texts]

        for number in range(50):
            tasks.start_soon(ask, number)


async def test_an_error_among_commands_sent_together_is_raised_once_and_shifts_no_reply(redis_url: str) -> None:
    """An error among commands sent together is raised once, and the next command gets its own reply.

    This holds also when the caller of the batch was cancelled.
    """
    async with client_of(redis_url) as client:
        own = await client.execute_command("CLIENT", "ID")
        with pytest.raises(ResponseError, match="wrong number"):
            await client.execute_many([("ECHO", "1"), ("GET",), ("ECHO", "2"), ("GET",)])
        with anyio.move_on_after(0):
            await client.execute_many([("ECHO", "3"), ("ECHO", "4")])
        assert await client.execute_command("ECHO", "5") == b"5"
        assert await client.execute_command("CLIENT", "ID") == own


def test_a_busy_loop_is_not_taken_for_a_silent_server(redis_url: str) -> None:
    """Replies that arrived while the loop was busy are read before the server counts as silent."""

    async def ask_and_be_busy() -> None:
        async with client_of(redis_url, answer_within_s=0.1) as client:
            own = await client.execute_command("CLIENT", "ID")
            asking = asyncio.ensure_future(client.execute_command("ECHO", "here"))
            await asyncio.sleep(0)
            time.sleep(0.3)  # noqa: ASYNC251 - the loop is busy
            assert await asking == b"here"
            assert await client.execute_command("CLIENT", "ID") == own

    # The loop of the services, which has an order of its own for sockets and timers.
    uvloop.run(ask_and_be_busy())


async def test_a_server_that_stops_in_the_middle_of_a_reply_is_left_in_time() -> None:
    """A server that stops in the middle of a reply is left after one time limit of silence."""

    async def begin(stream: SocketStream) -> None:
        async with stream:
            async for asked in stream:
                if greeting := b"+OK\r\n" * asked.count(b"CLIENT") + b"+PONG\r\n" * asked.count(b"PING"):
                    await stream.send(greeting)
                    continue
                await anyio.sleep(0.05)
                await stream.send(b"$8\r\nab")

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    url = f"redis://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, begin)
        async with client_of(url, answer_within_s=0.2) as client:
            with anyio.fail_after(20), pytest.raises(RedisTimeoutError):
                await client.execute_command("GET", "a")
        tasks.cancel_scope.cancel()


async def test_a_reply_that_takes_long_to_come_is_waited_for() -> None:
    """A large reply over a slow line is waited for as long as bytes arrive."""

    async def drip(stream: SocketStream) -> None:
        async with stream:
            async for asked in stream:
                if greeting := b"+OK\r\n" * asked.count(b"CLIENT") + b"+PONG\r\n" * asked.count(b"PING"):
                    await stream.send(greeting)
                    continue
                for piece in (b"$8\r\n", b"ab", b"cd", b"ef", b"gh", b"\r\n"):
                    await stream.send(piece)
                    await anyio.sleep(0.1)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    url = f"redis://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, drip)
        async with client_of(url, answer_within_s=0.3) as client:
            assert await client.execute_command("GET", "a") == b"abcdefgh"
        tasks.cancel_scope.cancel()


async def test_a_client_leaves_no_timer_behind(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would keep its connection, with all that it has read, in memory for as long as it may be waited for."""
    loop, timers = asyncio.get_running_loop(), list[asyncio.TimerHandle]()
    call_later = loop.call_later

    def note(delay: float, callback: Callable[..., object], *arguments: object) -> asyncio.TimerHandle:
        timers.append(call_later(delay, callback, *arguments))
        return timers[-1]

    async with client_of(redis_url, answer_within_s=600.0) as client:
        monkeypatch.setattr(loop, "call_later", note)
        for _ in range(3):
            await client.execute_command("PING")
            client.abort()
    far = [timer for timer in timers if timer.when() > loop.time() + 300.0]
    assert len(far) >= 3
    assert all(timer.cancelled() for timer in far)
