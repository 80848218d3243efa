"""Publishes what the queues hold as gauges. Run by every dispatcher: all show the same, from the same counters."""

from collections import defaultdict

from millstream_contracts import JobType, Queue
from millstream_streams import Depths, JobStore, Registry, for_each_queue, sum_depths
from millstream_telemetry import DispatcherMetrics, DutyResult, MetricRegistry


class Gauger:
    """A duty."""

    name = "gauger"

    def __init__(
        self,
        store: JobStore,
        registry: Registry,
        metrics: DispatcherMetrics,
        known: MetricRegistry,
        *,
        interval_s: float,
    ) -> None:
        self.interval_s = interval_s
        self._store = store
        self._registry = registry
        self._metrics = metrics
        self._known = known

    async def run_once(self) -> DutyResult:
        """Measure every queue and show it."""
        queues = await self._registry.queues()
        self._known.register_types(queue.type for queue in queues)
        depths: defaultdict[JobType, list[Depths]] = defaultdict(list)

        async def measure(queue: Queue) -> None:
            depths[queue.type].append(await self._store.measure(queue))

        try:
            await for_each_queue(queues, measure)
        finally:
            self._metrics.publish(sum_depths(job_type, some) for job_type, some in depths.items())
        return DutyResult()
