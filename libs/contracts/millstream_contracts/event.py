"""One transition of the jobs of one script call, as it is stored in a queue's event stream."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from millstream_contracts.ids import JobId, JobType, Queue
from millstream_contracts.job import JobError
from millstream_contracts.log_lines import KeptLines


class EventKind(StrEnum):
    """What happened. The scripts write these words."""

    SUBMITTED = "submitted"
    UNBLOCKED = "unblocked"
    RELEASED = "released"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    RETRYING = "retrying"
    SNOOZED = "snoozed"
    HANDED_BACK = "handed_back"
    RECOVERED = "recovered"
    CANCEL_REQUESTED = "cancel_requested"
    PRIORITY_CHANGED = "priority_changed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DEAD = "dead"
    REDRIVEN = "redriven"


class JobTransition(Struct, frozen=True, array_like=True):
    """One job's part in an event."""

    id: JobId
    version: int
    """Orders the transitions of a job, also when two consumers see them in different order."""
    state: str
    """The state it is in now."""
    deliveries: int
    detail: str = ""
    """The reason of a death or a cancellation, in words; the priority that a job was given; of what was released before
    its time, `asked`."""
    attempt: int | None = None
    """The number of the attempt that the transition begins or ends; None for one that does neither."""
    waited_ms: int | None = None
    """How long the job was ready before the attempt that begins by this."""
    ran_ms: int | None = None
    """How long the delivery took that ends by this, from its claim."""
    error: JobError | None = None
    """Why the attempt failed that ends by this. None also where the event carries no errors."""
    log_lines: KeptLines | None = None
    """What its handler has logged last in the attempt that ends by this."""


class Event(Struct, frozen=True):
    """All jobs that one script call moved in the same way."""

    entry: str
    """Stream entry id: a position to resume from, never an identity."""
    kind: str
    """One of :class:`EventKind`, or a word of a newer release: its jobs have moved all the same."""
    at_ms: int
    worker: str
    jobs: list[JobTransition]


class LiveEvent(Struct, frozen=True):
    """What happened to one job, as those who follow jobs live are told it."""

    id: JobId
    type: JobType
    kind: str
    """One of :class:`EventKind`, or a word of a newer release."""
    state: str
    """The state that the job was in afterwards."""
    version: int
    """Counts the transitions of the job. Of two events of one job the later has the larger one."""
    at: datetime
    worker: str | None = None
    detail: str | None = None
    """The reason of a death or a cancellation, in words."""


class QueueEvents(Struct, frozen=True):
    """Events of one queue, oldest first."""

    queue: Queue
    events: list[Event]
