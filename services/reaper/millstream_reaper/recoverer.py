"""Takes back deliveries whose lease has run out, and buries jobs that crash their workers again and again.

Run by every reaper. It holds no lock and keeps no position: each pass looks at every queue in which a lease may have
run out, and at all that is pending there.
"""

import time
from functools import partial

import structlog
from msgspec import Struct

from millstream_contracts import JobState, Queue
from millstream_reaper.quiet_queues import QuietQueues
from millstream_runtime import DutyResult
from millstream_streams import FROM_THE_START, JobStore, RecoveredJob, Recovery, Registry, for_each_queue
from millstream_telemetry import JobTracer, ReaperMetrics, TraceContext

NEVER_S = 10 * 366 * 86_400.0


class Recoveries(DutyResult, frozen=True):
    """What one pass did."""

    requeued: int = 0
    buried: int = 0
    strays: int = 0


class Totals(Struct):
    """Counts of one pass, while it goes on."""

    requeued: int = 0
    buried: int = 0
    strays: int = 0

    def add(self, found: Recovery) -> None:
        """Add what one call did."""
        self.requeued += len(found.requeued)
        self.buried += len(found.buried)
        self.strays += found.strays


class Recoverer:
    """A duty.

    After a time without Redis every lease looks expired, although workers only could not renew. So a pass that
    comes long after the last good one gives them a lease's length first, and so does the first one when Redis
    `was_away` just before it.
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
    ) -> None:
        self.interval_s = interval_s
        self._store = store
        self._registry = registry
        self._metrics = metrics
        self._tracer = tracer
        self._lease_s = lease_s
        self._max_crashes = max_crashes
        self._worked_at: float | None = -NEVER_S if was_away else None
        """When Redis last took a recovery; None before the first pass."""
        self._merciful_until = 0.0
        self._quiet = QuietQueues()
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Recoveries:
        """Recover what got stuck on any queue."""
        known = await self._registry.queues()
        self._metrics.know_types(queue.type for queue in known)
        if self._was_away():
            # A replica that was promoted may hold as pending what its primary had taken off.
            self._quiet.disturb_all()
            self._merciful_until = time.monotonic() + self._lease_s
            self._log.warning("leases are given time after an outage", seconds=self._lease_s)
        # One more is looked at in any case: a pass that asks nothing would not learn whether Redis takes writes, and
        # where it takes none leases cannot be renewed.
        queues = [*self._quiet.others(known), *self._quiet.disturb_one()]
        if not queues:
            self._worked_at = time.monotonic()
        totals = Totals()
        # Mercy looks as well, at leases that nobody exceeds: so it learns whether Redis takes writes again.
        lease_s = self._lease_s if time.monotonic() >= self._merciful_until else NEVER_S
        await for_each_queue(queues, partial(self._recover, totals, lease_s))
        return Recoveries(requeued=totals.requeued, buried=totals.buried, strays=totals.strays)

    async def _recover(self, totals: Totals, lease_s: float, queue: Queue) -> None:
        """Recover what got stuck on one queue."""
        cursors = FROM_THE_START
        while any(cursors):
            asked_at = time.monotonic()
            found = await self._store.recover(
                queue,
                lease_ms=round(lease_s * 1000),
                max_crashes=self._max_crashes,
                cursors=cursors,
            )
            self._worked_at = time.monotonic()
            cursors = found.cursors
            self._report(queue, found.requeued, found.buried, found.strays)
            totals.add(found)
        if not found.any_pending:
            # What is delivered after this answer, also between two calls of this pass, has to be idle for a lease
            # before it can be taken back, so no lease runs out here until then: the first pass after it runs out
            # comes after that time too, and is not kept from looking. `asked_at` is earlier than the answer, and a
            # lease is measured by the clock of Redis: where that runs faster, or is set forward, leases run out early,
            # and are found within a lease and a pass of their delivery all the same.
            self._quiet.leave_alone(queue, asked_at + self._lease_s)

    def _was_away(self) -> bool:
        """Return whether Redis was away for so long that leases mean nothing."""
        before = self._worked_at
        return before is not None and time.monotonic() - before > self.interval_s + self._lease_s / 2

    def _report(self, queue: Queue, requeued: list[RecoveredJob], buried: list[RecoveredJob], strays: int) -> None:
        for job in requeued:
            reason = "lease_expired" if job.crash_charged else "never_started"
            self._metrics.count_recovered(queue.type, reason)
            self._tracer.recover(queue.type, job.id, _trace(job), reason=reason)
            self._log.warning("recovered", job_id=job.id, type=queue.type, worker=job.worker, reason=reason)
        for job in buried:
            self._metrics.count_recovered(queue.type, "buried")
            self._metrics.count_finished(queue.type, JobState.DEAD)
            self._tracer.bury(queue.type, job.id, _trace(job), reason="crashed")
            self._log.error("buried", job_id=job.id, type=queue.type, worker=job.worker, reason="crashed")
        if strays:
            self._metrics.count_recovered(queue.type, "stray", strays)
            self._log.warning("stray entries removed", type=queue.type, entries=strays)


def _trace(job: RecoveredJob) -> TraceContext:
    return TraceContext(job.spec.traceparent, job.spec.tracestate)
