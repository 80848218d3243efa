"""One delivery in this worker's hands, from the claim to the confirmed commit."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from millstream.context import BaseContext
from millstream_contracts import JobId, Progress
from millstream_streams import Delivery
from millstream_workers.attempt.attempt_result import Interruption
from millstream_workers.attempt.stop_scope import StopScope


class Running:
    """One delivery, as the executor, the lease keeper and the drain see it.

    The lease keeper reads it from its own thread; it changes only `renewed_at` and `stored_progress`.
    """

    __slots__ = (
        "_scope",
        "_timer",
        "begun_at",
        "context",
        "delivery",
        "interruption",
        "progress",
        "renewed_at",
        "stored_progress",
    )

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.context: BaseContext[Any] | None = None
        """What the handler was given, if it takes a context."""
        self.interruption: Interruption | None = None
        self.progress: Progress | None = None
        """The newest that the handler has noted."""
        self.stored_progress: Progress | None = None
        """The newest that Redis has. A field of its own: progress that is noted during a renewal must not be lost."""
        self.begun_at = self.renewed_at = time.monotonic()
        self._scope: StopScope | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def id(self) -> JobId:
        """The job's id."""
        return self.delivery.id

    @property
    def unstored_progress(self) -> Progress | None:
        """The newest progress, when Redis has not got it yet."""
        return None if self.progress is self.stored_progress else self.progress

    @property
    def cleanup_left_s(self) -> float:
        """What is left of the time for clean-up; 0 for a handler that is cancelled with its worker and not stopped."""
        if self._scope is None or not self._scope.is_spent:
            return 0.0
        return max(0.0, self._scope.gives_up_at - asyncio.get_running_loop().time())

    def begin(self, scope: StopScope, timeout_s: float | None) -> None:
        """Note that the handler runs: it can be stopped through this scope, and is when its time is over."""
        self._scope = scope
        if timeout_s is not None:
            self._run_until(asyncio.get_running_loop().time() + timeout_s)

    def end(self) -> None:
        """Note that the handler has ended."""
        if self._timer is not None:
            self._timer.cancel()
        if self._scope is not None and self._scope.is_spent:
            self._scope.end()
        self._scope = None

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """Stop the clock of the timeout for a block: what the worker has to do before the handler begins."""
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
        """Stop the handler, if it still runs. To be called on the event loop; the first reason stands.

        `cleanup_s` shortens its time for clean-up.
        """
        if self.interruption is None:
            self.interruption = why
            if self.context is not None:
                self.context.cancelled = True
            if self._scope is not None:
                self._scope.stop(cleanup_s)

    def _run_until(self, deadline: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(deadline, self.interrupt, Interruption.TIMED_OUT)
