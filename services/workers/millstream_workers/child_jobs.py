"""Jobs that handlers submit: straight into Redis, in the trace of the job that submits them."""

from typing import Any

import msgspec
from msgspec import Struct

from millstream import MillstreamError
from millstream.new_job import NewJob
from millstream_contracts import JobId, JobType, Queue, Submission, Tenant, new_job_id
from millstream_streams import JobStore, Registry, assemble
from millstream_telemetry import JobTracer, current_trace_context

_decode = msgspec.msgpack.Decoder(Submission).decode


class ChildJob(Struct, frozen=True):
    """A job that a handler submitted. To wait for it inside of a handler would hold a slot: read it over HTTP."""

    id: JobId


class ChildSubmitter:
    """Submits jobs on behalf of running handlers."""

    def __init__(self, store: JobStore, registry: Registry, tracer: JobTracer, tenant: Tenant) -> None:
        self._store = store
        self._registry = registry
        self._tracer = tracer
        self._tenant = tenant
        self._known: set[Queue] = set()

    async def submit(self, type: str, payload: Any = None, **options: Any) -> ChildJob:
        """Store a job. Raises: TypeError, MillstreamError for a wrong option, StoreUnavailableError."""
        encoded = NewJob(type, payload, **options).content
        try:
            submission = _decode(encoded)
        except msgspec.ValidationError as error:
            raise MillstreamError(f"`{type}` cannot be submitted: {error}") from error
        queue = Queue(self._tenant, JobType(submission.type))
        if queue not in self._known:
            await self._registry.add_queues([queue])
            self._known.add(queue)
        job_id = new_job_id(queue)
        trace = self._tracer.send(type, job_id, current_trace_context(), tenant=self._tenant)
        job = assemble(
            job_id, submission, submission.payload, traceparent=trace.traceparent, tracestate=trace.tracestate
        )
        await self._store.enqueue(queue, [job])
        return ChildJob(job_id)
