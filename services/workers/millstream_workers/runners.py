"""Tasks in which jobs run, one after the other: to start a task per job would cost more than a short job itself.

A task is used again only when the job before has left no trace in it, neither a context variable nor a
cancellation: what one job does is never seen by the next. So is the task's cancel scope: to enter one per job was an
eighth of the time of a worker full of no-op jobs.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from millstream_workers.running import Running


class Runners:
    """Executes what it is given, each at once, in a task of the group. Lives on the event loop.

    As many tasks are kept as jobs have run side by side. A job that never waits lets the next one follow in the same
    task, without a turn of the loop between them.
    """

    def __init__(self, execute: Callable[[Running, anyio.CancelScope], Awaitable[None]]) -> None:
        """`execute` is given a job and the scope by which it can be stopped, and may set that scope's deadline."""
        self._execute = execute
        self._ready: deque[Running] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._is_waking = False
        """Whether a task is on its way to look: it calls the next one when it finds more than one job."""
        self._tasks: TaskGroup | None = None

    def open(self, tasks: TaskGroup) -> None:
        """Run in this group from now on, until :meth:`close`."""
        self._tasks = tasks

    def start(self, running: Running) -> None:
        """Execute a delivery."""
        self._ready.append(running)
        self._wake()

    def close(self) -> None:
        """End the tasks that have nothing to do; no job may be started afterwards."""
        self._tasks = None
        for waiter in self._idle:
            waiter.set_result(None)
        self._idle.clear()

    def _wake(self) -> None:
        if self._is_waking or self._tasks is None:
            return
        self._is_waking = True
        if self._idle:
            self._idle.pop().set_result(None)
        else:
            self._tasks.start_soon(self._run)

    async def _run(self) -> None:
        task, untouched = asyncio.current_task(), contextvars.copy_context()
        assert task is not None
        with anyio.CancelScope() as scope:
            while True:
                self._is_waking = False
                while self._ready:
                    running = self._ready.popleft()
                    if self._ready:
                        self._wake()
                    await self._execute(running, scope)
                    if scope.cancel_called or task.cancelling() or contextvars.copy_context() != untouched:
                        if self._ready:
                            self._wake()
                        return
                if self._tasks is None:
                    return
                waiter = asyncio.get_running_loop().create_future()
                self._idle.append(waiter)
                await waiter
