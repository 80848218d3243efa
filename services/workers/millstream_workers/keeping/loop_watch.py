"""Warns of handlers that block the event loop, and says where they do.

A thread asks the loop for a sign of life, and looks at the thread of the loop when none comes in time. Jobs pay
nothing for it. Handlers with `isolation="process"` have a loop to themselves, which they may block.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Self

import structlog

from millstream_telemetry import WorkerMetrics, current_job
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.whereabouts import loop_stack

ASKS_WITHIN_LIMIT = 4
"""How often the loop is asked within the time that it may be blocked: a longer block is seen with a quarter on top."""


class LoopWatch:
    """Watches one event loop; a context manager, to be entered on that loop."""

    def __init__(self, limit_s: float, running: Callable[[], Iterable[Running]], metrics: WorkerMetrics) -> None:
        """`limit_s` is how long a handler may block the loop, 0 for ever. `running` returns what runs.

        Create it on the loop.
        """
        self._limit_s = limit_s
        self._running = running
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._closing, self._answered = threading.Event(), threading.Event()
        self._worst_s: float | None = None
        """The longest time until a sign of life since it was last asked for."""
        self._log = structlog.get_logger().bind()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)

    def __enter__(self) -> Self:
        if self._limit_s:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # In this order: a thread that has just cleared the second looks at the first.
        self._closing.set()
        self._answered.set()
        if self._limit_s:
            self._thread.join()

    def worst_lag_ms(self) -> float | None:
        """Return the longest time that the loop took for a sign of life since the last call; None without any.

        Call it on the loop.
        """
        worst_s, self._worst_s = self._worst_s, None
        return None if worst_s is None else round(worst_s * 1000, 1)

    def _answer(self, asked_at: float) -> None:
        """Give the sign of life, on the loop."""
        self._worst_s = max(self._worst_s or 0.0, time.monotonic() - asked_at)
        self._answered.set()

    def _watch(self) -> None:
        while not self._closing.wait(self._limit_s / ASKS_WITHIN_LIMIT):
            self._answered.clear()
            if self._closing.is_set():
                return
            try:
                self._loop.call_soon_threadsafe(self._answer, time.monotonic())
            except RuntimeError:  # the loop is closed
                return
            if not self._answered.wait(self._limit_s):
                self._tell()
                self._answered.wait()

    def _tell(self) -> None:
        """Log what blocks the loop, once for each attempt."""
        running, stack = self._blocking(), loop_stack(self._loop_thread)
        if not stack or (running is not None and running.has_blocked):
            return  # the loop has gone on meanwhile, or waits for a turn on a busy machine
        fields: dict[str, Any] = {}
        if running is not None:
            running.has_blocked = True
            job_type = running.delivery.queue.type
            fields = {"job_id": running.id, "type": job_type, "attempt": running.delivery.attempts + 1}
            # On the loop, where all metrics of a worker are counted, once it goes on.
            self._loop.call_soon_threadsafe(self._metrics.count_blocked, job_type)
        self._log.warning("event loop blocked", **fields, seconds=self._limit_s, exception=stack)

    def _blocking(self) -> Running | None:
        """Return the job whose handler has the loop; None when that is other code, or cannot be told."""
        task = asyncio.current_task(self._loop)
        if task is None:
            return None
        running = list(self._running())
        return next((one for one in running if one.task is task), None) or _parent_of(task, running)


def _parent_of(task: "asyncio.Task[Any]", running: Iterable[Running]) -> Running | None:
    """Return the job whose handler has started a task; None before Python 3.12, where a task does not tell."""
    context = task.get_context() if hasattr(task, "get_context") else None
    job = None if context is None else context.get(current_job)
    return next((one for one in running if job is not None and one.id == job.job_id), None)
