"""One call of a handler in a thread: once stopped, it has its time for clean-up, and is then left behind.

A thread cannot be cancelled: `Context.cancelled` asks the handler to end. What it returns or raises after that is
dropped.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import anyio
import anyio.to_thread

from millstream_workers.attempt.attempt_result import Raised, Returned
from millstream_workers.attempt.running import NO_THREAD


class RunsInThread(Protocol):
    """What notes the thread in which a handler runs."""

    def note_thread(self, thread: int | None) -> None:
        """Note the number of the thread, NO_THREAD, or None for the loop."""
        ...


CallThread = Callable[[Callable[[], Any], RunsInThread], Awaitable[Any]]
"""Calls a function away from the event loop, and notes in which thread."""


class ThreadCall:
    """Calls a function in a thread and knows when it has ended."""

    __slots__ = ("_function", "_has_begun", "_has_ended", "_note_thread", "_on_end")

    def __init__(self, function: Callable[[], Any], note_thread: Callable[[int], object]) -> None:
        """Take a function. `note_thread` is called with the number of its thread, and with NO_THREAD once it ends."""
        self._function = function
        self._note_thread = note_thread
        self._has_begun = False
        self._has_ended = False
        self._on_end: Callable[[], object] | None = None

    async def run(self, limiter: anyio.CapacityLimiter) -> Any:
        """Return what the function returns. Raises: what it raises.

        Cancelled once, wait for the thread's end; cancelled again, leave it behind.
        """
        try:
            happened = await anyio.to_thread.run_sync(self._call, abandon_on_cancel=True, limiter=limiter)
        except asyncio.CancelledError:
            await self._end()
            raise
        match happened:
            case Raised(error):
                raise error
            case Returned(value):
                return value

    def _call(self) -> Returned | Raised:
        # Nothing that is raised leaves here: the machinery of threads and futures does not take every exception.
        self._has_begun = True
        self._note_thread(threading.get_ident())
        try:
            return Returned(self._function())
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything
            return Raised(error)
        finally:
            self._has_ended = True
            self._note_thread(NO_THREAD)
            if self._on_end is not None:
                with suppress(RuntimeError):  # the loop is closed: the worker has left without this thread
                    self._on_end()

    async def _end(self) -> None:
        """Wait until the thread has ended, if it has begun."""
        loop, ended = asyncio.get_running_loop(), anyio.Event()
        # First this, then the look: the thread does the same in the other order, so one of the two sees the other.
        self._on_end = lambda: loop.call_soon_threadsafe(ended.set)
        if self._has_begun and not self._has_ended:
            await ended.wait()
