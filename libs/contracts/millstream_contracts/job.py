"""A job as it is stored and as the API shows it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal

from msgspec import Raw, Struct

from millstream_contracts.count import JobCount
from millstream_contracts.ids import JobId, JobType, made_at_ms
from millstream_contracts.policy import AfterFailure, Backoff
from millstream_contracts.unique import JobUnique


class Priority(StrEnum):
    """Each queue has one stream per priority. The order here is the order of the streams in script calls."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    # Enum's own is a function in Python, called by each look into a dict.
    __hash__ = str.__hash__


PriorityName = Literal["high", "normal", "low"]
"""As people write it in code."""


class NewPriority(Struct, frozen=True, forbid_unknown_fields=True):
    """The priority that a job is given after its submission."""

    priority: Priority


class JobState(StrEnum):
    """The state of a job. The state diagram is in docs/internals.md."""

    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DEAD = "dead"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing can happen to the job any more. A dead job still waits for a decision."""
        return self in TERMINAL_STATES

    @property
    def is_settled(self) -> bool:
        """Whether nothing moves the job by itself any more: terminal, or dead."""
        return self in TERMINAL_STATES or self is JobState.DEAD


TERMINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.CANCELLED, JobState.EXPIRED})

_STATES = {state.value: state for state in JobState}


def read_state(word: str, unknown: JobState = JobState.BLOCKED) -> JobState:
    """Return the state that an event or a row names; `unknown` for a word of a newer release."""
    return _STATES.get(word, unknown)


class JobSpec(Struct, frozen=True, array_like=True):
    """The part of a job that never changes, stored once as a MessagePack array in the job's hash.

    An array keeps a queued job small. New fields go to the end with a default, and are left out of the array where they
    have it: a release that does not know a field leaves the jobs that have it to one that does (ADR 16).
    """

    payload: Raw
    """One MessagePack value."""
    created_at_ms: int
    """By the clock of Redis: for people, never for decisions."""
    traceparent: str = ""
    """W3C context of the span `send <type>`, the parent of every attempt."""
    tracestate: str = ""
    max_attempts: int | None = None
    timeout_s: float | None = None
    backoff: Backoff | None = None
    tags: dict[str, str] | None = None


class JobError(Struct, frozen=True, omit_defaults=True):
    """Why an attempt failed, kept as text: nothing of it is ever executed or unpickled."""

    type: str
    """Qualified name of the exception, or of what stood in for one: `timeout`, `crashed`, `lost`."""
    message: str
    fingerprint: str = ""
    """Equal for errors of the same type raised at the same place, whatever their message."""
    traceback: str = ""
    attempt: int = 0
    traceparent: str = ""
    """W3C context of the attempt's span, to which the next attempt links."""
    encrypted: bool = False
    """Whether its message and traceback are stored encrypted. Without the key, or the right to read them, there are
    none."""
    sealed: bytes = b""
    """As it is stored: message and traceback, encrypted. Empty where these are shown."""


class Progress(Struct, frozen=True, omit_defaults=True):
    """How far a running handler reports to be."""

    percent: float
    note: str = ""
    encrypted: bool = False
    """Whether its note is stored encrypted."""
    sealed: bytes = b""
    """As it is stored: the note, encrypted. Empty where that is shown."""


class JobStack(Struct, frozen=True):
    """Where the handler of a running job was at one moment."""

    id: JobId
    attempt: int
    """The number of the attempt that runs, from 1."""
    worker: str
    stack: str
    """The frames of users' code as text, outermost first, without variables; empty when none of it runs."""

    def __str__(self) -> str:
        return self.stack


JobSource = Literal["live", "history"]
"""Where a job was read: in Redis, or in the history, once Redis has forgotten it."""


class Job(Struct, kw_only=True, frozen=True):
    """A job as the API shows it. Times are RFC 3339 in UTC, also in MessagePack."""

    id: JobId
    type: JobType
    state: JobState
    priority: Priority = Priority.NORMAL
    key: str | None = None
    """What it is grouped by, such as a customer. The history does not have it."""
    version: int = 0
    """Grows with every transition; the ETag of the job."""
    attempts: int = 0
    """Runs of the handler that ended in success or failure, counted against `max_attempts`."""
    max_attempts: int | None = None
    """What the submission asked for; absent when the type's policy decides."""
    deliveries: int = 0
    """Hand-overs to a worker, whatever came of them."""
    crashes: int = 0
    """Deliveries whose worker vanished."""
    handbacks: int = 0
    """Deliveries returned at a shutdown; they cost the job nothing."""
    created_at: datetime
    after: list[JobId] | None = None
    """The jobs for which it waits, or has waited."""
    after_failure: AfterFailure | None = None
    """What becomes of it when one of them fails."""
    because_of: JobId | None = None
    """The one of them by which it is cancelled, or dead."""
    waiting_for: str | None = None
    """The signal that its handler waits for; absent when it waits for none."""
    run_at: datetime | None = None
    expires_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker: str | None = None
    """Who runs it now, or ran it last."""
    cancel_requested: bool = False
    progress: Progress | None = None
    payload: Any = None
    result: Any = None
    error: JobError | None = None
    """The error of the last failed attempt, also after a later success."""
    reason: str | None = None
    """Why it was cancelled or is dead."""
    tags: Mapping[str, str] | None = None
    timeout_s: float | None = None
    trace_id: str | None = None
    source: JobSource = "live"
    schedule: str | None = None
    """The name of the schedule that has submitted it."""
    scheduled_for: datetime | None = None
    """The nominal time of the occasion of the schedule."""
    workflow: str | None = None
    """The id of the workflow of which it runs a node."""
    batch: str | None = None
    """The id of the batch of which it is a member or a callback."""
    batch_event: str | None = None
    """The event of that batch for which it runs; absent for a member."""
    unique: JobUnique | None = None
    """The unique key that it holds, or has held."""
    encrypted: bool = False
    """Whether what it carries is stored encrypted."""
    submitted_by: str | None = None
    """Who has submitted it, or what has made it: the id of a key, or a digest of who had a token. Absent where no
    credentials were asked for, of jobs of older releases, and in the history."""
    fresh: bool = True
    """False in a list of the history whose state Redis was not asked about: the job may have gone on."""


class Page(Struct, frozen=True):
    """A page of jobs in a list, or of a search in the history."""

    items: list[Job]
    next_cursor: str | None = None
    searched_until: datetime | None = None
    """Of a search: down to which time of submission it has looked; None when it has looked at all that there is."""
    complete: bool = True
    """Of a search: False when its time was over before the page was full; the next page goes on."""
    history_lag_s: float | None = None
    """Of a search: the age of the oldest event that the history does not have yet; None where that is not known."""
    count: JobCount | None = None
    """Of a search that asked for it: how many jobs there are on all pages."""
    hint: str | None = None
    """Of a search: why it probably finds nothing."""


NO_TIME = datetime(9999, 1, 1, tzinfo=UTC)
"""The creation time of a job whose id has none that a calendar knows: one constant, for it is part of a key."""


# What happened in one script call, or was submitted in one millisecond, has one time: most jobs of a batch.
@lru_cache(maxsize=4096)
def moment(milliseconds: int) -> datetime:
    """Return Unix milliseconds as an aware time in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def ms_of(moment: datetime) -> int:
    """Return an aware time as Unix milliseconds."""
    return round(moment.timestamp() * 1000)


# Each transition of a job asks for it.
@lru_cache(maxsize=16_384)
def made_at(job_id: JobId) -> datetime:
    """Return the creation time of a job, which is the time in its id; NO_TIME for an id that has none.

    It is the one meaning of `created_at`, for the job in Redis and in the history.
    """
    try:
        return moment(made_at_ms(job_id))
    except (ValueError, OverflowError, OSError):
        return NO_TIME
