"""What searches of the history answer beside the jobs themselves."""

from datetime import datetime

from msgspec import Struct

from millstream_contracts.count import CountRelation, JobCount
from millstream_contracts.error_place import ErrorPlace
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
    error_type: str | None = None
    """Of the sample's error, as the two below."""
    message: str | None = None
    place: ErrorPlace | None = None
    last_died_at: datetime | None = None
    """When one of them last died, as far as that is known."""
    trend: list[int] | None = None
    """How many of them died in each of the last 24 hours, the present one last; of those that were submitted in the
    last two days. None when there was no time to count."""
    live: int | None = None
    """Jobs that failed in the same way and have not ended: they are tried again, or were redriven. Of the newest 300 of
    the last seven days that failed so. None when it was not asked for, or there was no time to count."""
    first_release: str | None = None
    """The release of the worker on which the oldest of them died. None when it was not asked for, or is not known."""
    last_release: str | None = None
    """The same of the newest of them."""


class DeadGroups(Struct, kw_only=True, frozen=True):
    """Groups of dead jobs, the largest first."""

    items: list[DeadGroup]
    complete: bool = True
    """Whether all groups are counted: False when there was no time for all of the range."""
    history_lag_s: float | None = None
    """How old the oldest event is that the history does not have yet; None where that is not known."""


class FacetValue(Struct, kw_only=True, frozen=True):
    """One value of a field, and how many jobs of a search have it. Its own condition on the field is left out."""

    value: str
    label: str | None = None
    """What people call it, where that is something else: the type of the error of a fingerprint."""
    place: ErrorPlace | None = None
    """Where the error of a fingerprint was raised."""
    count: int
    relation: CountRelation
    is_selected: bool = False
    """Whether the query asks for this value."""
    q: str | None = None
    """The query for this value in the place of others of its field, or without it where it is asked for; None where no
    query can say that."""


class Facet(Struct, kw_only=True, frozen=True):
    """The most frequent values of one field."""

    field: str
    """As queries name it: `state`, `type`, `worker`, `fingerprint` or `tag.<name>`."""
    values: list[FacetValue]
    """The most frequent first."""


class Facets(Struct, kw_only=True, frozen=True):
    """What the jobs that a search finds have in common."""

    items: list[Facet]
    count: JobCount
    """How many jobs were looked at: the newest ones, or all."""
    complete: bool
    """Whether these are all that the search finds. If not, a count is the least that there are, but for exact ones."""
    history_lag_s: float | None = None
    """How old the oldest event is that the history does not have yet; None where that is not known."""
