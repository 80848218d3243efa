"""Redrives dead jobs, and notes it in the trace of each: the same for a request and for an operation on many jobs."""

from collections.abc import Mapping, Sequence

from millstream_contracts import Job, JobId, JobSpec, Queue
from millstream_streams import ActionCode, JobStore, JobViews, NewSpec
from millstream_telemetry import JobTracer, PastDelivery, ServerSpan, TraceContext


class Redriver:
    """Redrives jobs of one queue at a time."""

    def __init__(self, store: JobStore, views: JobViews, tracer: JobTracer) -> None:
        self._store = store
        self._views = views
        self._tracer = tracer

    async def redrive(
        self,
        queue: Queue,
        ids: Sequence[JobId],
        *,
        request: ServerSpan,
        operation: str = "",
        died_by_ms: int | None = None,
        specs: Mapping[JobId, NewSpec] | None = None,
        fresh: bool = False,
    ) -> list[ActionCode]:
        """Redrive jobs, at most `limits.MAX_SCRIPT_JOBS`, as :meth:`JobStore.redrive` does.

        `request` is the span of what asks for it, `operation` the id of an operation. Raises: StoreError.
        """
        # Read before they are redriven: afterwards they may run already.
        jobs = await self._views.with_specs(queue, ids) if self._tracer.is_on else {}
        codes = await self._store.redrive(queue, ids, died_by_ms=died_by_ms, specs=specs, fresh=fresh)
        for job_id, code in zip(ids, codes, strict=True):
            if code is ActionCode.DONE and job_id in jobs:
                self._note(queue, *jobs[job_id], request, operation)
        return codes

    def _note(self, queue: Queue, job: Job, spec: JobSpec, request: ServerSpan, operation: str) -> None:
        """Make a span in the trace of a redriven job that links to its last delivery and to what asked for it."""
        last = PastDelivery(
            job_type=job.type,
            job_id=job.id,
            tenant=queue.tenant,
            stored=TraceContext(spec.traceparent, spec.tracestate),
            delivery=job.deliveries,
            worker=job.worker or "",
        )
        failed = job.error.traceparent if job.error else ""
        self._tracer.redrive(last, failed=failed, request=request, operation=operation)
