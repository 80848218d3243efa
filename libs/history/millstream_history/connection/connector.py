"""Connects for a pool, and keeps for the next caller what a cancelled one began.

A read has less time than a slow network, TLS and a password may take to connect. Were the attempt cancelled with the
read, each read would begin anew, and none would ever have a connection.
"""

import asyncio

import asyncpg

from millstream_history.connection.address import Address
from millstream_history.connection.connecting import connect

_Attempt = asyncio.Task["asyncpg.Connection[object]"]


class Connector:
    """Makes connections to one address. Tasks may share it.

    It keeps no more attempts than were under way at once, which a pool bounds, and each ends within the time that the
    address allows for a connection.
    """

    def __init__(self, address: Address, *, answer_within_s: float | None) -> None:
        self._address = address
        self._answer_within_s = answer_within_s
        self._kept: list[_Attempt] = []

    async def connect(self) -> "asyncpg.Connection[object]":
        """Return a connection. Raises: HistoryFileError, and all that asyncpg raises."""
        attempt = self._kept_attempt() or asyncio.get_running_loop().create_task(
            connect(self._address, answer_within_s=self._answer_within_s)
        )
        try:
            return await asyncio.shield(attempt)
        except asyncio.CancelledError:
            self._kept.append(attempt)
            raise

    async def aclose(self) -> None:
        """End the attempts that no caller waits for, and close their connections."""
        for attempt in self._kept:
            attempt.cancel()
        for result in await asyncio.gather(*self._kept, return_exceptions=True):
            if isinstance(result, asyncpg.Connection):
                result.terminate()
        self._kept.clear()

    def _kept_attempt(self) -> _Attempt | None:
        """Return an attempt that goes on, or whose connection is open still."""
        while self._kept:
            attempt = self._kept.pop(0)
            if not attempt.done() or (attempt.exception() is None and not attempt.result().is_closed()):
                return attempt
        return None
