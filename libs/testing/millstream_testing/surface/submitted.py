"""A job that was submitted in a test, as the test looks at it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import asdict

from millstream import Handler, JobRef
from millstream.payloads import DataType
from millstream_contracts import Backoff, DeadJob, JobId, JobState, Priority, moment
from millstream_streams import JobViews
from millstream_streams.store.specs import read_spec, read_value
from millstream_testing.memory.stored_job import StoredJob

P = TypeVar("P")


class Submitted(Struct, Generic[P], frozen=True, kw_only=True):
    """A submission with its payload, decoded as the handler gets it, and its options."""

    id: JobId
    type: str
    payload: P
    priority: Priority
    key: str | None
    """The key that limits and turns of its type go by."""
    delay_s: float | None
    """The delay that was asked for."""
    run_at: datetime | None
    """The time at which the job is due, or was last, if it had to wait for one."""
    expires_at: datetime | None
    max_attempts: int | None
    timeout_s: float | None
    backoff: Backoff | None
    tags: Mapping[str, str]
    parent: JobId | None
    """The job whose handler has submitted this one; None for one of a client."""
    in_batch: bool
    """Whether it was submitted by `ctx.batch`, as a member of the batch of its parent."""
    state: JobState
    """What has become of it by now."""


def submitted(job: StoredJob, ref: JobRef[Any, Any]) -> Submitted[Any]:
    """Return a job as a test looks at it. Raises: msgspec.ValidationError, when it is no payload of its type."""
    spec = read_spec(job.spec)
    return Submitted(
        id=job.id,
        type=job.queue.type,
        payload=_takes(ref).decode(bytes(spec.payload)),
        priority=job.priority,
        key=job.key or None,
        delay_s=None if job.asked_delay_ms is None else job.asked_delay_ms / 1000,
        run_at=None if job.run_at_ms is None else moment(job.run_at_ms),
        expires_at=None if job.expires_at_ms is None else moment(job.expires_at_ms),
        max_attempts=spec.max_attempts,
        timeout_s=spec.timeout_s,
        backoff=spec.backoff,
        tags=spec.tags or {},
        parent=job.parent,
        in_batch=job.in_batch,
        state=job.state,
    )


async def dead_job(job: StoredJob, views: JobViews) -> DeadJob:
    """Return a dead job as the handler of `on_dead` gets it."""
    (letter,) = await views.dead_letters(job.queue, [job.id])
    spec = read_spec(job.spec)
    return DeadJob(**asdict(letter), payload=read_value(spec.payload), tags=spec.tags)


def _takes(ref: JobRef[Any, Any]) -> DataType:
    return ref.signature.payload_type if isinstance(ref, Handler) else DataType(ref.takes)
