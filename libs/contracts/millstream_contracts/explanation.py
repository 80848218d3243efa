"""Why a job is where it is, and what would have it go on."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field

from millstream_contracts.ids import JobId
from millstream_contracts.job import JobState


class ReasonCode(StrEnum):
    """What keeps a job from running, or that nothing does."""

    PARENT = "parent"
    """It waits for another job, which has not ended."""
    PARENT_DEAD = "parent-dead"
    """It waits for another job, which is dead: a person has to decide about that one."""
    TIME = "time"
    """It is not due yet."""
    SIGNAL = "signal"
    """Its handler waits for a signal."""
    SUSPENDED = "suspended"
    """Its tenant is suspended."""
    PAUSED = "paused"
    """Its queue is paused."""
    QUOTA = "quota"
    """As many jobs of its tenant run as may, or its queue has no part of these now."""
    LIMITED = "limited"
    """The limits of its queue hold jobs back."""
    BREAKER = "breaker"
    """The circuit breaker of its queue holds jobs back."""
    HELD = "held"
    """A handler was told to come back later, and holds the type or the key back until then."""
    NO_WORKER = "no-worker"
    """No live worker handles its type."""
    OTHERS = "others"
    """It is ready, as other jobs of its type are; workers take them in turn."""
    RUNNING = "running"
    DEAD = "dead"
    """It is dead itself."""
    ENDED = "ended"


class Reason(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One reason."""

    code: ReasonCode
    detail: str
    """A sentence for people."""
    job: JobId | None = None
    """The job for which it waits."""
    at: datetime | None = None
    """When it goes on by itself, as far as that is known."""


class JobExplanation(Struct, kw_only=True, frozen=True):
    """Why a job is where it is."""

    id: JobId
    state: JobState
    reasons: list[Reason] = field(default_factory=list)
    """What has to be decided by a person is first."""
