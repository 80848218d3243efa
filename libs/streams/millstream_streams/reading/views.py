"""Reads jobs as the API shows them: hashes become `Job` values."""

from collections.abc import Iterable, Sequence

from msgspec import Raw, Struct

from millstream_contracts import (
    DeadLetter,
    Job,
    JobId,
    JobSpec,
    JobState,
    Priority,
    Queue,
    made_at,
    moment,
    occasion_of,
)
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import with_retries
from millstream_streams.connection.replies import ask_many, fields_of, unless_wrong_type
from millstream_streams.store.keys import Keys
from millstream_streams.store.plain import attempts_of, deliveries_of, version_of
from millstream_streams.store.specs import (
    read_error,
    read_int,
    read_progress,
    read_spec,
    read_text,
    read_time,
    read_value,
)

# By the words that scripts write, for a hash may hold others.
_STATES = {state.encode(): state for state in JobState}
_PRIORITIES = {priority.encode(): priority for priority in Priority}
_LONG_AGO = moment(0)

Fields = dict[bytes, bytes]


class StoredSpec(Struct, frozen=True):
    """The spec of a job as it is stored, and the job at that moment."""

    job: Job
    blob: bytes
    """A JobSpec in MessagePack; empty where the hash has none."""

    @property
    def payload(self) -> Raw:
        """Return the payload, one MessagePack value; nothing of a spec that cannot be read."""
        return read_spec(self.blob).payload


class JobViews:
    """Reads jobs. Every method may raise StoreUnavailableError."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._keys = keys
        self._patience_s = patience_s

    async def job(self, queue: Queue, job_id: JobId) -> Job | None:
        """Return a job with its payload and result, or None when there is no such job."""
        [fields] = await self._hashes(queue, [job_id])
        return job_from_fields(queue, job_id, fields, unknown=JobState.BLOCKED)

    async def is_settled(self, queue: Queue, job_id: JobId) -> bool:
        """Return whether a job is settled, or gone."""
        key = self._keys.of(queue).job(job_id)

        async def read(_: int) -> bytes | None:
            return await unless_wrong_type(self._client.hget(key, "state"), None)

        word: bytes | None = await with_retries(read, self._patience_s, lambda: None)
        state = _STATES.get(word or b"")
        return state is None or state.is_settled

    async def jobs(self, queue: Queue, ids: Sequence[JobId]) -> list[Job]:
        """Return the jobs of these ids that exist, in this order, without payload and result."""
        found = await self._hashes(queue, ids)
        jobs = (
            job_from_fields(queue, job_id, fields, brief=True, unknown=JobState.BLOCKED)
            for job_id, fields in zip(ids, found, strict=True)
        )
        return [job for job in jobs if job]

    async def jobs_anywhere(self, ids: Sequence[tuple[Queue, JobId]]) -> list[Job | None]:
        """Return jobs of any queues, in this order and one round trip, without payload and result; None for none."""
        keys = [self._keys.of(queue).job(job_id) for queue, job_id in ids]
        found = await with_retries(lambda _: read_hashes(self._client, keys), self._patience_s, lambda: None)
        return [
            job_from_fields(queue, job_id, fields, brief=True, unknown=JobState.BLOCKED)
            for (queue, job_id), fields in zip(ids, found, strict=True)
        ]

    async def specs(self, queue: Queue, ids: Sequence[JobId]) -> list[JobSpec]:
        """Return the specs of these jobs, in this order; an unreadable one for a job that is gone."""
        if not ids:
            return []
        return [read_spec(fields.get(b"spec")) for fields in await self._hashes(queue, ids)]

    async def with_specs(self, queue: Queue, ids: Sequence[JobId]) -> dict[JobId, tuple[Job, JobSpec]]:
        """Return those of these jobs that exist, with payload and result, and the spec of each."""
        if not ids:
            return {}
        found: dict[JobId, tuple[Job, JobSpec]] = {}
        for job_id, fields in zip(ids, await self._hashes(queue, ids), strict=True):
            if job := job_from_fields(queue, job_id, fields, unknown=JobState.BLOCKED):
                found[job_id] = job, read_spec(fields.get(b"spec"))
        return found

    async def stored_specs(self, queue: Queue, ids: Sequence[JobId]) -> dict[JobId, StoredSpec]:
        """Return the specs of those of these jobs that exist."""
        found: dict[JobId, StoredSpec] = {}
        for job_id, fields in zip(ids, await self._hashes(queue, ids) if ids else (), strict=True):
            if job := job_from_fields(queue, job_id, fields, unknown=JobState.BLOCKED):
                found[job_id] = StoredSpec(job, fields.get(b"spec", b""))
        return found

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
            return await read_hashes(self._client, [keys.job(job_id) for job_id in ids])

        return await with_retries(read, self._patience_s, lambda: None)


async def read_hashes(client: Client, keys: Sequence[str]) -> list[Fields]:
    """Return hashes in one round trip, empty ones for keys without one. Raises: redis.RedisError."""
    return [fields_of(reply or {}) for reply in await ask_many(client, [("HGETALL", key) for key in keys])]


def job_from_fields(
    queue: Queue, job_id: JobId, fields: Fields, *, brief: bool = False, unknown: JobState | None = None
) -> Job | None:
    """Return a job from its hash, or None when that holds no job. A brief one leaves out payload and result.

    A field that cannot be read is absent: one broken job must not hide the others. A job in a state that this release
    does not know is shown in the state `unknown`; without that argument it is no job.
    """
    state = _STATES.get(fields.get(b"state", b""), unknown if fields.keys() >= {b"state", b"spec"} else None)
    if state is None:
        return None
    spec = read_spec(fields.get(b"spec"))
    schedule, scheduled_for = occasion_of(spec.tags)
    return Job(
        id=job_id,
        type=queue.type,
        state=state,
        priority=_PRIORITIES.get(fields.get(b"priority", b""), Priority.NORMAL),
        version=version_of(fields, state),
        attempts=attempts_of(fields, state),
        max_attempts=spec.max_attempts,
        deliveries=deliveries_of(fields),
        crashes=read_int(fields.get(b"crashes")),
        handbacks=read_int(fields.get(b"handbacks")),
        created_at=made_at(job_id),
        run_at=read_time(fields.get(b"run_at")),
        expires_at=read_time(fields.get(b"expires_at")),
        started_at=read_time(fields.get(b"started_at")),
        finished_at=read_time(fields.get(b"finished_at")),
        worker=read_text(fields.get(b"worker")),
        cancel_requested=b"cancel" in fields,
        progress=read_progress(fields.get(b"progress")),
        payload=None if brief else read_value(spec.payload),
        result=None if brief or b"result" not in fields else read_value(fields[b"result"]),
        error=read_error(fields.get(b"error")),
        reason=read_text(fields.get(b"reason")),
        tags=spec.tags,
        timeout_s=spec.timeout_s,
        trace_id=_trace_id(spec.traceparent),
        schedule=schedule,
        scheduled_for=scheduled_for,
    )


def _trace_id(traceparent: str) -> str | None:
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else None


def _dead_letter(queue: Queue, job_id: JobId, fields: Fields) -> DeadLetter:
    error = read_error(fields.get(b"error"))
    return DeadLetter(
        id=job_id,
        type=queue.type,
        reason=read_text(fields.get(b"reason")) or "",
        fingerprint=error.fingerprint if error else "",
        died_at=read_time(fields.get(b"finished_at")) or _LONG_AGO,
        attempts=read_int(fields.get(b"attempts")),
        crashes=read_int(fields.get(b"crashes")),
        error=error,
    )
