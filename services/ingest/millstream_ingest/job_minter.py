"""Makes a job of an admitted submission: its place, its id, its producer span and what is stored of it."""

import random
from functools import lru_cache

import msgspec

from millstream_contracts import Job, JobState, JobType, Queue, Submission, Tenant, TypePolicy, moment
from millstream_contracts.ids import new_job_id
from millstream_ingest.bodies import Decoded
from millstream_ingest.idempotency import IdempotencyKey
from millstream_streams import Enqueued, NewJob, RedisClock, assemble
from millstream_telemetry import JobTracer, TraceContext

# To read a member of an enumeration off its class takes 0.1 us.
_SCHEDULED, _QUEUED = JobState.SCHEDULED, JobState.QUEUED


class Minted(msgspec.Struct, frozen=True):
    """A job on its way to its queue."""

    queue: Queue
    job: NewJob
    trace: TraceContext
    decoded: Decoded


class JobMinter:
    """Makes jobs."""

    def __init__(self, tracer: JobTracer, clock: RedisClock) -> None:
        self._tracer = tracer
        self._clock = clock

    def mint(
        self,
        tenant: Tenant,
        decoded: Decoded,
        policy: TypePolicy,
        *,
        caller: TraceContext,
        key: IdempotencyKey | None = None,
        waited: bool = False,
        is_batch_item: bool = False,
    ) -> Minted:
        """Return the job of a submission. `waited` says that somebody wants to hear of its end."""
        submission = decoded.submission
        queue = Queue(tenant, JobType(submission.type), _partition(policy, key))
        now_ms = self._clock.now_ms()
        job_id = new_job_id(queue, now_ms)
        trace = self._tracer.send(
            queue.type,
            job_id,
            caller,
            tenant=tenant,
            delay_s=_delay_s(submission, now_ms),
            is_batch_item=is_batch_item,
        )
        job = assemble(
            job_id,
            submission,
            decoded.payload,
            created_at_ms=now_ms,
            traceparent=trace.traceparent,
            tracestate=trace.tracestate,
            idempotency=key.of(decoded) if key else None,
            waited=waited,
        )
        return Minted(queue, job, trace, decoded)


def stored_job(minted: Minted, enqueued: Enqueued) -> Job:
    """Return a job as it is right after it was stored, without asking Redis."""
    job, submission = minted.job, minted.decoded.submission
    is_scheduled = bool(job.delay_ms) or (job.run_at_ms is not None and job.run_at_ms == enqueued.at_ms)
    now_ms = job.created_at_ms if job.run_at_ms else enqueued.at_ms - (job.delay_ms or 0)
    expires_at_ms = now_ms + job.expires_in_ms if job.expires_in_ms is not None else job.expires_at_ms
    return Job(
        id=job.id,
        type=minted.queue.type,
        state=_SCHEDULED if is_scheduled else _QUEUED,
        priority=job.priority,
        version=1,
        max_attempts=submission.max_attempts,
        created_at=_recent_moment(job.created_at_ms),
        run_at=moment(enqueued.at_ms) if is_scheduled else None,
        expires_at=None if expires_at_ms is None else moment(expires_at_ms),
        payload=minted.decoded.value,
        tags=submission.tags,
        timeout_s=submission.timeout_s,
        trace_id=minted.trace.trace_id or None,
    )


# Jobs that are submitted together are of a few milliseconds.
_recent_moment = lru_cache(maxsize=8)(moment)


def _partition(policy: TypePolicy, key: IdempotencyKey | None) -> int:
    if policy.partitions == 1:
        return 0
    return key.partition_seed % policy.partitions if key else int(random.random() * policy.partitions)


def _delay_s(submission: Submission, now_ms: int) -> float:
    if submission.run_at is not None:
        return submission.run_at.timestamp() - now_ms / 1000
    return submission.delay_s or 0.0
