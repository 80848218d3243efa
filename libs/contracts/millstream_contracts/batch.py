"""Batches: jobs that are followed together, as the API takes and shows them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, NewType

from msgspec import Meta, Raw, Struct, field

from millstream_contracts import limits
from millstream_contracts.ids import NAME_PATTERN, JobId
from millstream_contracts.workflow import RetentionSeconds

BatchId = NewType("BatchId", str)
"""``BA_<shard, 2 hex digits><26 characters>``, the last part as in a job id. No job type has upper case."""

BATCH_PREFIX = "BA_"
"""How the id of a batch begins, and none of a workflow."""

BATCH_TAG = "batch"
"""The tag of a callback of a batch: the id of the batch."""

BATCH_NAME_TAG = "batch_name"
BATCH_EVENT_TAG = "batch_event"
"""The tag of a callback of a batch: the event for which it runs."""

BATCH_COUNTS_TAG = "batch_counts"
"""The tag of a callback of a batch: how many members were in which state at its event, `succeeded=98 dead=2`."""

BATCH_TAGS = (BATCH_TAG, BATCH_NAME_TAG, BATCH_EVENT_TAG, BATCH_COUNTS_TAG)


class BatchEvent(StrEnum):
    """What a batch submits a job for, once each."""

    SUCCESS = "on_success"
    """It is closed, and every member has succeeded, perhaps after a redrive."""
    COMPLETE = "on_complete"
    """It is closed, and every member has settled; a dead one has."""
    DEATH = "on_death"
    """The first of its members is dead."""

    # Enum's own is a function in Python, called by each look into a dict.
    __hash__ = str.__hash__


class BatchState(StrEnum):
    """Where a batch is."""

    OPEN = "open"
    """It takes more members."""
    RUNNING = "running"
    """It is closed, and members have not settled."""
    STALLED = "stalled"
    """It is closed, every member has settled, and some are dead. To redrive their jobs goes on."""
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    """Every member has succeeded."""
    FAILED = "failed"
    """Every member has ended, and some were cancelled, have expired or were discarded."""
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Return whether the batch has ended."""
        return self in {BatchState.SUCCEEDED, BatchState.FAILED, BatchState.CANCELLED}


class MemberState(StrEnum):
    """Where a member of a batch is."""

    PENDING = "pending"
    """Its job is stored, or about to be: it waits or runs."""
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    """A redrive may still have it succeed."""
    CANCELLED = "cancelled"
    """Or discarded, or deleted."""
    EXPIRED = "expired"

    # As of BatchEvent.
    __hash__ = str.__hash__


class BatchSubmission(Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A batch as it is submitted."""

    name: Annotated[str, Meta(pattern=NAME_PATTERN)]
    jobs: Annotated[list[Raw], Meta(min_length=1, max_length=limits.MAX_BATCH_JOBS)] | None = None
    """Submissions of its first members; None for none, of a batch that is open."""
    open: bool = False
    """Whether it takes more members, until it is closed."""
    on_success: Raw = Raw(b"")
    """The submission of the job for this event; empty for none. Its times count from the event, so it has `delay_s` and
    `expires_in_s` alone, and it waits for no other job."""
    on_complete: Raw = Raw(b"")
    on_death: Raw = Raw(b"")
    expires_in_s: Annotated[float, Meta(ge=limits.MIN_BATCH_EXPIRES_IN_S, le=limits.MAX_BATCH_EXPIRES_IN_S)] = (
        limits.BATCH_EXPIRES_IN_S
    )
    """How long after its creation it closes itself, if it is open then."""
    retention_s: RetentionSeconds = limits.WORKFLOW_RETENTION_S
    """How long it can be read after its end."""


class BatchCallbackStatus(Struct, kw_only=True, frozen=True):
    """A callback of a batch as it is shown."""

    job: JobId
    """The id that its job has, or will have."""
    fired: bool = False
    """Whether its event has happened, for which the job is submitted once."""
    submitted: bool = False
    """Whether its job is stored."""
    reason: str | None = None
    """Why the job was refused when its event happened."""


class BatchStatus(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A batch as it is shown."""

    id: BatchId
    name: str
    state: BatchState
    total: int
    """How many members it has."""
    counts: dict[MemberState, int]
    """How many members are in which state, without states that none is in."""
    callbacks: dict[BatchEvent, BatchCallbackStatus] = field(default_factory=dict)
    created_at: datetime
    expires_at: datetime | None = None
    """When it closes itself; None once it is closed."""
    finished_at: datetime | None = None
    retention_s: float = limits.WORKFLOW_RETENTION_S
    reason: str | None = None
    """Why it was cancelled; `expired` when it has closed itself."""
    trace_id: str | None = None
    submitted_by: str | None = None
    """Who has submitted it, as of a job."""


class BatchPage(Struct, kw_only=True, frozen=True):
    """A page of batches, newest first."""

    items: list[BatchStatus]
    next_cursor: str | None = None


class BatchMember(Struct, kw_only=True, frozen=True):
    """A member of a batch."""

    job: JobId
    state: MemberState


class BatchMemberPage(Struct, kw_only=True, frozen=True):
    """A page of members of a batch, in an order that stays."""

    items: list[BatchMember]
    next_cursor: str | None = None


class FiredBatch(Struct, kw_only=True, frozen=True):
    """What a callback of a batch knows of the batch."""

    id: BatchId
    name: str
    event: BatchEvent
    counts: dict[MemberState, int]
    """How many members were in which state at the event, without states that none was in."""

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags by which the job of the callback says it."""
        counts = " ".join(f"{state.value}={number}" for state, number in self.counts.items())
        return {
            BATCH_TAG: self.id,
            BATCH_NAME_TAG: self.name,
            BATCH_EVENT_TAG: self.event.value,
            BATCH_COUNTS_TAG: counts,
        }


def fired_batch(tags: Mapping[str, str] | None) -> FiredBatch | None:
    """Return of which batch a job with these tags is a callback; None where they do not say so."""
    if not tags or BATCH_EVENT_TAG not in tags or BATCH_TAG not in tags:
        return None
    try:
        event = BatchEvent(tags[BATCH_EVENT_TAG])
        words = (word.partition("=") for word in tags.get(BATCH_COUNTS_TAG, "").split())
        counts = {MemberState(state): int(number) for state, _, number in words}
    except ValueError:
        return None
    return FiredBatch(id=BatchId(tags[BATCH_TAG]), name=tags.get(BATCH_NAME_TAG, ""), event=event, counts=counts)
