"""Ends jobs that did not start in time, also on queues that no worker claims from. Run by every dispatcher."""

from millstream_contracts import JobState, Queue
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_runtime import DutyResult
from millstream_streams import JobStore, for_each_queue
from millstream_telemetry import DispatcherMetrics


class Expiries(DutyResult, frozen=True):
    """The result of one pass."""

    expired: int = 0


class Expirer:
    """A duty. It sleeps until the next job expires; there are no hints of earlier ones."""

    name = "expirer"

    def __init__(
        self, store: JobStore, schedule: CheckSchedule, metrics: DispatcherMetrics, *, interval_s: float
    ) -> None:
        self.interval_s = interval_s
        self.wake = schedule.wake
        self._store = store
        self._schedule = schedule
        self._metrics = metrics

    async def run_once(self) -> Expiries:
        """Expire late jobs. Returns: when to come back."""
        total = 0

        async def expire(queue: Queue) -> None:
            nonlocal total
            with self._schedule.checking(queue) as checked_at:
                found = await self._store.expire(queue)
            self._schedule.record(queue, checked_at=checked_at, next_in_ms=found.next_in_ms)
            if found.expired:
                self._metrics.count_finished(queue.type, JobState.EXPIRED, found.expired)
            total += found.expired

        queues = await self._schedule.due()
        self._metrics.know_types(queue.type for queue in queues)
        await for_each_queue(queues, expire)
        return Expiries(next_in_s=self._schedule.sleep_s(), expired=total)
