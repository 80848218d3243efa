"""Ends jobs that did not start in time, also on queues that no worker claims from."""

from millstream_contracts import JobState, Queue
from millstream_streams import JobStore, Registry, for_each_queue
from millstream_telemetry import DutyResult, ReaperMetrics


class Expiries(DutyResult, frozen=True):
    """What one pass did."""

    expired: int = 0


class Expirer:
    """A duty."""

    name = "expirer"

    def __init__(self, store: JobStore, registry: Registry, metrics: ReaperMetrics, *, interval_s: float) -> None:
        self.interval_s = interval_s
        self._store = store
        self._registry = registry
        self._metrics = metrics

    async def run_once(self) -> Expiries:
        """End what is late on any queue."""
        total, any_more = 0, False

        async def expire(queue: Queue) -> None:
            nonlocal total, any_more
            expired, more = await self._store.expire(queue)
            if expired:
                self._metrics.count_finished(queue.type, JobState.EXPIRED, expired)
            total += expired
            any_more = any_more or more

        await for_each_queue(await self._registry.queues(), expire)
        return Expiries(more=any_more, expired=total)
