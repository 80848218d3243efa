"""Jobs that handlers submit: straight into Redis, in the trace of the job that submits them."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from millstream import MillstreamError, NewJob
from millstream_contracts import JobId, JobType, Queue, Submission, Tenant, limits, new_job_id
from millstream_streams import JobStore, RedisClock, Registry, assemble
from millstream_streams import NewJob as NewStoredJob
from millstream_telemetry import JobTracer, TraceContext, current_trace_context

_decode = msgspec.msgpack.Decoder(Submission).decode


class InvalidChildError(MillstreamError):
    """A handler wants to submit what the API would refuse."""


class ChildJob(Struct, frozen=True):
    """A job that a handler submitted. To wait for it inside of a handler would hold a slot: read it over HTTP."""

    id: JobId


class ChildSubmitter:
    """Submits jobs on behalf of running handlers."""

    def __init__(
        self,
        store: JobStore,
        registry: Registry,
        tracer: JobTracer,
        tenant: Tenant,
        partitions: Mapping[JobType, int],
        *,
        clock: RedisClock,
    ) -> None:
        self._store = store
        self._registry = registry
        self._tracer = tracer
        self._tenant = tenant
        self._partitions = partitions
        """Of the types that this worker handles; others are taken to have one."""
        self._known: set[Queue] = set()
        self._clock = clock

    def within(self, parent: TraceContext) -> "JobSubmitter":
        """Return a submitter for one running job, whose children continue its trace."""
        return JobSubmitter(self, parent)

    async def submit(self, parent: TraceContext, contents: Iterable[bytes]) -> list[ChildJob]:
        """Store submissions in MessagePack, and return their jobs in the same order.

        Raises: InvalidChildError, before anything is stored; StoreUnavailableError.
        """
        children = [self._child(parent, _checked(content)) for content in contents]
        by_queue: defaultdict[Queue, list[NewStoredJob]] = defaultdict(list)
        for queue, job in children:
            by_queue[queue].append(job)
        new = by_queue.keys() - self._known
        if new:
            await self._registry.add_queues(new)
            self._known |= new
        for queue, jobs in by_queue.items():
            for start in range(0, len(jobs), limits.MAX_SCRIPT_JOBS):
                await self._store.enqueue(queue, jobs[start : start + limits.MAX_SCRIPT_JOBS])
        return [ChildJob(job.id) for _, job in children]

    def _child(self, parent: TraceContext, submission: Submission) -> tuple[Queue, NewStoredJob]:
        job_type = JobType(submission.type)
        queue = Queue(self._tenant, job_type, random.randrange(self._partitions.get(job_type, 1)))
        now_ms = self._clock.now_ms()
        if far := submission.too_far(now_ms / 1000):
            raise InvalidChildError(f"a child job cannot be submitted: `{far}` is more than ten years away")
        job_id = new_job_id(queue, now_ms)
        trace = self._tracer.send(job_type, job_id, parent, tenant=self._tenant, delay_s=submission.delay_s or 0.0)
        return queue, assemble(
            job_id,
            submission,
            submission.payload,
            created_at_ms=now_ms,
            traceparent=trace.traceparent,
            tracestate=trace.tracestate,
        )


class JobSubmitter:
    """Submits the children of one running job."""

    __slots__ = ("_parent", "_submitter")

    def __init__(self, submitter: ChildSubmitter, parent: TraceContext) -> None:
        self._submitter = submitter
        self._parent = parent

    async def submit(self, type: str, payload: Any = None, *args: Any, **options: Any) -> ChildJob:
        """Store a job. Raises: TypeError, InvalidChildError, StoreUnavailableError."""
        [child] = await self.submit_many(type, [payload], *args, **options)
        return child

    async def submit_many(self, type: str, payloads: Iterable[Any], *args: Any, **options: Any) -> list[ChildJob]:
        """Store a job for each payload. Raises: TypeError, InvalidChildError, StoreUnavailableError."""
        contents = [NewJob(type, payload, *args, **options).content for payload in payloads]
        # A span of the handler's own is nearer; without a recorder there is none, and the job's trace goes on.
        current = current_trace_context()
        return await self._submitter.submit(current if current.traceparent else self._parent, contents)


def _checked(content: bytes) -> Submission:
    try:
        submission = _decode(content)
    except msgspec.ValidationError as error:
        raise InvalidChildError(f"a child job cannot be submitted: {error}") from error
    size = len(bytes(submission.payload))
    if size > limits.MAX_PAYLOAD_BYTES:
        raise InvalidChildError(f"a payload of {size} bytes is too large: {limits.MAX_PAYLOAD_BYTES} at most")
    return submission
