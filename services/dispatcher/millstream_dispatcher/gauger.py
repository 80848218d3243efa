"""Publishes what the queues hold as gauges. Run by every dispatcher: all show the same, from the same counters.

It looks at every queue anyway, so it notes in the agendas of others when something falls due there.
"""

import time
from collections import defaultdict

from millstream_contracts import JobType, Queue
from millstream_dispatcher.agenda import Agenda
from millstream_runtime import DutyResult
from millstream_streams import Depths, JobStore, Registry, for_each_queue, sum_depths
from millstream_telemetry import DispatcherMetrics, MetricRegistry

IN_TIME = 0.9
"""Share of the interval after which it measures again at the latest: those whom a measurement spares a look wait for it
no longer than an interval, and would now and then come just before it."""


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
        due: Agenda,
        expiring: Agenda,
        interval_s: float,
    ) -> None:
        self.interval_s = interval_s
        self._store = store
        self._registry = registry
        self._metrics = metrics
        self._known = known
        self._due = due
        self._expiring = expiring

    async def run_once(self) -> DutyResult:
        """Measure every queue and show it. Returns: when to come back."""
        queues = await self._registry.queues()
        self._known.register_types(queue.type for queue in queues)
        depths: defaultdict[JobType, list[Depths]] = defaultdict(list)

        async def measure(queue: Queue) -> None:
            asked_at = time.monotonic()
            found = await self._store.measure(queue)
            self._due.note(queue, asked_at=asked_at, next_in_ms=found.next_due_in_ms)
            self._expiring.note(queue, asked_at=asked_at, next_in_ms=found.next_expiry_in_ms)
            depths[queue.type].append(found)

        try:
            await for_each_queue(queues, measure)
        finally:
            self._metrics.publish(sum_depths(job_type, some) for job_type, some in depths.items())
        return DutyResult(next_in_s=IN_TIME * self.interval_s)
