"""Stores the children of running jobs: straight into Redis, by the rules of the API, in the trace of their parent."""

from collections.abc import Callable, Iterable

from anyio.lowlevel import checkpoint

from millstream_contracts import JobId, Tenant
from millstream_streams import JobStore
from millstream_submission import (
    MSGPACK,
    Admission,
    BuiltJob,
    Dependencies,
    KnownQueues,
    KnownTypes,
    SubmissionError,
    TooLargeError,
    TypeCatalogue,
    build_job,
    decode_submission,
    store_jobs,
)
from millstream_telemetry import JobTracer, TraceContext
from millstream_workers.children.child_keys import ChildKeys
from millstream_workers.children.refusals import InvalidChildError, problem

BREATHE_EVERY = 100
"""The number of children after which the other jobs of the worker get their turn."""


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
        dependencies: Dependencies,
    ) -> None:
        self._store = store
        self._queues = queues
        self._catalogue = catalogue
        self._admission = admission
        self._tracer = tracer
        self._tenant = tenant
        self._clock = clock
        self._dependencies = dependencies

    async def submit(
        self, parent: TraceContext, contents: Iterable[tuple[str, bytes]], keys: ChildKeys | None = None
    ) -> list[JobId]:
        """Store submissions in MessagePack, each with its pointer; return their ids in the same order.

        With `keys`, one that an earlier attempt of the parent has stored keeps its id. Raises: InvalidChildError,
        before anything is stored; StoreUnavailableError.
        """
        known = await self._catalogue.of(self._tenant)
        children: list[BuiltJob] = []
        for pointer, content in contents:
            children.append(await self._child(parent, content, known, pointer, keys))
            if len(children) % BREATHE_EVERY == 0:
                await checkpoint()
        return await store_jobs(self._store, self._queues, children, self._dependencies)

    async def _child(
        self, parent: TraceContext, content: bytes, known: KnownTypes, pointer: str, keys: ChildKeys | None
    ) -> BuiltJob:
        try:
            decoded = decode_submission(content, MSGPACK, pointer, self._clock)
            policy = await self._admission.admit_by_newest(decoded, known, self._catalogue, self._tenant, pointer)
            identity = None if keys is None else keys.of(decoded, pointer)
            parents = await self._dependencies.parents(self._tenant, decoded.submission, pointer)
        except SubmissionError as error:
            raise _refused(error) from error
        return build_job(
            self._tracer,
            self._tenant,
            decoded,
            policy,
            caller=parent,
            idempotency=identity,
            parents=parents,
            clock=self._clock,
        )


def _refused(error: SubmissionError) -> InvalidChildError:
    status = 413 if isinstance(error, TooLargeError) else 422
    return InvalidChildError(problem(status, "a child job cannot be submitted", str(error), list(error.errors)))
