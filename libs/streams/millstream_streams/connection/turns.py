"""Lets calls take the connections of a pool in turn: first come, first served.

Redis-py's own pools raise where no connection is free, or let new calls overtake waiting ones; after some seconds they
say that there is no connection, which reads as if Redis were away.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.sentinel import SentinelConnectionPool

from millstream_streams.errors import StoreBusyError

WAIT_FOR_TURN_S = 5.0
"""A call that has waited this long is refused: those behind it would wait even longer."""


class Turns:
    """Lets at most `count` calls run at once, first come, first served."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = anyio.Semaphore(count, fast_acquire=True)

    async def take(self) -> None:
        """Wait for a turn, which :meth:`give_back` returns. Raises: StoreBusyError."""
        try:
            self._free.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(WAIT_FOR_TURN_S):
                await self._free.acquire()
                return
            raise StoreBusyError(f"all {self._count} connections to Redis are in use") from None

    def give_back(self) -> None:
        """Let the next call go ahead."""
        self._free.release()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold a turn for the length of a block. Raises: StoreBusyError."""
        await self.take()
        try:
            yield
        finally:
            self.give_back()


class _InTurn:
    """A pool whose connections are taken in turn."""

    def __init__(self, *arguments: Any, max_connections: int, **options: Any) -> None:
        super().__init__(*arguments, max_connections=max_connections, **options)  # type: ignore[call-arg]
        self._turns = Turns(max_connections)
        self._taken: set[AbstractConnection] = set()

    async def get_connection(self, *arguments: Any, **options: Any) -> AbstractConnection:
        """Return a connection that no other call uses. Raises: StoreBusyError, redis.RedisError."""
        await self._turns.take()
        try:
            connection: AbstractConnection = await super().get_connection(*arguments, **options)  # type: ignore[misc]
        except BaseException:
            self._turns.give_back()
            raise
        self._taken.add(connection)
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Take a connection back."""
        try:
            # redis-py does this while a cancellation goes up; anyio cancels once more whatever waits then, and the
            # connection would be lost to the pool.
            with anyio.CancelScope(shield=True):
                await super().release(connection)  # type: ignore[misc]
        finally:
            # redis-py releases by itself what it could not connect.
            if connection in self._taken:
                self._taken.remove(connection)
                self._turns.give_back()


class InTurnPool(_InTurn, ConnectionPool):
    """A pool of connections to one server."""


class InTurnSentinelPool(_InTurn, SentinelConnectionPool):
    """A pool of connections to the primary that Sentinels name."""
