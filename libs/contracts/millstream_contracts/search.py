"""What searches of the history answer beside the jobs themselves."""

from datetime import datetime

from msgspec import Struct

from millstream_contracts.ids import JobId, JobType
from millstream_contracts.job import JobError


class SearchHint(Struct, frozen=True):
    """One way to go on with a query."""

    text: str
    """What to put in place of the part that is replaced."""
    note: str = ""
    """What it is, for people."""


class SearchHints(Struct, frozen=True):
    """The ways to go on with a query at one place."""

    replace: list[int]
    """The part of the query that a hint replaces: its first character and the one after it."""
    items: list[SearchHint]


class DeadSample(Struct, frozen=True):
    """The newest job of a dead group."""

    id: JobId
    error: JobError | None = None


class DeadGroup(Struct, kw_only=True, frozen=True):
    """Dead jobs of one type that have died of the same."""

    type: JobType
    fingerprint: str
    """Of their errors, or `reason:` and why they are dead without one."""
    count: int
    first_seen: datetime
    """When the oldest of them was submitted."""
    last_seen: datetime
    """When the newest of them was submitted."""
    sample: DeadSample


class DeadGroups(Struct, kw_only=True, frozen=True):
    """Groups of dead jobs, the largest first."""

    items: list[DeadGroup]
    complete: bool = True
    """Whether all groups are counted: False when there was no time for all of the range."""
    history_lag_s: float | None = None
    """How old the oldest event is that the history does not have yet; None where that is not known."""
