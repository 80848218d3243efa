"""Stops the attempt that runs in a handler process, once, at the order of the worker.

A coroutine is cancelled by its loop. A plain function runs in the main thread, outside of any loop; a signal raises
CancelledError there, as Celery's soft time limit does with its own exception, so that its `finally` blocks run.
"""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from millstream.context import BaseContext
from millstream_workers.attempt.whereabouts import task_stack, thread_stack

SIGNAL = signal.SIGURG
"""A signal that is ignored by default: a late one, or one to a program that took the handler's place, does no harm."""

_AGAIN_S = 0.01
_DELICATE_MODULES = (
    "logging",
    "structlog",
    "millstream_telemetry",
    "millstream_workers.isolation.report_writer",
    "millstream_workers.isolation.frames",
)
"""Modules in which an exception would leave a lock held, or half of a frame sent."""


class RunningAttempt:
    """The running attempt, and how to stop it."""

    def __init__(self, number: int, context: BaseContext[Any]) -> None:
        self.number = number
        self.context = context
        self.task: asyncio.Task[object] | None = None
        """The task that runs it, if it is a coroutine."""
        self.is_plain = False
        """Whether a plain function runs now."""
        self.is_stopping = False
        self.is_stopped = False
        """Whether a plain function has been interrupted."""

    def check(self) -> None:
        """Raise CancelledError if it was stopped before it has begun."""
        if self.is_stopping:
            raise asyncio.CancelledError("stopped before it had begun")


class Interrupter:
    """Stops attempts by the number of their order, so that none is taken for the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell_stack: Callable[[int, str], None]) -> None:
        """Create it in the main thread. `tell_stack` is called with the number and the stack of one that is to stop."""
        self._loop = loop
        self._tell_stack = tell_stack
        self._current: RunningAttempt | None = None
        self._stopped = 0
        """The number of the last attempt that was to stop; it may not have begun."""
        self._main_thread = threading.main_thread().ident or 0
        signal.signal(SIGNAL, self._interrupt)

    def begin(self, attempt: RunningAttempt) -> None:
        """Let orders stop this attempt, until :meth:`end`."""
        self._current = attempt
        if attempt.number == self._stopped:
            self._mark(attempt)

    def end(self) -> None:
        """Let orders no longer stop the attempt."""
        self._current = None

    def stop(self, number: int) -> None:
        """Stop the attempt of this number. Call it in a thread other than the main one."""
        self._stopped = number
        attempt = self._current
        if attempt is not None and attempt.number == number and not attempt.is_stopping:
            # Before the handler hears of it: afterwards it is elsewhere.
            self._tell_stack(number, self._stack(attempt))
            self._mark(attempt)
            self._loop.call_soon_threadsafe(self._cancel, attempt)
            threading.Thread(target=self._ring, args=(attempt,), name="millstream-stopper", daemon=True).start()

    def whereabouts(self, number: int) -> str:
        """Return where the attempt of this number is; empty when it does not run. Call it as :meth:`stop`."""
        attempt = self._current
        return "" if attempt is None or attempt.number != number else self._stack(attempt)

    def _stack(self, attempt: RunningAttempt) -> str:
        """Return where the handler is, which is where the main thread is unless its coroutine waits."""
        waiting = "" if attempt.is_plain or attempt.task is None else task_stack(attempt.task)
        return waiting if waiting and self._is_loop_idle() else thread_stack(self._main_thread) or waiting

    def _is_loop_idle(self) -> bool:
        return asyncio.current_task(self._loop) is None

    def _mark(self, attempt: RunningAttempt) -> None:
        attempt.context.cancelled = attempt.is_stopping = True

    def _cancel(self, attempt: RunningAttempt) -> None:
        if attempt is self._current and attempt.task is not None:
            attempt.task.cancel()

    def _ring(self, attempt: RunningAttempt) -> None:
        """Send the signal until it takes effect, because it may find the main thread outside of the handler."""
        while attempt is self._current and not attempt.is_stopped:
            if attempt.is_plain:
                signal.pthread_kill(self._main_thread, SIGNAL)
            time.sleep(_AGAIN_S)

    def _interrupt(self, _number: int, frame: FrameType | None) -> None:
        attempt = self._current
        if attempt is None or not attempt.is_stopping or attempt.is_stopped or not attempt.is_plain:
            return
        delicate = _outermost_delicate(frame)
        if delicate is None:
            self._raise(attempt)
        elif sys.getprofile() is None:
            sys.setprofile(partial(self._raise_after, attempt, delicate))

    def _raise_after(
        self, attempt: RunningAttempt, delicate: FrameType, frame: FrameType, event: str, _: object
    ) -> None:
        """Raise when this frame is left: the signal would seldom find a function that logs in a loop outside of it."""
        if frame is delicate and event == "return":
            sys.setprofile(None)
            if attempt is self._current and attempt.is_plain:
                self._raise(attempt)

    def _raise(self, attempt: RunningAttempt) -> None:
        attempt.is_stopped = True
        raise asyncio.CancelledError("the attempt is being stopped")


def _outermost_delicate(frame: FrameType | None) -> FrameType | None:
    """Return the outermost frame out of which an exception would do harm, of those around this one."""
    found = None
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(_DELICATE_MODULES):
            found = frame
        frame = frame.f_back
    return found
