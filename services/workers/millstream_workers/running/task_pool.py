"""Tasks in which jobs run, one after the other: to start a task per job would cost more than a short job itself.

A task is used again only when the job before has left no trace in it, neither a context variable nor a cancellation,
and keeps no hold of it: what one job does is never seen by the next. So are the task's cancel scopes: to enter one per
job was an eighth of the time of a worker full of no-op jobs.

Jobs beyond the limit wait here for one that runs to end. If none does they are not kept: another worker may have room.
"""

import asyncio
import math
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable

from anyio.abc import TaskGroup

from millstream_workers.attempt.running import Running
from millstream_workers.attempt.stop_scope import StopScope
from millstream_workers.running.clean_context import CleanContext

KEPT_S = 0.05
"""For how long a job is kept that finds no task, at least; at most twice as long."""


class Runners:
    """Executes what it is given in tasks of the group, up to a limit at once. Lives on the event loop.

    As many tasks are kept as jobs have run side by side. A job that never waits lets the next one follow in the same
    task, without a turn of the loop between them.
    """

    def __init__(
        self,
        execute: Callable[[Running, StopScope], Awaitable[None]],
        *,
        limit: int,
        cleanup_s: float,
        clean: CleanContext,
        put_back: Callable[[Running], None],
    ) -> None:
        """`execute` is given a job and the scope by which it can be stopped.

        One that is stopped has `cleanup_s` seconds to clean up. Each starts in the context `clean`. `put_back` is given
        a job that will not be executed here.
        """
        self._execute = execute
        self._limit = limit
        self._cleanup_s = cleanup_s
        self._clean = clean
        self._put_back = put_back
        self._busy = 0
        """Jobs that are being executed."""
        self._watch: asyncio.TimerHandle | None = None
        self._ready: deque[Running] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._is_waking = False
        """Whether a task is on its way to look: it calls the next one when it finds more than one job."""
        self._tasks: TaskGroup | None = None

    def open(self, tasks: TaskGroup) -> None:
        """Run in this group from now on, until :meth:`close`."""
        self._tasks = tasks

    def start(self, running: Running) -> None:
        """Execute a delivery, at once or when one before it has ended."""
        self._ready.append(running)
        self._call_next()

    def put_back_waiting(self, since: float = math.inf) -> None:
        """Give up the jobs that have not begun, all or those that are here since then (`time.monotonic`)."""
        while self._ready and self._ready[0].begun_at <= since:
            self._put_back(self._ready.popleft())

    def close(self) -> None:
        """End the tasks that have nothing to do; no job may be started afterwards."""
        self._tasks = None
        if self._watch is not None:
            self._watch.cancel()
        while self._call_idle():
            pass

    def _call_next(self) -> None:
        """Have the next job executed, if there is one and a task for it; else see to it that it does not wait long."""
        if not self._ready:
            return
        if self._busy < self._limit:
            self._wake()
        elif self._watch is None:
            self._watch_waiting()

    def _watch_waiting(self) -> None:
        """Look after those that wait for as long as there are any."""
        self._watch = None
        self.put_back_waiting(time.monotonic() - KEPT_S)
        if self._ready:
            self._watch = asyncio.get_running_loop().call_later(KEPT_S, self._watch_waiting)

    def _wake(self) -> None:
        if self._is_waking or self._tasks is None:
            return
        self._is_waking = True
        if not self._call_idle():
            # A task takes over the context it is started from, which may be that of a job that has just ended.
            self._clean.run(self._tasks.start_soon, self._run)

    def _call_idle(self) -> bool:
        """Call a task that waits. Returns: whether there was one."""
        while self._idle:
            waiter = self._idle.pop()
            if not waiter.done():  # else its task is being cancelled
                waiter.set_result(None)
                return True
        return False

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        with StopScope(self._cleanup_s) as scope:
            references = sys.getrefcount(task)
            while True:
                self._is_waking = False
                while self._ready and self._busy < self._limit:
                    running = self._ready.popleft()
                    self._busy += 1
                    scope.is_clean = False
                    self._call_next()
                    try:
                        await self._execute(running, scope)
                    finally:
                        self._busy -= 1
                    if (
                        scope.is_spent
                        or task.cancelling()
                        # A handler that keeps a reference to its task could cancel the next job that runs in it.
                        or sys.getrefcount(task) > references
                        or not (scope.is_clean or self._clean.is_current())
                    ):
                        if self._ready:
                            self._wake()
                        return
                if self._tasks is None:
                    return
                waiter = asyncio.get_running_loop().create_future()
                self._idle.append(waiter)
                await waiter
