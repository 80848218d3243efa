"""Releases jobs whose time has come. Run by every dispatcher; a job is released once, because a script moves it.

It sleeps until the next job is due, and is woken by a hint when an earlier one arrives.
"""

import time

import structlog

from millstream_contracts import Queue
from millstream_streams import JobStore, Registry, StoreError, for_each_queue
from millstream_telemetry import DutyResult, Wake


class Promotion(DutyResult, frozen=True):
    """What one pass did."""

    released: int = 0
    expired: int = 0


class Promoter:
    """A duty. `look_at` may be called by whoever hears that a queue has an earlier job."""

    name = "promoter"

    def __init__(self, store: JobStore, registry: Registry, *, interval_s: float) -> None:
        self.interval_s = interval_s
        self.wake = Wake()
        self._store = store
        self._registry = registry
        self._due_at: dict[Queue, float] = {}
        """When to look at a queue next, on the monotonic clock; absent when nothing is due there."""
        self._look_at_all_from = 0.0
        self._log = structlog.get_logger().bind(duty=self.name)

    def look_at(self, queue: Queue) -> None:
        """Look at this queue now."""
        self._due_at[queue] = 0.0
        self.wake.set()

    def look_at_all(self) -> None:
        """Look at every queue now: hints may have been missed."""
        self._look_at_all_from = 0.0
        self.wake.set()

    async def run_once(self) -> Promotion:
        """Release what is due. Returns: when to come back."""
        now = time.monotonic()
        if now >= self._look_at_all_from:
            queues = await self._registry.queues()
            self._look_at_all_from = now + self.interval_s
        else:
            queues = [queue for queue, at in self._due_at.items() if at <= now]
        released = expired = 0

        async def release(queue: Queue) -> None:
            nonlocal released, expired
            # Taken off before the call: a hint that comes while it is under way must not be overwritten.
            self._due_at.pop(queue, None)
            found = await self._store.release_due(queue)
            released += found.released
            expired += found.expired
            if found.next_in_ms is not None:
                next_at = time.monotonic() + found.next_in_ms / 1000
                self._due_at[queue] = min(next_at, self._due_at.get(queue, next_at))

        try:
            await for_each_queue(queues, release)
        except StoreError:
            # What was taken off the list and not released would be forgotten until the next look at everything.
            self._look_at_all_from = 0.0
            raise
        if released or expired:
            self._log.debug("released", released=released, expired=expired)
        return Promotion(next_in_s=self._sleep_s(), released=released, expired=expired)

    def _sleep_s(self) -> float:
        next_at = min([self._look_at_all_from, *self._due_at.values()])
        return max(0.0, next_at - time.monotonic())
