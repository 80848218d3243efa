"""Tasks in which jobs run one after the other, because a task per job would cost more than a short job itself.

A task and its cancel scopes are used again only when the last job has left no trace in them: no context variable, no
cancellation, no reference to the task. So no job sees the state of an earlier one.

Jobs beyond the limit wait here until a job ends, for a short time only, because another worker may have room.
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
"""A job that gets no task is given up after KEPT_S to 2 x KEPT_S."""


class TaskPool:
    """Executes deliveries in tasks of a group, up to a limit at once. Lives on the event loop.

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
        give_up: Callable[[Running], None],
    ) -> None:
        """Take `execute`, which is called with a job and the scope by which it can be stopped.

        A job that is stopped has `cleanup_s` seconds to clean up. Each starts in the context `clean`. `give_up` is
        called with a job that will not be executed here.
        """
        self._execute = execute
        self._limit = limit
        self._cleanup_s = cleanup_s
        self._clean = clean
        self._give_up = give_up
        self._busy = 0
        """The number of jobs that are being executed."""
        self._watch: asyncio.TimerHandle | None = None
        self._ready: deque[Running] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._is_waking = False
        """Whether a task was woken to look for jobs. It calls the next task when it finds more than one."""
        self._tasks: TaskGroup | None = None

    def open(self, tasks: TaskGroup) -> None:
        """Run in this task group from now on, until :meth:`close`."""
        self._tasks = tasks

    def start(self, running: Running) -> None:
        """Execute a delivery, at once or when one before it has ended."""
        self._ready.append(running)
        self._call_next()

    def give_up_waiting(self, since: float = math.inf) -> None:
        """Give up the jobs that have not begun: all, or those that arrived by `since` (`time.monotonic`)."""
        while self._ready and self._ready[0].begun_at <= since:
            self._give_up(self._ready.popleft())

    def close(self) -> None:
        """End the idle tasks; no job may be started afterwards."""
        self._tasks = None
        if self._watch is not None:
            self._watch.cancel()
        while self._call_idle():
            pass

    def _call_next(self) -> None:
        """Let a task execute the next job; when all are busy, watch that the job does not wait for long."""
        if not self._ready:
            return
        if self._busy < self._limit:
            self._wake()
        elif self._watch is None:
            self._watch_waiting()

    def _watch_waiting(self) -> None:
        """Give up jobs that have waited for KEPT_S, and check again while others wait."""
        self._watch = None
        self.give_up_waiting(time.monotonic() - KEPT_S)
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
        """Wake an idle task. Returns: whether there was one."""
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
