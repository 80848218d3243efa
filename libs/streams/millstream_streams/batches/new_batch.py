"""A batch that is ready to be stored. What its callbacks submit is opaque here: a dispatcher reads it."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from millstream_contracts import BatchEvent, BatchId, JobId, Queue
from millstream_streams.store.deliveries import Idempotency
from millstream_streams.store.scripting import packed


class NewCallback(Struct, frozen=True):
    """The job that a batch submits for an event."""

    queue: Queue
    job_id: JobId
    """Decided on at the submission, so that the job that two dispatchers store is one."""
    content: bytes
    """A Submission in MessagePack."""


class NewBatch(Struct, frozen=True, kw_only=True):
    """A checked batch, without its members."""

    id: BatchId
    name: str
    is_open: bool = True
    """Whether members may be added until it is closed."""
    callbacks: Mapping[BatchEvent, NewCallback] = msgspec.field(default_factory=dict)
    expires_at_ms: int
    """When it closes itself: Unix ms by the clock of Redis."""
    retention_ms: int
    trace: str = ""
    """The W3C traceparent of its `send` span; empty without one."""
    idempotency: Idempotency | None = None
    owner: str = ""
    """Who submits it, and the jobs of its callbacks; empty where that is not known."""


def fields_of_new(new: NewBatch) -> bytes:
    """Return the fields of the hash of a batch."""
    fields: list[str | bytes] = [
        "name",
        new.name,
        "options",
        " ".join(filter(None, (str(new.retention_ms), new.trace))),
    ]
    if new.owner:
        fields += ("owner", new.owner)
    for event, callback in new.callbacks.items():
        fields += (f"job:{event.value}", callback.job_id, f"spec:{event.value}", callback.content)
    return packed(fields)
