"""Jobs as people read them: hashes turned into `Job` values. Reads only."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from millstream_contracts import (
    DeadLetter,
    Job,
    JobError,
    JobId,
    JobSpec,
    JobState,
    Priority,
    Progress,
    Queue,
    moment,
)
from millstream_streams.connections import Client
from millstream_streams.faults import persist
from millstream_streams.keys import Keys
from millstream_streams.specs import read_spec, read_value

_decode_error = msgspec.msgpack.Decoder(JobError).decode
_decode_progress = msgspec.msgpack.Decoder(Progress).decode

Fields = dict[bytes, bytes]


class JobViews:
    """Reads jobs. Every method may raise StoreUnavailableError."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._keys = keys
        self._patience_s = patience_s

    async def job(self, queue: Queue, job_id: JobId) -> Job | None:
        """Return a job with its payload and result, or None when there is no such job."""
        key = self._keys.of(queue).job(job_id)
        fields: Fields = await persist(lambda _: self._client.hgetall(key), self._patience_s, lambda: None)
        return job_from_fields(queue, job_id, fields) if fields else None

    async def jobs(self, queue: Queue, ids: Sequence[JobId]) -> list[Job]:
        """Return the jobs of these ids that exist, in this order, without payload and result."""
        found = await self._hashes(queue, ids)
        return [
            job_from_fields(queue, job_id, fields, brief=True)
            for job_id, fields in zip(ids, found, strict=True)
            if fields
        ]

    async def specs(self, queue: Queue, ids: Sequence[JobId]) -> list[JobSpec]:
        """Return what was submitted as these jobs, in this order; an unreadable one for a job that is gone."""
        if not ids:
            return []
        return [read_spec(fields.get(b"spec", b"")) for fields in await self._hashes(queue, ids)]

    async def dead_letters(self, queue: Queue, ids: Sequence[JobId]) -> list[DeadLetter]:
        """Return those of these jobs that are dead, in this order."""
        found = await self._hashes(queue, ids)
        return [
            _dead_letter(queue, job_id, fields)
            for job_id, fields in zip(ids, found, strict=True)
            if fields.get(b"state") == b"dead"
        ]

    async def _hashes(self, queue: Queue, ids: Iterable[JobId]) -> list[Fields]:
        keys = self._keys.of(queue)

        async def read(_: int) -> list[Fields]:
            pipeline = self._client.pipeline(transaction=False)
            for job_id in ids:
                pipeline.hgetall(keys.job(job_id))
            replies: list[Fields] = await pipeline.execute()
            return replies

        return await persist(read, self._patience_s, lambda: None)


def job_from_fields(queue: Queue, job_id: JobId, fields: Fields, *, brief: bool = False) -> Job:
    """Return a job from its hash; a brief one leaves out payload and result, which may be large."""
    spec = read_spec(fields[b"spec"])
    return Job(
        id=job_id,
        type=queue.type,
        state=JobState(fields[b"state"].decode()),
        priority=Priority(fields.get(b"priority", b"normal").decode()),
        version=int(fields.get(b"version", b"1")),
        attempts=_int(fields, b"attempts"),
        max_attempts=spec.max_attempts,
        deliveries=_int(fields, b"deliveries"),
        crashes=_int(fields, b"crashes"),
        handbacks=_int(fields, b"handbacks"),
        created_at=moment(spec.created_at_ms),
        run_at=_time(fields, b"run_at"),
        expires_at=_time(fields, b"expires_at"),
        started_at=_time(fields, b"started_at"),
        finished_at=_time(fields, b"finished_at"),
        worker=_text(fields, b"worker"),
        cancel_requested=b"cancel" in fields,
        progress=_decode_progress(fields[b"progress"]) if b"progress" in fields else None,
        payload=None if brief else read_value(spec.payload),
        result=None if brief or b"result" not in fields else read_value(fields[b"result"]),
        error=_error(fields),
        reason=_text(fields, b"reason"),
        tags=spec.tags,
        timeout_s=spec.timeout_s,
        trace_id=spec.traceparent.split("-")[1] if spec.traceparent else None,
    )


def _dead_letter(queue: Queue, job_id: JobId, fields: Fields) -> DeadLetter:
    error = _error(fields)
    return DeadLetter(
        id=job_id,
        type=queue.type,
        reason=fields.get(b"reason", b"").decode(),
        fingerprint=error.fingerprint if error else "",
        died_at=moment(_int(fields, b"finished_at")),
        attempts=_int(fields, b"attempts"),
        crashes=_int(fields, b"crashes"),
        error=error,
    )


def _error(fields: Fields) -> JobError | None:
    return _decode_error(fields[b"error"]) if b"error" in fields else None


def _int(fields: Fields, name: bytes) -> int:
    return int(fields.get(name, b"0"))


def _time(fields: Fields, name: bytes) -> datetime | None:
    return moment(int(fields[name])) if name in fields else None


def _text(fields: Fields, name: bytes) -> str | None:
    value: Any = fields.get(name)
    return value.decode() if value else None
