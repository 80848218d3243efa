"""How many jobs came and ended in a time, and how long they took, as the API shows it."""

from datetime import datetime

from msgspec import Struct, field

from millstream_contracts.ids import JobType


class Happened(Struct, kw_only=True, frozen=True):
    """What happened in a time. Durations are known to nine per cent; None where nothing has one."""

    submitted: int = 0
    started: int = 0
    """Attempts that began."""
    succeeded: int = 0
    retried: int = 0
    """Attempts that failed and left another one."""
    dead: int = 0
    cancelled: int = 0
    expired: int = 0
    wait_p50_ms: float | None = None
    """How long jobs were ready before an attempt: half of the attempts that began waited no longer."""
    wait_p95_ms: float | None = None
    run_p50_ms: float | None = None
    """How long attempts took that succeeded or failed."""
    run_p95_ms: float | None = None


class StatPoint(Happened, kw_only=True, frozen=True):
    """What happened in one step."""

    at: datetime
    """The begin of the step."""


class StatGap(Struct, kw_only=True, frozen=True):
    """A time of which events were lost: the points in it show too little."""

    begin: datetime = field(name="from")
    end: datetime = field(name="to")


class StatRelease(Struct, kw_only=True, frozen=True):
    """When the first worker of a release was seen."""

    at: datetime
    release: str
    """`MILLSTREAM_CODE_VERSION` of the worker, or what Millstream takes for it."""


class Stats(Struct, kw_only=True, frozen=True):
    """Statistics of one job type, or of all."""

    begin: datetime = field(name="from")
    end: datetime = field(name="to")
    step_s: int
    points: list[StatPoint]
    """One for each step, oldest first."""
    gaps: list[StatGap] = []
    """Times of which events were lost."""
    releases: list[StatRelease] = []
    """Releases that came in this time, whatever the types of their workers; the oldest that is known is none."""


class TypeStats(Happened, kw_only=True, frozen=True):
    """What happened to the jobs of one type in all of a time."""

    type: JobType
    submitted_by_step: list[int]
    ended_by_step: list[int]
    """Jobs that succeeded or died."""
    failed_by_step: list[int]
    """Attempts that failed: retried and dead."""


class StatsByType(Struct, kw_only=True, frozen=True):
    """Statistics of each type of which something happened, the busiest first."""

    begin: datetime = field(name="from")
    end: datetime = field(name="to")
    step_s: int
    items: list[TypeStats]
    """Each with a number for each step, oldest first."""
    complete: bool = True
    """Whether all types are there; False where there are more than were asked for."""
    gaps: list[StatGap] = []
    """Times of which events of any type were lost."""
