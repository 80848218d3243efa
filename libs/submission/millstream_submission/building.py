"""Makes a job of an admitted submission: its queue, its id, its producer span and its stored form."""

import random
from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct

from millstream_contracts import Job, JobId, JobState, JobType, Queue, Tenant, TypePolicy, moment, occasion_of, queue_of
from millstream_contracts.ids import new_job_id
from millstream_streams import Enqueued, Idempotency, NewJob, assemble
from millstream_submission.decoding import Decoded
from millstream_submission.rules import delay_s
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
    is_batch_item: bool = False,
    job_id: JobId | None = None,
    clock: Callable[[], float],
) -> BuiltJob:
    """Return the job of a submission. `waited` says that a request waits for its end.

    `idempotency` chooses the partition, so that a repetition finds that of the first request; without it the partition
    is drawn. A `job_id` that was decided on says the queue. `clock` gives Unix seconds, by the clock of Redis.
    """
    submission = decoded.submission
    decided = queue_of(tenant, job_id) if job_id else None
    queue = decided or Queue(tenant, JobType(submission.type), _partition(policy, idempotency))
    now_s = clock()
    now_ms = int(now_s * 1000)
    job_id = job_id or new_job_id(queue, now_ms)
    delayed_s = delay_s(submission, now_s)
    send = tracer.send(queue.type, job_id, caller, tenant=tenant, delay_s=delayed_s, is_batch_item=is_batch_item)
    job = assemble(
        job_id,
        submission,
        decoded.payload,
        created_at_ms=now_ms,
        traceparent=send.context.traceparent,
        tracestate=send.context.tracestate,
        idempotency=idempotency,
        waited=waited,
    )
    return BuiltJob(queue, job, send, decoded)


def stored_job(built: BuiltJob, enqueued: Enqueued) -> Job:
    """Return a job as it is right after it was stored, without asking Redis."""
    job, submission, due_ms = built.job, built.decoded.submission, enqueued.due_ms
    expires_at_ms = job.expires_at_ms if job.expires_in_ms is None else enqueued.now_ms + job.expires_in_ms
    schedule, scheduled_for = occasion_of(submission.tags)
    return Job(
        id=job.id,
        type=built.queue.type,
        state=_QUEUED if due_ms is None else _SCHEDULED,
        priority=job.priority,
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
    )


# Jobs that are submitted together are of a few milliseconds.
_recent_moment = lru_cache(maxsize=8)(moment)


def _partition(policy: TypePolicy, idempotency: Idempotency | None) -> int:
    if policy.partitions == 1:
        return 0
    if idempotency is None:
        return int(random.random() * policy.partitions)
    return idempotency.partition_seed % policy.partitions
