"""Submits one job: decode, admit, build, append, answer. The path of `POST /v1/jobs`."""

import time
from collections.abc import Sequence

from msgspec import Struct

from millstream_contracts import Job, JobId, Queue, Tenant, TypePolicy
from millstream_ingest.http.allowed_types import check_type
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.negotiation import Encoding
from millstream_ingest.http.refusals import refusal_of
from millstream_ingest.submission.backlog import backlog_full, reason_of
from millstream_ingest.submission.bodies import CODECS
from millstream_ingest.submission.idempotency import IdempotencyKey, forgotten, reused
from millstream_streams import (
    Durability,
    EnqueueCode,
    Enqueued,
    JobViews,
    NotDurableError,
    Parents,
    RedisClock,
    StoreUnavailableError,
)
from millstream_submission import (
    BacklogFullError,
    BuiltJob,
    Decoded,
    Dependencies,
    GroupCommitter,
    Intake,
    SubmissionError,
    UniqueConflictError,
    UnknownParentError,
    blocked_of,
    build_job,
    conflict_of,
    link_stored,
    queue_for,
    stored_job,
    tell_unconfirmed,
)
from millstream_telemetry import IngestMetrics, JobTracer, TraceContext

# To read a member of an enumeration off its class takes 0.1 us.
_STORED = EnqueueCode.STORED


class Accepted(Struct, frozen=True):
    """A job that is stored."""

    queue: Queue
    job: Job
    replayed: bool = False
    """Whether an earlier request with the same key made the job."""
    is_holder: bool = False
    """Whether nothing was stored, because this job holds the unique key of the submission."""


class Submitter:
    """Turns submissions into stored jobs, one at a time."""

    def __init__(
        self,
        intake: Intake,
        tracer: JobTracer,
        committer: GroupCommitter,
        views: JobViews,
        metrics: IngestMetrics,
        *,
        clock: RedisClock,
        dependencies: Dependencies,
    ) -> None:
        self._intake = intake
        self._tracer = tracer
        self._committer = committer
        self._views = views
        self._metrics = metrics
        self._clock = clock
        self._dependencies = dependencies

    async def submit(
        self,
        tenant: Tenant,
        body: bytes,
        encoding: Encoding,
        *,
        caller: TraceContext,
        key: IdempotencyKey | None = None,
        waited: bool = False,
        durability: Durability | None = None,
        types: Sequence[str] = (),
        owner: str = "",
    ) -> Accepted:
        """Store the job that a body describes; `waited` says that a request waits for its end.

        `types` are the patterns that its type has to match, where there are any. `owner` is who submits it.
        Raises: SubmissionError, BacklogFullError, IngestError (403, 410, 422), NotDurableError, StoreUnavailableError,
        StoreFullError.
        """
        job_type, begun = "", time.monotonic()
        try:
            decoded = await self._intake.decode(tenant, body, CODECS[encoding])
            job_type = decoded.submission.type
            check_type(types, job_type)
            policy = await self._intake.admit(tenant, decoded)
            parents, behind = None, list[TraceContext]()
            if decoded.submission.after is not None:
                parents, earlier = await self._dependencies_of(tenant, decoded, policy, key)
                if earlier is not None:
                    return earlier
                behind = await self._dependencies.spans(tenant, decoded.submission, caller)
            built = self._build(
                tenant, decoded, policy, caller, key, waited=waited, parents=parents, behind=behind, owner=owner
            )
            enqueued = await self._store(built, begun, durability)
            self._count_conflict(built, enqueued)
            if enqueued.code is EnqueueCode.UNIQUE_CONFLICT:
                raise UniqueConflictError(enqueued.id)
            if enqueued.code is EnqueueCode.RETURNED:
                accepted = Accepted(built.queue, await self._holder(built, enqueued.id), is_holder=True)
            elif parents is not None and parents.open:
                accepted = await self._linked(built, enqueued)
            elif enqueued.code is _STORED:
                accepted = Accepted(built.queue, stored_job(built, enqueued))
            else:
                accepted = await self._as_stored(built, enqueued)
        except StoreUnavailableError:
            self._metrics.count_submitted(job_type, "unavailable")
            raise
        except (IngestError, SubmissionError, BacklogFullError) as error:
            self._metrics.count_submitted(job_type, outcome_of(refusal_of(error)))
            raise
        self._metrics.count_submitted(job_type, _outcome(accepted))
        return accepted

    def _count_conflict(self, built: BuiltJob, enqueued: Enqueued) -> None:
        if conflict := conflict_of(built, enqueued):
            self._metrics.count_unique_conflict(built.queue.type, conflict)

    async def _holder(self, built: BuiltJob, job_id: JobId) -> Job:
        """Return the job that holds a unique key. Raises: UniqueConflictError, where it was erased just now."""
        job = await self._views.job(built.queue, job_id)
        if job is None:
            raise UniqueConflictError(job_id)
        return job

    def _build(
        self,
        tenant: Tenant,
        decoded: Decoded,
        policy: TypePolicy,
        caller: TraceContext,
        key: IdempotencyKey | None,
        *,
        waited: bool,
        parents: Parents | None,
        behind: Sequence[TraceContext],
        owner: str,
    ) -> BuiltJob:
        return build_job(
            self._tracer,
            tenant,
            decoded,
            policy,
            caller=caller,
            idempotency=key.of(decoded) if key else None,
            waited=waited,
            parents=parents,
            behind=behind,
            owner=owner,
            clock=self._clock.now_s,
        )

    async def _store(self, built: BuiltJob, begun: float, durability: Durability | None) -> Enqueued:
        try:
            [enqueued] = await self._committer.enqueue(built.queue, [built.job], begun, durability)
        except NotDurableError as error:
            tell_unconfirmed([built], error)
            raise
        if reason := reason_of(enqueued.code):
            self._metrics.count_refused(built.queue.type, reason)
            raise backlog_full(built.queue.type, enqueued)
        if enqueued.code is _STORED or enqueued.code is EnqueueCode.STORED_BEFORE:
            built.send.stored()
        return enqueued

    async def _dependencies_of(
        self, tenant: Tenant, decoded: Decoded, policy: TypePolicy, key: IdempotencyKey | None
    ) -> tuple[Parents | None, Accepted | None]:
        """Return what a submission waits for, or the job of an earlier request whose parents are forgotten by now.

        Raises: UnknownParentError, IngestError (410), StoreUnavailableError.
        """
        try:
            return await self._dependencies.parents(tenant, decoded.submission), None
        except UnknownParentError:
            identity = key.of(decoded) if key else None
            queue = queue_for(tenant, decoded, policy, identity)
            made = await self._views.keyed(queue, identity) if identity else None
            if made is None:
                raise
        self._metrics.count_submitted(queue.type, "replayed")
        return None, Accepted(queue, await self._earlier(queue, made), replayed=True)

    async def _linked(self, built: BuiltJob, enqueued: Enqueued) -> Accepted:
        """Link a blocked job that is stored, and return it as it is then: its parents may have ended meanwhile."""
        is_other = enqueued.code is EnqueueCode.KEY_REUSED
        if not is_other and (blocked := blocked_of(built.job, enqueued.id)):
            await link_stored(self._dependencies, built.queue, [blocked])
        return await self._as_stored(built, enqueued)

    async def _as_stored(self, built: BuiltJob, enqueued: Enqueued) -> Accepted:
        if enqueued.code is EnqueueCode.KEY_REUSED:
            raise reused()
        if enqueued.code is EnqueueCode.REPLAYED:
            return Accepted(built.queue, await self._earlier(built.queue, enqueued.id), replayed=True)
        # It may have run meanwhile: the first answer of Redis was lost, or what it waited for has ended.
        job = await self._views.job(built.queue, built.job.id)
        return Accepted(built.queue, job or stored_job(built, enqueued))

    async def _earlier(self, queue: Queue, job_id: JobId) -> Job:
        job = await self._views.job(queue, job_id)
        if job is None:
            raise forgotten(job_id)
        return job


def _outcome(accepted: Accepted) -> str:
    if accepted.is_holder:
        return "unique"
    return "replayed" if accepted.replayed else "accepted"


def outcome_of(error: IngestError) -> str:
    """Return a refusal as one of the outcomes that are counted."""
    return "unavailable" if error.status == 503 else "rejected"
