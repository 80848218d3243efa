"""One delivery on this worker, from the claim to the confirmed commit."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from millstream.context import BaseContext
from millstream_contracts import PLAIN, JobId, KeptLine, KeptLines, Progress
from millstream_streams import Delivery
from millstream_telemetry import LineRing, SecretTexts
from millstream_workers.attempt.attempt_result import Interruption
from millstream_workers.attempt.stop_scope import StopScope
from millstream_workers.attempt.whereabouts import task_stack, thread_stack

NO_THREAD = 0
"""No thread has this number: the handler runs in a process, or in a thread that has not begun or has ended."""


class Running:
    """One delivery, as the executor, the lease keeper and the drain see it.

    The lease keeper reads it from its own thread; it changes only `renewed_at` and `stored_progress`.
    """

    __slots__ = (
        "_scope",
        "_task",
        "_timer",
        "ask_process",
        "begun_at",
        "coding",
        "context",
        "delivery",
        "has_blocked",
        "interruption",
        "line_bytes",
        "lines",
        "progress",
        "renewed_at",
        "secrets",
        "stack",
        "stored_progress",
        "thread",
    )

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.coding = PLAIN
        """How what the handler gives is stored."""
        self.context: BaseContext[Any] | None = None
        """The context of the handler, if it takes one."""
        self.interruption: Interruption | None = None
        self.progress: Progress | None = None
        """The newest progress of the handler."""
        self.stored_progress: Progress | None = None
        """The newest progress in Redis. It is a field of its own so that progress set during a renewal is not lost."""
        self.secrets: SecretTexts | None = None
        """What is secret in its payload, once that is read; None where nothing is."""
        self.stack = ""
        """Where the handler was when its time was over, as text."""
        self.line_bytes = 0
        """What the log lines that are kept of this attempt may take."""
        self.lines: LineRing | None = None
        """The last of them; None before the first."""
        self.has_blocked = False
        """Whether it was told that the handler blocks the event loop."""
        self.thread: int | None = None
        """The number of the thread that the handler runs in, NO_THREAD for one in a process; None on the loop."""
        self.ask_process: Callable[[], Coroutine[Any, Any, str]] | None = None
        """Asks the process of the handler where it is, on the loop; None while it has none."""
        self.begun_at = self.renewed_at = time.monotonic()
        self._scope: StopScope | None = None
        self._task: asyncio.Task[object] | None = None
        """The task of the call that it shares with others; None for a handler that runs in its own."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def id(self) -> JobId:
        """The job's id."""
        return self.delivery.id

    @property
    def unstored_progress(self) -> Progress | None:
        """The newest progress, if Redis has not stored it yet."""
        return None if self.progress is self.stored_progress else self.progress

    @property
    def cleanup_left_s(self) -> float:
        """The rest of the time for clean-up; 0 for a handler that is cancelled with its worker and not stopped."""
        if self._scope is None or not self._scope.is_spent:
            return 0.0
        return max(0.0, self._scope.gives_up_at - asyncio.get_running_loop().time())

    def keep(self, line: KeptLine, job_id: str = "") -> None:
        """Keep a log line of the handler with the attempt. Any thread may call it."""
        del job_id  # whatever job it is about, this attempt has caused it
        if self.lines is None:
            self.lines = LineRing(self.line_bytes)
        self.lines.add(line)

    def add_lines(self, kept: KeptLines | None) -> None:
        """Add the lines of a call or of a process to those that are kept."""
        if kept is not None:
            self.lines = LineRing.of([kept, *([self.lines.kept()] if self.lines else [])], self.line_bytes)

    def hidden(self, text: str) -> str:
        """Return a text without the secrets of the job, and of those with which it shares a call."""
        return text if self.secrets is None else self.secrets.hidden(text)

    def stop_reason(self) -> str | None:
        """Return the `error.type` of the stop, empty when that is no failure; None when the handler was not stopped."""
        return None if self.interruption is None else self.interruption.error_type

    def note_thread(self, thread: int | None) -> None:
        """Note in which thread the handler runs, NO_THREAD, or None for the loop."""
        self.thread = thread

    @property
    def is_timed(self) -> bool:
        """Whether the handler has begun, and has a timeout."""
        return self._timer is not None

    @property
    def task(self) -> "asyncio.Task[object] | None":
        """The task in which the handler runs."""
        return self._task or (None if self._scope is None else self._scope.task)

    def runs_in(self, task: "asyncio.Task[object] | None") -> None:
        """Note the task of the call that it shares with other jobs."""
        self._task = task

    def whereabouts(self) -> str:
        """Return where the handler is now, as text; empty when this process cannot tell."""
        return task_stack(self.task) if self.thread is None else thread_stack(self.thread)

    def begin(self, scope: StopScope, timeout_s: float | None) -> None:
        """Begin the handler, which this scope can stop, and its timeout."""
        self._scope = scope
        if timeout_s is not None:
            self._run_until(asyncio.get_running_loop().time() + timeout_s)

    def end(self) -> None:
        """End the handler."""
        if self._timer is not None:
            self._timer.cancel()
        if self._scope is not None and self._scope.is_spent:
            self._scope.end()
        self._scope = self._task = None

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """Pause the timeout for a block, which the worker needs before the handler begins."""
        if self._timer is None:
            yield
            return
        loop = asyncio.get_running_loop()
        left_s = self._timer.when() - loop.time()
        self._timer.cancel()
        try:
            yield
        finally:
            self._run_until(loop.time() + left_s)

    def interrupt(self, why: Interruption, cleanup_s: float | None = None) -> None:
        """Stop the handler, if it still runs. Call it on the event loop; the first reason stands.

        `cleanup_s` shortens its time for clean-up.
        """
        if self.interruption is None:
            self.interruption = why
            if self.context is not None:
                self.context.cancelled = True
            if self._scope is not None:
                self._scope.stop(cleanup_s)

    def _run_until(self, deadline: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(deadline, self.time_out)

    def time_out(self) -> None:
        """Stop the handler, because the attempt has reached its timeout. Call it on the event loop."""
        if self.interruption is None:
            self.stack = self.whereabouts()
        self.interrupt(Interruption.TIMED_OUT)
