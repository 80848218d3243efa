"""Submits the children of handlers: straight into Redis, by the rules of the API, in the trace of their parent."""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from millstream import MillstreamError, NewJob
from millstream_contracts import FieldError, JobId, Tenant
from millstream_streams import JobStore
from millstream_submission import (
    MSGPACK,
    Admission,
    BuiltJob,
    KnownQueues,
    KnownTypes,
    SubmissionError,
    TypeCatalogue,
    build_job,
    decode_submission,
    store_jobs,
)
from millstream_telemetry import JobTracer, TraceContext, current_trace_context


class InvalidChildError(MillstreamError):
    """A handler submits a job that the API would refuse."""

    def __init__(self, error: SubmissionError) -> None:
        super().__init__(f"a child job cannot be submitted: {error}")
        self.errors: list[FieldError] = list(error.errors)
        """The wrong fields, as the API would name them."""


class ChildJob(Struct, frozen=True):
    """A job that a handler submitted. A handler that waited for it would hold a slot: read it over HTTP."""

    id: JobId


class ChildSubmitter:
    """Submits jobs on behalf of running handlers."""

    def __init__(
        self,
        store: JobStore,
        queues: KnownQueues,
        catalogue: TypeCatalogue,
        admission: Admission,
        tracer: JobTracer,
        tenant: Tenant,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._queues = queues
        self._catalogue = catalogue
        self._admission = admission
        self._tracer = tracer
        self._tenant = tenant
        self._clock = clock

    def within(self, parent: TraceContext) -> "JobSubmitter":
        """Return a submitter for one running job, whose children continue its trace."""
        return JobSubmitter(self, parent)

    async def submit(self, parent: TraceContext, contents: Iterable[tuple[str, bytes]]) -> list[ChildJob]:
        """Store submissions in MessagePack, each with its pointer; return their jobs in the same order.

        Raises: InvalidChildError, before anything is stored; StoreUnavailableError.
        """
        known = await self._catalogue.of(self._tenant)
        children = [await self._child(parent, content, known, pointer) for pointer, content in contents]
        return [ChildJob(job_id) for job_id in await store_jobs(self._store, self._queues, children)]

    async def _child(self, parent: TraceContext, content: bytes, known: KnownTypes, pointer: str) -> BuiltJob:
        try:
            decoded = decode_submission(content, MSGPACK, pointer, self._clock)
            policy = await self._admission.admit_by_newest(decoded, known, self._catalogue, self._tenant, pointer)
        except SubmissionError as error:
            raise InvalidChildError(error) from error
        return build_job(self._tracer, self._tenant, decoded, policy, caller=parent, clock=self._clock)


class JobSubmitter:
    """Submits the children of one running job."""

    __slots__ = ("_parent", "_submitter")

    def __init__(self, submitter: ChildSubmitter, parent: TraceContext) -> None:
        self._submitter = submitter
        self._parent = parent

    async def submit(self, type: str, payload: Any = None, *args: Any, **options: Any) -> ChildJob:
        """Store a job. Raises: TypeError, InvalidChildError, StoreUnavailableError."""
        [child] = await self._submit([("", NewJob(type, payload, *args, **options).content)])
        return child

    async def submit_many(self, type: str, payloads: Iterable[Any], *args: Any, **options: Any) -> list[ChildJob]:
        """Store a job for each payload, or none if one is refused. Raises: as :meth:`submit`."""
        jobs = (NewJob(type, payload, *args, **options) for payload in payloads)
        return await self._submit([(f"/{index}", job.content) for index, job in enumerate(jobs)])

    async def _submit(self, contents: list[tuple[str, bytes]]) -> list[ChildJob]:
        # A span of the handler's own is nearer; without a recorder there is none, and the job's trace goes on.
        current = current_trace_context()
        return await self._submitter.submit(current if current.traceparent else self._parent, contents)
