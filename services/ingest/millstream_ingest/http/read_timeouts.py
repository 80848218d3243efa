"""Ends reads in which nothing has arrived for too long, all of a process with one timer.

A timeout of asyncio for each body would take an eighth of the CPU of a submission, whose body is there at once.
"""

import asyncio
from typing import Any


class ReadTimeouts:
    """The reads of one event loop, each of which may wait for `patience_s` until something arrives."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._since: dict[asyncio.Task[Any], float] = {}
        """The time since which each task waits; the oldest first."""
        self._stalled: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        """The running loop, kept from the first wait on, because asking for it is a system call."""

    def begin(self) -> asyncio.Task[Any]:
        """Watch the current task, which has to call `end` with it. Returns: the task."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # a coroutine is running
        self._since[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._patience_s, self._look, loop)
        return task

    def renew(self, task: asyncio.Task[Any]) -> None:
        """Record that something has arrived."""
        if self._since.pop(task, None) is not None:
            self._since[task] = asyncio.get_running_loop().time()

    def end(self, task: asyncio.Task[Any]) -> None:
        """Stop watching a task."""
        self._since.pop(task, None)
        if self._stalled:
            self._stalled.discard(task)

    def is_stalled(self, task: asyncio.Task[Any]) -> bool:
        """Return whether a cancellation that the task has just caught came from here alone."""
        return task in self._stalled and task.uncancel() == 0

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel the tasks that have waited for too long, and check again when the next one could have."""
        self._timer = None
        before = loop.time() - self._patience_s
        for task, since in list(self._since.items()):
            if since > before:
                self._timer = loop.call_at(since + self._patience_s, self._look, loop)
                return
            del self._since[task]
            self._stalled.add(task)
            task.cancel()
