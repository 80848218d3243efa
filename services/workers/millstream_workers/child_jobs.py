"""Submits the children of handlers: straight into Redis, by the rules of the API, in the trace of their parent."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

import anyio.from_thread
from anyio.lowlevel import current_token

from millstream import JobHandle, MillstreamError, NewJob
from millstream.jobs.child_reader import ChildReader
from millstream_contracts import BatchItem, BatchReceipt, FieldError, JobId, Tenant
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

T = TypeVar("T")


class InvalidChildError(MillstreamError):
    """A handler submits a job that the API would refuse."""

    def __init__(self, error: SubmissionError) -> None:
        super().__init__(f"a child job cannot be submitted: {error}")
        self.errors: list[FieldError] = list(error.errors)
        """The wrong fields, as the API would name them."""


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
        """To be made on the event loop."""
        self.loop = current_token()
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

    async def submit(self, parent: TraceContext, contents: Iterable[tuple[str, bytes]]) -> list[JobId]:
        """Store submissions in MessagePack, each with its pointer; return their ids in the same order.

        Raises: InvalidChildError, before anything is stored; StoreUnavailableError.
        """
        known = await self._catalogue.of(self._tenant)
        children = [await self._child(parent, content, known, pointer) for pointer, content in contents]
        return await store_jobs(self._store, self._queues, children)

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

    async def submit(self, job: Any, payload: Any = None, *args: Any, **options: Any) -> JobHandle[Any]:
        """Store a job. Raises: TypeError, InvalidChildError, StoreUnavailableError."""
        (job_id,) = await self._submit([("", NewJob(job, payload, *args, **options).content)])
        return JobHandle(ChildReader(), job_id)

    async def submit_many(self, jobs: Any, payloads: Iterable[Any], *args: Any, **options: Any) -> BatchReceipt:
        """Store a job for each payload, or none if one is refused. Raises: as :meth:`submit`."""
        handles = await self.submit_children(jobs, payloads, *args, **options)
        items = [BatchItem(index=index, status=202, id=handle.id) for index, handle in enumerate(handles)]
        return BatchReceipt(accepted=len(items), rejected=0, items=items)

    async def submit_children(
        self, job: Any, payloads: Iterable[Any], *args: Any, **options: Any
    ) -> list[JobHandle[Any]]:
        """Store a job for each payload, or none if one is refused. Raises: as :meth:`submit`."""
        jobs = (NewJob(job, payload, *args, **options) for payload in payloads)
        ids = await self._submit([(f"/{index}", new_job.content) for index, new_job in enumerate(jobs)])
        return [JobHandle(ChildReader(), job_id) for job_id in ids]

    def run_blocking(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run one of the calls above from a thread, and wait for it."""
        return anyio.from_thread.run(call, token=self._submitter.loop)

    async def _submit(self, contents: list[tuple[str, bytes]]) -> list[JobId]:
        # A span of the handler's own is nearer; without a recorder there is none, and the job's trace goes on.
        current = current_trace_context()
        return await self._submitter.submit(current if current.traceparent else self._parent, contents)
