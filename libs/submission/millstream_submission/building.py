"""Makes a job of an admitted submission: its queue, its id, its producer span and its stored form."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import (
    BatchId,
    FieldError,
    Job,
    JobId,
    JobState,
    JobType,
    JobUnique,
    Queue,
    Tenant,
    TypePolicy,
    moment,
    occasion_of,
    queue_of,
)
from millstream_contracts.ids import new_job_id
from millstream_streams import Enqueued, Idempotency, NewJob, NodeRef, Parents, UniqueKey, assemble
from millstream_submission.decoding import Decoded
from millstream_submission.errors import invalid
from millstream_submission.job_key import key_of, partition_of
from millstream_submission.rules import delay_s
from millstream_submission.unique_keys import unique_key
from millstream_telemetry import JobTracer, SendSpan, TraceContext

# To read a member of an enumeration off its class takes 0.1 us.
_SCHEDULED, _QUEUED = JobState.SCHEDULED, JobState.QUEUED


class BuiltJob(Struct, frozen=True):
    """A job on its way to its queue."""

    queue: Queue
    job: NewJob
    send: SendSpan
    """The span of the storing, which the component that stores the job ends."""
    decoded: Decoded


def build_job(
    tracer: JobTracer,
    tenant: Tenant,
    decoded: Decoded,
    policy: TypePolicy,
    *,
    caller: TraceContext,
    idempotency: Idempotency | None = None,
    waited: bool = False,
    parents: Parents | None = None,
    node: NodeRef | None = None,
    batch: BatchId | None = None,
    is_batch_item: bool = False,
    job_id: JobId | None = None,
    behind: Sequence[TraceContext] = (),
    owner: str = "",
    clock: Callable[[], float],
) -> BuiltJob:
    """Return the job of a submission. `waited` says that a request waits for its end.

    The queue is that of :func:`queue_for`, unless a `job_id` that was decided on says it. `behind` are spans of the
    jobs that it waits for. `owner` is who submits it, or has submitted what makes it. `clock` gives Unix seconds, by
    the clock of Redis.

    Raises: InvalidError, when the partition of a decided id is not that of its unique key.
    """
    submission = decoded.submission
    decided = queue_of(tenant, job_id) if job_id else None
    unique = unique_key(decoded, policy)
    if unique is not None and decided is not None:
        unique = _of_decided(unique, decided, policy)
    queue = decided or _queue(tenant, decoded, policy, unique, idempotency)
    now_s = clock()
    now_ms = int(now_s * 1000)
    job_id = job_id or new_job_id(queue, now_ms)
    delayed_s = delay_s(submission, now_s)
    send = tracer.send(
        queue.type, job_id, caller, tenant=tenant, delay_s=delayed_s, is_batch_item=is_batch_item, behind=behind
    )
    job = assemble(
        job_id,
        submission,
        decoded.payload,
        created_at_ms=now_ms,
        key=key_of(decoded, policy),
        traceparent=send.context.traceparent,
        tracestate=send.context.tracestate,
        idempotency=idempotency,
        waited=waited,
        parents=parents,
        node=node,
        batch=batch,
        unique=unique,
        coding=policy.coding,
        owner=owner,
    )
    return BuiltJob(queue, job, send, decoded)


def queue_for(tenant: Tenant, decoded: Decoded, policy: TypePolicy, idempotency: Idempotency | None) -> Queue:
    """Return the queue of a submission; always the same one for the same key, of any kind: a unique one goes first."""
    unique = unique_key(decoded, policy) if policy.partitions > 1 else None
    return _queue(tenant, decoded, policy, unique, idempotency)


def chosen_partition(decoded: Decoded, policy: TypePolicy) -> int | None:
    """Return the partition that the key of a job, or its unique key, chooses; None where any of them will do.

    Raises: InvalidError, for a payload that has no such key.
    """
    if policy.partitions == 1:
        return None
    unique = unique_key(decoded, policy)
    if unique is not None:
        return unique.partition_seed % policy.partitions
    key = key_of(decoded, policy)
    return partition_of(policy, key, None) if key else None


def stored_job(built: BuiltJob, enqueued: Enqueued) -> Job:
    """Return a job as it is right after it was stored, without asking Redis."""
    job, submission, due_ms = built.job, built.decoded.submission, enqueued.due_ms
    expires_at_ms = job.expires_at_ms if job.expires_in_ms is None else enqueued.now_ms + job.expires_in_ms
    schedule, scheduled_for = occasion_of(submission.tags)
    return Job(
        id=job.id,
        type=built.queue.type,
        state=_state_of(job, due_ms),
        after=list(job.parents.all) if job.parents else None,
        after_failure=job.parents.after_failure if job.parents else None,
        priority=job.priority,
        key=job.key or None,
        version=1,
        max_attempts=submission.max_attempts,
        created_at=_recent_moment(job.created_at_ms),
        run_at=None if due_ms is None else moment(due_ms),
        expires_at=None if expires_at_ms is None else moment(expires_at_ms),
        payload=built.decoded.value,
        tags=submission.tags,
        timeout_s=submission.timeout_s,
        trace_id=built.send.context.trace_id or None,
        schedule=schedule,
        scheduled_for=scheduled_for,
        unique=_shown_key(job.unique, enqueued.now_ms) if job.unique else None,
        encrypted=enqueued.is_encrypted,
        submitted_by=job.owner or None,
    )


def _shown_key(unique: UniqueKey, now_ms: int) -> JobUnique:
    until = None if unique.held_ms is None else moment(now_ms + unique.held_ms)
    return JobUnique(key=unique.text, scope=unique.scope, until=until)


def _state_of(job: NewJob, due_ms: int | None) -> JobState:
    if job.parents is not None and job.parents.open:
        return JobState.BLOCKED
    return _QUEUED if due_ms is None else _SCHEDULED


# Jobs that are submitted together are of a few milliseconds.
_recent_moment = lru_cache(maxsize=8)(moment)


def _queue(
    tenant: Tenant, decoded: Decoded, policy: TypePolicy, unique: UniqueKey | None, idempotency: Idempotency | None
) -> Queue:
    job_type = JobType(decoded.submission.type)
    if unique is not None:
        return Queue(tenant, job_type, unique.partition_seed % policy.partitions)
    seed = None if idempotency is None else idempotency.partition_seed
    return Queue(tenant, job_type, partition_of(policy, key_of(decoded, policy), seed))


def _of_decided(unique: UniqueKey, queue: Queue, policy: TypePolicy) -> UniqueKey:
    """Return the unique key of a job whose id others know already, so that no other job can stand for it.

    Raises: InvalidError, when jobs with the same key lie in other partitions than this one.
    """
    if policy.partitions > 1 and unique.partition_seed % policy.partitions != queue.partition:
        detail = "is made of the payload, and the partition of this job was decided before there was one"
        raise invalid(FieldError("/unique", detail))
    return replace(unique, on_conflict="reject") if unique.on_conflict == "return" else unique
