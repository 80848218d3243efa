"""Publishes what the queues hold as gauges. Run by every dispatcher: all show the same, from the same counters."""

from collections.abc import Iterable

from millstream_contracts import JobType, Queue, QueueStatus
from millstream_streams import JobStore, Registry, sum_depths
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
        statuses: list[QueueStatus] = []
        for job_type, partitions in _by_type(queues).items():
            depths = [await self._store.measure(queue) for queue in partitions]
            statuses.append(sum_depths(job_type, depths))
        self._metrics.publish(statuses)
        return DutyResult()


def _by_type(queues: Iterable[Queue]) -> dict[JobType, list[Queue]]:
    found: dict[JobType, list[Queue]] = {}
    for queue in queues:
        found.setdefault(queue.type, []).append(queue)
    return found
