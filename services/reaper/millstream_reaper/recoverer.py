"""Recovers deliveries whose lease has run out, and buries jobs that crash their workers again and again.

Every reaper runs it. It holds no lock and keeps no position: each pass checks every queue, and all that is pending
there.
"""

import time
from functools import partial

import structlog
from msgspec import Struct

from millstream_contracts import JobState, Queue
from millstream_runtime import DutyResult
from millstream_streams import FROM_THE_START, JobStore, RecoveredJob, Recovery, Registry, for_each_queue
from millstream_telemetry import JobTracer, PastDelivery, ReaperMetrics, TraceContext, trace_field

NEVER_S = 10 * 366 * 86_400.0
"""A lease that no delivery exceeds."""


class Recoveries(DutyResult, frozen=True):
    """The result of one pass."""

    requeued: int = 0
    buried: int = 0
    strays: int = 0


class Totals(Struct):
    """The counts of one pass so far."""

    requeued: int = 0
    buried: int = 0
    strays: int = 0

    def add(self, found: Recovery) -> None:
        """Add the counts of one call."""
        self.requeued += len(found.requeued)
        self.buried += len(found.buried)
        self.strays += found.strays


class Recoverer:
    """A duty.

    During an outage of Redis workers cannot renew, so after it every lease looks expired. A pass that comes long after
    the last good one therefore begins a grace of one lease, in which nothing is taken back. So does the first pass when
    Redis `was_away` just before it, or `has_just_started`, which may be the end of an outage or the first start of all.
    """

    name = "recoverer"

    def __init__(
        self,
        store: JobStore,
        registry: Registry,
        metrics: ReaperMetrics,
        tracer: JobTracer,
        *,
        lease_s: float,
        max_crashes: int,
        interval_s: float,
        was_away: bool = False,
        has_just_started: bool = False,
    ) -> None:
        self.interval_s = interval_s
        self._store = store
        self._registry = registry
        self._metrics = metrics
        self._tracer = tracer
        self._lease_s = lease_s
        self._max_crashes = max_crashes
        self._worked_at: float | None = -NEVER_S if was_away or has_just_started else None
        """When Redis last took a recovery; None before the first pass."""
        self._is_outage_seen = was_away or not has_just_started
        """Whether a grace that begins now follows an outage, as far as this reaper can tell."""
        self._grace_until = 0.0
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Recoveries:
        """Recover expired deliveries on every queue."""
        queues = await self._registry.queues()
        self._metrics.know_types(queue.type for queue in queues)
        if self._was_away():
            self._grace_until = time.monotonic() + self._lease_s
            self._tell_grace()
        if not queues:
            self._worked_at = time.monotonic()
        totals = Totals()
        # A pass in the grace sends its recoveries too, and so notices when Redis takes writes again.
        lease_s = self._lease_s if time.monotonic() >= self._grace_until else NEVER_S
        await for_each_queue(queues, partial(self._recover, totals, lease_s))
        return Recoveries(requeued=totals.requeued, buried=totals.buried, strays=totals.strays)

    async def _recover(self, totals: Totals, lease_s: float, queue: Queue) -> None:
        """Recover expired deliveries on one queue."""
        cursors = FROM_THE_START
        while any(cursors):
            found = await self._store.recover(
                queue,
                lease_ms=round(lease_s * 1000),
                max_crashes=self._max_crashes,
                cursors=cursors,
            )
            self._worked_at = time.monotonic()
            cursors = found.cursors
            for job in found.requeued:
                self._report_requeued(queue, job)
            for job in found.buried:
                self._report_buried(queue, job)
            if found.strays:
                self._metrics.count_recovered(queue.type, "stray", found.strays)
                self._log.warning("stray entries removed", type=queue.type, entries=found.strays)
            if found.cancelled:
                self._metrics.count_finished(queue.type, JobState.CANCELLED, found.cancelled)
            totals.add(found)

    def _was_away(self) -> bool:
        """Return whether the last good pass is so long ago that workers may have missed a renewal since."""
        before = self._worked_at
        return before is not None and time.monotonic() - before > self.interval_s + self._lease_s / 2

    def _tell_grace(self) -> None:
        if self._is_outage_seen:
            self._log.warning("leases are given time after an outage", seconds=self._lease_s)
        else:
            self._log.debug("leases are given time after the start of redis", seconds=self._lease_s)
        self._is_outage_seen = True

    def _report_requeued(self, queue: Queue, job: RecoveredJob) -> None:
        reason = "lease_expired" if job.crash_charged else "never_started"
        self._metrics.count_recovered(queue.type, reason)
        self._tracer.recover(_lost(queue, job), reason=reason)
        self._log.warning("recovered", **_fields(queue, job), reason=reason)

    def _report_buried(self, queue: Queue, job: RecoveredJob) -> None:
        self._metrics.count_recovered(queue.type, "buried")
        self._metrics.count_finished(queue.type, JobState.DEAD)
        message = f"the worker vanished while running this job, which may happen {self._max_crashes - 1} times"
        self._tracer.bury(_lost(queue, job), reason="crashed", message=message)
        self._log.error("buried", **_fields(queue, job), reason="crashed")


def _lost(queue: Queue, job: RecoveredJob) -> PastDelivery:
    return PastDelivery(
        job_type=queue.type,
        job_id=job.id,
        tenant=queue.tenant,
        stored=TraceContext(job.spec.traceparent, job.spec.tracestate),
        delivery=job.delivery,
        worker=job.worker,
    )


def _fields(queue: Queue, job: RecoveredJob) -> dict[str, str | int]:
    """Return the fields of a log line about a job. A job that was not claimed has neither a worker nor a delivery."""
    fields: dict[str, str | int] = {"job_id": job.id, "type": queue.type, **trace_field(job.spec.traceparent)}
    return fields | ({"worker": job.worker, "delivery": job.delivery} if job.delivery else {})
