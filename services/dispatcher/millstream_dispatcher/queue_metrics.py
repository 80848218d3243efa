"""Publishes what the queues hold as gauges. Run by every dispatcher: all show the same, from the same counters.

It measures every queue anyway, so it records in the schedules of promoter and expirer when something falls due there.
"""

import time
from collections import defaultdict

from millstream_contracts import JobType, Queue
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_runtime import DutyResult
from millstream_streams import Depths, JobStore, Registry, for_each_queue, sum_depths
from millstream_telemetry import DispatcherMetrics

REMEASURED_AT = 0.9
"""Share of the interval after which queues are measured again. Promoter and expirer skip their own check while a
measurement is younger than one interval; at 1.0 they would sometimes check just before it arrived."""


class QueueMetrics:
    """A duty. Its name on dashboards is `gauger`."""

    name = "gauger"

    def __init__(
        self,
        store: JobStore,
        registry: Registry,
        metrics: DispatcherMetrics,
        *,
        due: CheckSchedule,
        expiring: CheckSchedule,
        interval_s: float,
    ) -> None:
        self.interval_s = interval_s
        self._store = store
        self._registry = registry
        self._metrics = metrics
        self._due = due
        self._expiring = expiring

    async def run_once(self) -> DutyResult:
        """Measure every queue and publish the sums by type. Returns: when to come back."""
        queues = await self._registry.queues()
        self._metrics.know_types(queue.type for queue in queues)
        depths: defaultdict[JobType, list[Depths]] = defaultdict(list)

        async def measure(queue: Queue) -> None:
            checked_at = time.monotonic()
            found = await self._store.measure(queue)
            self._due.record(queue, checked_at=checked_at, next_in_ms=found.next_due_in_ms)
            self._expiring.record(queue, checked_at=checked_at, next_in_ms=found.next_expiry_in_ms)
            depths[queue.type].append(found)

        try:
            await for_each_queue(queues, measure)
        finally:
            self._metrics.publish(sum_depths(job_type, some) for job_type, some in depths.items())
        return DutyResult(next_in_s=REMEASURED_AT * self.interval_s)
