"""Releases jobs whose time has come. Run by every dispatcher; a job is released once, because a script moves it.

It sleeps until the next job is due, and is woken by a hint when an earlier one arrives.
"""

import structlog

from millstream_contracts import JobState, Queue
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_runtime import DutyResult
from millstream_streams import JobStore, for_each_queue
from millstream_telemetry import DispatcherMetrics


class Promotion(DutyResult, frozen=True):
    """The result of one pass."""

    released: int = 0
    expired: int = 0


class Promoter:
    """A duty. Hints and measurements tell its schedule when the next job of a queue is due."""

    name = "promoter"

    def __init__(
        self, store: JobStore, schedule: CheckSchedule, metrics: DispatcherMetrics, *, interval_s: float
    ) -> None:
        self.interval_s = interval_s
        self.wake = schedule.wake
        self._store = store
        self._schedule = schedule
        self._metrics = metrics
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Promotion:
        """Release due jobs. Returns: when to come back."""
        released = expired = 0

        async def release(queue: Queue) -> None:
            nonlocal released, expired
            with self._schedule.checking(queue) as checked_at:
                found = await self._store.release_due(queue)
            self._schedule.record(queue, checked_at=checked_at, next_in_ms=found.next_in_ms)
            if found.expired:
                self._metrics.count_finished(queue.type, JobState.EXPIRED, found.expired)
            released += found.released
            expired += found.expired

        queues = await self._schedule.due()
        self._metrics.know_types(queue.type for queue in queues)
        await for_each_queue(queues, release)
        if released or expired:
            self._log.debug("released", released=released, expired=expired)
        return Promotion(next_in_s=self._schedule.sleep_s(), released=released, expired=expired)
