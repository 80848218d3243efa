"""Stores the children of running jobs: straight into Redis, by the rules of the API, in the trace of their parent."""

from collections.abc import Callable, Iterable

from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from millstream import ConflictError
from millstream_contracts import JobId, Tenant
from millstream_contracts.ids import new_job_id
from millstream_streams import EnqueueCode, Enqueued, JobStore, in_calls
from millstream_submission import (
    MSGPACK,
    BuiltJob,
    CountConflict,
    Dependencies,
    Intake,
    KnownQueues,
    Members,
    Membership,
    SubmissionError,
    TooLargeError,
    build_job,
    held_by,
    queue_for,
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
        intake: Intake,
        tracer: JobTracer,
        tenant: Tenant,
        *,
        clock: Callable[[], float],
        dependencies: Dependencies,
        members: Members,
        conflicted: CountConflict | None = None,
    ) -> None:
        """`conflicted` is called for each child whose unique key another job held."""
        self._store = store
        self._queues = queues
        self._intake = intake
        self._tracer = tracer
        self._tenant = tenant
        self._clock = clock
        self._dependencies = dependencies
        self._members = members
        self._conflicted = conflicted

    async def submit(
        self,
        parent: TraceContext,
        contents: Iterable[tuple[str, bytes]],
        keys: ChildKeys | None = None,
        membership: Membership | None = None,
        owner: str = "",
    ) -> list[JobId]:
        """Store submissions in MessagePack, each with its pointer; return their ids in the same order.

        `owner` is who has submitted the parent.
        With `keys`, one that an earlier attempt of the parent has stored keeps its id; with `membership` they are
        members of its batch. Raises: InvalidChildError, before anything is stored; ConflictError, when the batch takes
        no more or another job holds the unique key of one, and then the others are stored; StoreUnavailableError.
        """
        children: list[BuiltJob] = []
        for pointer, content in contents:
            children.append(await self._child(parent, content, pointer, keys, owner=owner))
            if len(children) % BREATHE_EVERY == 0:
                await checkpoint()
        if membership is None:
            return _ids(await self._store_jobs(children))
        return await self._store_members(children, membership)

    async def _store_members(self, children: list[BuiltJob], membership: Membership) -> list[JobId]:
        """Store members of a batch, as many at a time as are stored within their promise."""
        ids: list[JobId] = []
        for some in in_calls(children):
            part = [replace(one, job=replace(one.job, batch=membership.batch)) for one in some]
            promised = [one.job.id for one in part]
            try:
                until_s = await self._members.promise(self._tenant, membership, promised)
            except SubmissionError as error:
                raise _not_taken(error) from error
            answers = await self._store_jobs(part, until_s)
            await self._members.confirm(self._tenant, membership, promised, [one.id for one in answers])
            ids += _ids(answers)
        return ids

    async def mint(self, contents: Iterable[bytes]) -> list[JobId]:
        """Return an id for each submission, in order. Raises: InvalidChildError, when one would be refused."""
        ids: list[JobId] = []
        for at, content in enumerate(contents):
            pointer = f"/{at}"
            try:
                decoded = await self._intake.decode(self._tenant, content, MSGPACK, pointer)
                policy = await self._intake.admit(self._tenant, decoded, pointer)
            except SubmissionError as error:
                raise _refused(error) from error
            ids.append(new_job_id(queue_for(self._tenant, decoded, policy, None), int(self._clock() * 1000)))
            if len(ids) % BREATHE_EVERY == 0:
                await checkpoint()
        return ids

    async def call(
        self, parent: TraceContext, children: Iterable[tuple[JobId, bytes]], *, until_s: float, owner: str = ""
    ) -> None:
        """Store submissions under ids that were minted, unless they are stored; they are kept for their caller.

        `owner` is who has submitted that.
        Raises: InvalidChildError, before anything is stored; ConflictError, when another job holds the unique key of
        one; StoreUnavailableError, also after `until_s` on the monotonic clock.
        """
        built: list[BuiltJob] = []
        for job_id, content in children:
            one = await self._child(parent, content, "", None, job_id, owner=owner)
            built.append(replace(one, job=replace(one.job, called=True)))
            if len(built) % BREATHE_EVERY == 0:
                await checkpoint()
        _ids(await self._store_jobs(built, until_s))

    async def _store_jobs(self, built: list[BuiltJob], until_s: float | None = None) -> list[Enqueued]:
        return await store_jobs(
            self._store, self._queues, built, self._dependencies, until_s=until_s, conflicted=self._conflicted
        )

    async def _child(
        self,
        parent: TraceContext,
        content: bytes,
        pointer: str,
        keys: ChildKeys | None,
        job_id: JobId | None = None,
        *,
        owner: str,
    ) -> BuiltJob:
        try:
            decoded = await self._intake.decode(self._tenant, content, MSGPACK, pointer)
            policy = await self._intake.admit(self._tenant, decoded, pointer)
            identity = None if keys is None else keys.of(decoded, pointer)
            parents = await self._dependencies.parents(self._tenant, decoded.submission, pointer)
            behind = await self._dependencies.spans(self._tenant, decoded.submission, parent)
            return build_job(
                self._tracer,
                self._tenant,
                decoded,
                policy,
                caller=parent,
                idempotency=identity,
                parents=parents,
                job_id=job_id,
                behind=behind,
                owner=owner,
                clock=self._clock,
            )
        except SubmissionError as error:
            raise _refused(error) from error


def _ids(answers: Iterable[Enqueued]) -> list[JobId]:
    """Return the ids of stored jobs. Raises: ConflictError, when one was refused for its unique key."""
    ids: list[JobId] = []
    for one in answers:
        if one.code is EnqueueCode.UNIQUE_CONFLICT:
            raise ConflictError(problem(409, "another job holds the unique key of a child job", held_by(one.id)))
        ids.append(one.id)
    return ids


def _not_taken(error: SubmissionError) -> Exception:
    """Return the error of a batch that takes no more members."""
    return ConflictError(problem(409, "the batch takes no more members", str(error)))


def _refused(error: SubmissionError) -> InvalidChildError:
    status = 413 if isinstance(error, TooLargeError) else 422
    return InvalidChildError(problem(status, "a child job cannot be submitted", str(error), list(error.errors)))
