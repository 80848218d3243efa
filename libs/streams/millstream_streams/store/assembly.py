"""Turns a checked submission into the stored form, for ingest and for workers that submit children."""

import time

import msgspec

from millstream_contracts import PLAIN, BatchId, Callback, Coding, JobId, JobSpec, Submission
from millstream_streams.store.deliveries import Idempotency, NewJob, NodeRef, Parents, UniqueKey

_encode = msgspec.msgpack.Encoder().encode


def assemble(
    job_id: JobId,
    submission: Submission,
    payload: bytes | msgspec.Raw,
    *,
    created_at_ms: int | None = None,
    key: str = "",
    traceparent: str = "",
    tracestate: str = "",
    idempotency: Idempotency | None = None,
    waited: bool = False,
    parents: Parents | None = None,
    node: NodeRef | None = None,
    batch: BatchId | None = None,
    unique: UniqueKey | None = None,
    coding: Coding = PLAIN,
    owner: str = "",
) -> NewJob:
    """Return a job of this id, ready to be stored. `payload` is one MessagePack value, checked by the caller.

    `key` is that of the limits that count the job, empty for none; it need not be that of the submission.

    `owner` is who has submitted it, empty where that is not known.

    `coding` says how the payload is stored. `created_at_ms` is by the clock of Redis, and by default by that of this
    machine.
    """
    spec = JobSpec(
        payload=msgspec.Raw(payload),
        created_at_ms=time.time_ns() // 1_000_000 if created_at_ms is None else created_at_ms,
        traceparent=traceparent,
        tracestate=tracestate,
        max_attempts=submission.max_attempts,
        timeout_s=submission.timeout_s,
        backoff=submission.backoff,
        tags=submission.tags,
    )
    return NewJob(
        id=job_id,
        spec=_encode(spec),
        created_at_ms=spec.created_at_ms,
        priority=submission.priority,
        delay_ms=None if submission.delay_s is None else _ms(submission.delay_s),
        run_at_ms=_ms(submission.run_at.timestamp()) if submission.run_at else None,
        expires_in_ms=None if submission.expires_in_s is None else _ms(submission.expires_in_s),
        expires_at_ms=_ms(submission.expires_at.timestamp()) if submission.expires_at else None,
        idempotency=idempotency,
        callback=b"" if submission.callback is None else _callback(submission.callback),
        waited=waited,
        parents=parents,
        node=node,
        batch=batch,
        unique=unique,
        key=key,
        coding=coding,
        owner=owner,
    )


def _callback(callback: Callback) -> bytes:
    # `+` in a URL is no space; a blank in one is none of its characters, and would end the text in enqueue.lua.
    url = callback.url.replace(" ", "%20")
    return msgspec.json.encode(Callback(url, list(dict.fromkeys(callback.events))))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
