"""Reads jobs as the API shows them: hashes become `Job` values."""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import replace

from millstream_codec import PAYLOAD, Codec, CodecError, Place, is_sealed
from millstream_contracts import (
    BATCH_PREFIX,
    AfterFailure,
    BatchEvent,
    DeadLetter,
    Job,
    JobId,
    JobSpec,
    JobState,
    Priority,
    Queue,
    StoredStep,
    made_at,
    moment,
    occasion_of,
)
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import with_retries
from millstream_streams.connection.replies import ask_many, fields_of, unless_wrong_type
from millstream_streams.store.deliveries import Idempotency
from millstream_streams.store.keys import Keys
from millstream_streams.store.plain import attempts_of, deliveries_of, version_of
from millstream_streams.store.specs import (
    read_error,
    read_int,
    read_progress,
    read_spec,
    read_steps,
    read_text,
    read_time,
    read_unique,
    read_value,
)

# By the words that scripts write, for a hash may hold others.
_STATES = {state.encode(): state for state in JobState}
_PRIORITIES = {priority.encode(): priority for priority in Priority}
_POLICIES: dict[bytes, AfterFailure] = {b"wait": "wait", b"cancel": "cancel", b"run": "run"}
_LONG_AGO = moment(0)

Fields = dict[bytes, bytes]


class StoredSpec(Struct, frozen=True):
    """The spec of a job as it is stored, and the job at that moment."""

    job: Job
    blob: bytes
    """A JobSpec in MessagePack; empty where the hash has none."""

    payload: bytes
    """One MessagePack value; nothing of a spec that cannot be read, and of a payload that cannot be decrypted."""


class JobViews:
    """Reads jobs. Every method may raise StoreUnavailableError."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0, codec: Codec | None = None) -> None:
        self._client = client
        self._keys = keys
        self._patience_s = patience_s
        self._codec = codec or Codec()

    async def job(self, queue: Queue, job_id: JobId) -> Job | None:
        """Return a job with its payload and result, or None when there is no such job."""
        [fields] = await self._hashes(queue, [job_id])
        job = job_from_fields(queue, job_id, fields, unknown=JobState.BLOCKED)
        return job and await self._codec.read_job(queue.tenant, job)

    async def states(self, queue: Queue, ids: Sequence[JobId]) -> list[str | None]:
        """Return the word of the state of each of these jobs; None where there is no such job."""
        keys = self._keys.of(queue)

        async def read(_: int) -> list[Any]:
            return await ask_many(self._client, [("HGET", keys.job(job_id), "state") for job_id in ids])

        return [read_text(word) for word in await with_retries(read, self._patience_s, lambda: None)]

    async def owner(self, queue: Queue, job_id: JobId) -> str | None:
        """Return who has submitted a job; empty where that is not known, and None for no such job."""
        key = self._keys.of(queue).job(job_id)

        async def read(_: int) -> list[Any]:
            return await ask_many(self._client, [("HGET", key, "state"), ("HGET", key, "owner")])

        state, owner = await with_retries(read, self._patience_s, lambda: None)
        return None if state is None else read_text(owner) or ""

    async def keyed(self, queue: Queue, known: Idempotency) -> JobId | None:
        """Return the id of the job that an earlier request with this key and fingerprint has made; None for none."""
        key = self._keys.of(queue).idempotency_prefix.encode() + known.key

        async def read(_: int) -> bytes | None:
            return await unless_wrong_type(self._client.get(key), None)

        value: bytes | None = await with_retries(read, self._patience_s, lambda: None)
        fingerprint, _, job_id = (value or b"").decode(errors="replace").partition(" ")
        return JobId(job_id) if job_id and fingerprint == known.fingerprint else None

    async def open_parents(self, queue: Queue, job_id: JobId) -> list[JobId]:
        """Return the parents that a blocked job is blocked by; none of any other job."""
        key = self._keys.of(queue).open_prefix + job_id

        async def read(_: int) -> Any:
            return await unless_wrong_type(self._client.smembers(key), ())

        found = await with_retries(read, self._patience_s, lambda: None)
        return sorted(JobId(raw.decode(errors="replace")) for raw in found)

    async def steps(self, queue: Queue, job_id: JobId) -> dict[str, StoredStep]:
        """Return what is stored of the steps of a job, by name and the oldest first. A garbled one is left out."""
        key = self._keys.of(queue).steps_prefix + job_id

        async def read(_: int) -> Any:
            return await unless_wrong_type(self._client.hgetall(key), {})

        return read_steps(fields_of(await with_retries(read, self._patience_s, lambda: None)))

    async def kept_signals(self, queue: Queue, job_id: JobId) -> list[str]:
        """Return the names of the signals that no wait of a job has taken yet, the oldest first."""
        key = self._keys.of(queue).signals_prefix + job_id

        async def read(_: int) -> list[Any]:
            return await ask_many(self._client, [("XRANGE", key, "-", "+")])

        [found] = await with_retries(read, self._patience_s, lambda: None)
        return [read_text(fields_of(fields).get(b"name")) or "" for _, fields in found or ()]

    async def children(self, queue: Queue, job_id: JobId, limit: int) -> tuple[list[JobId], int]:
        """Return the jobs that wait for a job, so many at most, and how many there are."""
        key = self._keys.of(queue).children_prefix + job_id

        async def read(_: int) -> list[Any]:
            return await ask_many(self._client, [("ZRANGE", key, 0, limit - 1), ("ZCARD", key)])

        found, total = await with_retries(read, self._patience_s, lambda: None)
        return [JobId(raw.decode(errors="replace")) for raw in found or ()], int(total or 0)

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
        return [await self._codec.read_job(queue.tenant, job) for job in jobs if job]

    async def jobs_anywhere(self, ids: Sequence[tuple[Queue, JobId]]) -> list[Job | None]:
        """Return jobs of any queues, in this order and one round trip, without payload and result; None for none."""
        keys = [self._keys.of(queue).job(job_id) for queue, job_id in ids]
        found = await with_retries(lambda _: read_hashes(self._client, keys), self._patience_s, lambda: None)
        jobs: list[Job | None] = []
        for (queue, job_id), fields in zip(ids, found, strict=True):
            job = job_from_fields(queue, job_id, fields, brief=True, unknown=JobState.BLOCKED)
            jobs.append(job and await self._codec.read_job(queue.tenant, job))
        return jobs

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
                found[job_id] = await self._codec.read_job(queue.tenant, job), read_spec(fields.get(b"spec"))
        return found

    async def stored_specs(self, queue: Queue, ids: Sequence[JobId]) -> dict[JobId, StoredSpec]:
        """Return the specs of those of these jobs that exist."""
        found: dict[JobId, StoredSpec] = {}
        for job_id, fields in zip(ids, await self._hashes(queue, ids) if ids else (), strict=True):
            if job := job_from_fields(queue, job_id, fields, unknown=JobState.BLOCKED):
                blob = fields.get(b"spec", b"")
                found[job_id] = StoredSpec(job, blob, await self._payload(queue, job_id, blob))
        return found

    async def _payload(self, queue: Queue, job_id: JobId, blob: bytes) -> bytes:
        try:
            return await self._codec.read(bytes(read_spec(blob).payload), Place(queue.tenant, job_id, PAYLOAD))
        except CodecError:
            return b""

    async def dead_letters(self, queue: Queue, ids: Sequence[JobId]) -> list[DeadLetter]:
        """Return those of these jobs that are dead, in this order."""
        found = await self._hashes(queue, ids)
        return [
            await self._letter(queue, _dead_letter(queue, job_id, fields))
            for job_id, fields in zip(ids, found, strict=True)
            if fields.get(b"state") == b"dead"
        ]

    async def _letter(self, queue: Queue, letter: DeadLetter) -> DeadLetter:
        if letter.error is None or not letter.error.sealed:
            return letter
        return replace(letter, error=await self._codec.read_error(letter.error, queue.tenant, letter.id))

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
    workflow, batch, batch_event = _flow(fields.get(b"flow"))
    return Job(
        id=job_id,
        type=queue.type,
        state=state,
        priority=_PRIORITIES.get(fields.get(b"priority", b""), Priority.NORMAL),
        key=unquote(lane) if (lane := read_text(fields.get(b"lane"))) else None,
        version=version_of(fields, state),
        attempts=attempts_of(fields, state),
        max_attempts=spec.max_attempts,
        deliveries=deliveries_of(fields),
        crashes=read_int(fields.get(b"crashes")),
        handbacks=read_int(fields.get(b"handbacks")),
        created_at=made_at(job_id),
        after=_parents(fields.get(b"after")),
        after_failure=_POLICIES.get(fields.get(b"after_failure", b"wait")) if b"after" in fields else None,
        because_of=JobId(text) if (text := read_text(fields.get(b"because_of"))) else None,
        waiting_for=read_text(fields.get(b"waiting_for")) if state is JobState.SCHEDULED else None,
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
        workflow=workflow,
        batch=batch,
        batch_event=batch_event,
        unique=read_unique(fields.get(b"unique")),
        encrypted=is_sealed(spec.payload),
        submitted_by=read_text(fields.get(b"owner")),
    )


def _flow(blob: bytes | None) -> tuple[str | None, str | None, str | None]:
    """Return the workflow of a job, or its batch and the event of that for which it runs."""
    if not blob:
        return None, None, None
    flow, _, place = (read_text(blob) or "").partition(":")
    if not flow.startswith(BATCH_PREFIX):
        return flow or None, None, None
    event = place.partition(":")[0]
    return None, flow, event if event in _BATCH_EVENTS else None


_BATCH_EVENTS = frozenset(event.value for event in BatchEvent)


def _parents(blob: bytes | None) -> list[JobId] | None:
    text = read_text(blob)
    return [JobId(job_id) for job_id in text.split(",")] if text else None


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
