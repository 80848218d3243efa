"""One delivery in this worker's hands, from the claim to the confirmed commit."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from millstream_contracts import JobId, Progress
from millstream_streams import Delivery
from millstream_workers.happenings import Interruption


class Running:
    """What the executor, the lease keeper and the drain share about one delivery.

    The lease keeper reads it from its own thread; it changes only `renewed_at` and takes `progress`.
    """

    __slots__ = ("begun_at", "delivery", "interruption", "progress", "renewed_at", "scope")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.scope: anyio.CancelScope | None = None
        """Through which the handler can be stopped, while it runs."""
        self.interruption: Interruption | None = None
        self.progress: Progress | None = None
        """Not yet stored."""
        self.begun_at = self.renewed_at = time.monotonic()

    @property
    def id(self) -> JobId:
        """The job's id."""
        return self.delivery.id

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """Stop the clock of the timeout for a block: what the worker has to do before the handler begins."""
        scope = self.scope
        if scope is None or scope.deadline == math.inf:
            yield
            return
        left_s, scope.deadline = scope.deadline - anyio.current_time(), math.inf
        try:
            yield
        finally:
            scope.deadline = anyio.current_time() + left_s

    def interrupt(self, why: Interruption) -> None:
        """Stop the handler, if it still runs. To be called on the event loop; the first reason stands."""
        if self.interruption is None:
            self.interruption = why
            if self.scope is not None:
                self.scope.cancel()
