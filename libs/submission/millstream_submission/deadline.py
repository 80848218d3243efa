"""Bounds a wait for Redis by time, and does not count time in which the event loop was busy.

A loop that was busy for a second finds both at once: the response, unread, and the end of the wait for it.
"""

import asyncio
from types import TracebackType
from typing import Self

READ_WITHIN_S = 0.01
"""How much longer to wait once the time is over, in which the loop reads what has arrived."""


class Deadline:
    """Ends a block that takes longer with a TimeoutError."""

    __slots__ = ("_loop", "_seconds", "_timeout", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._timer = self._loop.call_later(self._seconds, self._read_once_more)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def _read_once_more(self) -> None:
        self._timeout.reschedule(self._loop.time() + READ_WITHIN_S)
