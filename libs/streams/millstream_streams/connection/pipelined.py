"""A client for the hot path: it sends every command at once over one connection, and replies arrive in that order.

Redis-py packs each command in Python, takes a connection from a pool, sets up a timer and waits for a reader. Here
redis-py only makes the connection: address, TLS, authentication, Sentinel.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import hiredis
from redis._parsers import BaseParser
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.commands import AsyncCoreCommands
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from millstream_streams.connection.faults import is_of_replica

_NOTHING_YET = object()

Keep = Callable[[Exception], bool]
"""Decides whether an error takes the place of its reply, so that the replies to the other commands are not lost."""


def _nothing(_: Exception) -> bool:
    return False


class PipelinedClient:
    """Sends commands to one server; connects when it is first used, and again after a failure.

    A command under way when the connection fails may have been executed or not, as with any client.
    """

    def __init__(self, pool: ConnectionPool, *, answer_within_s: float) -> None:
        """Connect as a pool of redis-py would. Commands fail when no byte arrives for `answer_within_s`."""
        self._pool = pool
        self._answer_within_s = answer_within_s
        self._link: _Link | None = None
        self._connecting: asyncio.Task[_Link] | None = None

    async def execute_command(self, *command: Any) -> Any:
        """Send a command and return its reply. Raises: redis.RedisError."""
        return await (await self._connected()).send(hiredis.pack_command(command))

    async def execute_many(self, commands: Iterable[tuple[Any, ...]], *, keep: Keep = _nothing) -> list[Any]:
        """Send commands together and return their replies. Raises: redis.RedisError, the first one.

        An error for which `keep` is true is returned in place of its reply, with the replies to the others.
        """
        packed = [hiredis.pack_command(command) for command in commands]
        return await (await self._connected()).send_many(packed, keep)

    def abort(self) -> None:
        """Close the connection with all commands under way; the next command makes a new one."""
        if self._link is not None:
            self._link.end(RedisConnectionError("the client has given up the connection"))

    async def aclose(self) -> None:
        """Close the connection."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        self.abort()

    async def _connected(self) -> "_Link":
        if self._link is not None and self._link.address != self._address:
            # Another connection has learnt from a Sentinel that the primary is another server now.
            self._link.end(RedisConnectionError("this server is not the primary any more"))
        if self._link is not None and not self._link.has_ended:
            return self._link
        if self._connecting is None:
            # A task of its own: all callers share its result, and one that is cancelled does not end it.
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(self._note_connected)
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> "_Link":
        connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        return _Link(connection, self._address, self._answer_within_s)

    @property
    def _address(self) -> object:
        """The address of the primary as the Sentinels last named it; None without Sentinel."""
        return getattr(self._pool, "master_address", None)

    def _note_connected(self, connecting: "asyncio.Task[_Link]") -> None:
        self._connecting = None
        # The callers that waited have the error, if there is one.
        if not connecting.cancelled() and connecting.exception() is None:
            self._link = connecting.result()


class PipelinedCommands(AsyncCoreCommands):
    """The commands of redis-py, with its forms of replies, over a client of this module."""

    _event_dispatcher: Any = None
    """The attribute that redis-py's commands read of its own clients."""

    def __init__(self, client: PipelinedClient, callbacks: Mapping[str, Callable[..., Any]]) -> None:
        """Take the `callbacks` of a client of redis-py, which bring replies into their forms."""
        self._client = client
        self._callbacks = callbacks

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        """Send a command and return its reply. Raises: redis.RedisError."""
        name, *arguments = command
        reply = await self._client.execute_command(*name.split(), *arguments)
        # Only the caches of redis-py have a use for the names of the keys.
        options.pop("keys", None)
        callback = self._callbacks.get(name)
        return callback(reply, **options) if callback else reply

    async def execute_many(self, commands: Iterable[tuple[Any, ...]], *, keep: Keep = _nothing) -> list[Any]:
        """Send commands together, as :meth:`PipelinedClient.execute_many` does."""
        return await self._client.execute_many(commands, keep=keep)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()


class _Replies:
    """The replies to commands that were sent together; the link uses it like the future of one reply."""

    def __init__(self, all_replies: "asyncio.Future[list[Any]]", count: int, keep: Keep = _nothing) -> None:
        self.all = all_replies
        self._count = count
        self._keep = keep
        self._found: list[Any] = []
        if not count:
            all_replies.set_result([])

    def done(self) -> bool:
        return self.all.done()

    def set_result(self, reply: Any) -> None:
        self._found.append(reply)
        if len(self._found) == self._count:
            self.all.set_result(self._found)

    def set_exception(self, error: Exception) -> None:
        if self._keep(error):
            self.set_result(error)
        else:
            self.all.set_exception(error)


class _Waiting(NamedTuple):
    """A command under way."""

    reply: "asyncio.Future[Any] | _Replies"
    since: float
    """The time of sending, on the clock of the loop."""


class _Link(asyncio.Protocol):
    """One connection, from the time when it is ready for commands to its end."""

    def __init__(self, connection: AbstractConnection, address: object, answer_within_s: float) -> None:
        """Take the transport over from a connection of redis-py, which has been greeted and has nothing to read."""
        writer = connection._writer  # noqa: SLF001 - no other way leads to the transport
        assert writer is not None
        # It must not close what is no longer its own.
        connection._writer = connection._reader = None  # noqa: SLF001
        self.address = address
        self.has_ended = False
        self._loop = asyncio.get_running_loop()
        self._answer_within_s = answer_within_s
        self._waiting: deque[_Waiting] = deque()
        self._watch: asyncio.TimerHandle | None = None
        self._heard_at = self._loop.time()
        """The time at which the last byte arrived."""
        self._parser = hiredis.Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=_NOTHING_YET
        )
        # Kept, for a writer that is forgotten closes its transport.
        self._writer = writer
        self._transport = writer.transport
        self._transport.set_protocol(self)

    def send(self, packed: bytes) -> "asyncio.Future[Any]":
        """Send a command. Raises: RedisConnectionError, when nothing was sent."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._write(packed)
        self._waiting.append(_Waiting(reply, self._loop.time()))
        return reply

    def send_many(self, packed: Sequence[bytes], keep: Keep = _nothing) -> "asyncio.Future[list[Any]]":
        """Send commands in one write. Raises: RedisConnectionError, when nothing was sent."""
        replies = _Replies(self._loop.create_future(), len(packed), keep)
        if packed:
            self._write(b"".join(packed))
            self._waiting.extend([_Waiting(replies, self._loop.time())] * len(packed))
        return replies.all

    def _write(self, packed: bytes) -> None:
        if self.has_ended:
            raise RedisConnectionError("the connection was closed")
        try:
            self._transport.write(packed)
        except RuntimeError as error:  # uvloop's answer on a connection that the other end has reset
            reset = RedisConnectionError(f"the connection was reset: {error}")
            self.end(reset)
            raise reset from error
        if self._watch is None:
            self._watch = self._loop.call_later(self._answer_within_s, self._look)

    def data_received(self, data: bytes) -> None:
        """Give each complete reply to its command."""
        self._heard_at = self._loop.time()
        self._parser.feed(data)
        try:
            while (reply := self._parser.gets()) is not _NOTHING_YET:
                self._answer(reply)
        except InvalidResponse as error:
            self.end(RedisConnectionError(f"no reply of Redis: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail all commands under way."""
        self.end(RedisConnectionError(f"Redis has closed the connection: {error or 'end of stream'}"))

    def end(self, error: Exception) -> None:
        """Close the connection; commands under way fail with this error."""
        self.has_ended = True
        self._transport.abort()
        if self._watch is not None:
            self._watch.cancel()
        while self._waiting:
            reply = self._waiting.popleft().reply
            if not reply.done():  # its caller was cancelled
                reply.set_exception(error)

    def _answer(self, reply: Any) -> None:
        if not self._waiting:  # the link has ended
            return
        future = self._waiting.popleft().reply
        if not isinstance(reply, RedisError):
            if not future.done():
                future.set_result(reply)
            return
        if not future.done():
            future.set_exception(reply)
        if isinstance(reply, RedisConnectionError) or is_of_replica(reply):
            self.end(RedisConnectionError(f"this connection is of no use any more: {reply}"))

    def _look(self) -> None:
        """Close the connection when a command waits and no byte has arrived for too long; one timer serves all."""
        self._watch = None
        if not self._waiting:
            return
        # Replies come in order, so what comes is a part of the oldest one: a large one may take its time.
        silent_since = max(self._waiting[0].since, self._heard_at)
        left_s = silent_since + self._answer_within_s - self._loop.time()
        if left_s > 0:
            self._watch = self._loop.call_later(left_s, self._look)
        else:
            self.end(RedisTimeoutError(f"Redis did not answer within {self._answer_within_s:g} s"))
