"""Turns a checked submission into the stored form, for ingest and for workers that submit children."""

import time

import msgspec

from millstream_contracts import Callback, JobId, JobSpec, Submission
from millstream_streams.store.deliveries import Idempotency, NewJob, Parents

_encode = msgspec.msgpack.Encoder().encode
_decode_values = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def assemble(
    job_id: JobId,
    submission: Submission,
    payload: bytes | msgspec.Raw,
    *,
    created_at_ms: int | None = None,
    traceparent: str = "",
    tracestate: str = "",
    idempotency: Idempotency | None = None,
    waited: bool = False,
    parents: Parents | None = None,
) -> NewJob:
    """Return a job of this id, ready to be stored. `payload` is one MessagePack value, checked by the caller.

    `created_at_ms` is by the clock of Redis, and by default by that of this machine.
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
    )


def with_payload(spec: bytes, payload: bytes) -> bytes:
    """Return a stored spec with another payload, one MessagePack value; fields of a newer release stay as they are.

    Raises: msgspec.DecodeError, for a spec that cannot be read.
    """
    return _encode([msgspec.Raw(payload), *_decode_values(spec)[1:]])


def _callback(callback: Callback) -> bytes:
    # `+` in a URL is no space; a blank in one is none of its characters, and would end the text in enqueue.lua.
    url = callback.url.replace(" ", "%20")
    return msgspec.json.encode(Callback(url, list(dict.fromkeys(callback.events))))


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
