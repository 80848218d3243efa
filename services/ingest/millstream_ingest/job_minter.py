"""Makes a job of an admitted submission: its place, its id, its producer span and what is stored of it."""

import random
import time
from datetime import datetime

import msgspec
from msgspec import Raw

from millstream_contracts import Job, JobSpec, JobState, JobType, Queue, Submission, Tenant, TypePolicy, moment
from millstream_contracts.ids import new_job_id
from millstream_ingest.bodies import Decoded
from millstream_ingest.idempotency import IdempotencyKey
from millstream_streams import Enqueued, NewJob
from millstream_telemetry import JobTracer, TraceContext

_encode = msgspec.msgpack.Encoder().encode


class Minted(msgspec.Struct, frozen=True):
    """A job on its way to its queue."""

    queue: Queue
    job: NewJob
    spec: JobSpec
    decoded: Decoded


class JobMinter:
    """Makes jobs."""

    def __init__(self, tracer: JobTracer) -> None:
        self._tracer = tracer

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
        job_id = new_job_id(queue)
        now_ms = time.time_ns() // 1_000_000
        trace = self._tracer.send(
            queue.type,
            job_id,
            caller,
            tenant=tenant,
            delay_s=_delay_s(submission, now_ms),
            is_batch_item=is_batch_item,
        )
        spec = _spec(submission, decoded.payload, now_ms, trace)
        job = NewJob(
            id=job_id,
            spec=_encode(spec),
            priority=submission.priority,
            delay_ms=_duration_ms(submission.delay_s),
            run_at_ms=_time_ms(submission.run_at),
            expires_in_ms=_duration_ms(submission.expires_in_s),
            expires_at_ms=_time_ms(submission.expires_at),
            idempotency=key.of(decoded) if key else None,
            waited=waited,
        )
        return Minted(queue, job, spec, decoded)


def stored_job(minted: Minted, enqueued: Enqueued) -> Job:
    """Return a job as it is right after it was stored, without asking Redis."""
    job, spec, submission = minted.job, minted.spec, minted.decoded.submission
    is_scheduled = bool(job.delay_ms) or (job.run_at_ms is not None and job.run_at_ms == enqueued.at_ms)
    now_ms = spec.created_at_ms if job.run_at_ms else enqueued.at_ms - (job.delay_ms or 0)
    expires_at_ms = now_ms + job.expires_in_ms if job.expires_in_ms is not None else job.expires_at_ms
    return Job(
        id=job.id,
        type=minted.queue.type,
        state=JobState.SCHEDULED if is_scheduled else JobState.QUEUED,
        priority=job.priority,
        version=1,
        max_attempts=spec.max_attempts,
        created_at=moment(spec.created_at_ms),
        run_at=moment(enqueued.at_ms) if is_scheduled else None,
        expires_at=None if expires_at_ms is None else moment(expires_at_ms),
        payload=minted.decoded.value,
        tags=submission.tags,
        timeout_s=spec.timeout_s,
        trace_id=spec.traceparent.split("-")[1] if spec.traceparent else None,
    )


def _partition(policy: TypePolicy, key: IdempotencyKey | None) -> int:
    if policy.partitions == 1:
        return 0
    return key.partition_seed % policy.partitions if key else random.randrange(policy.partitions)


def _spec(submission: Submission, payload: bytes, now_ms: int, trace: TraceContext) -> JobSpec:
    return JobSpec(
        payload=Raw(payload),
        created_at_ms=now_ms,
        traceparent=trace.traceparent,
        tracestate=trace.tracestate,
        max_attempts=submission.max_attempts,
        timeout_s=submission.timeout_s,
        backoff=submission.backoff,
        tags=submission.tags,
    )


def _delay_s(submission: Submission, now_ms: int) -> float:
    if submission.run_at is not None:
        return submission.run_at.timestamp() - now_ms / 1000
    return submission.delay_s or 0.0


def _time_ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)


def _duration_ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
