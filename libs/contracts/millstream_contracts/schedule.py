"""Schedules: when jobs are submitted by themselves, as the API takes and shows them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct, field

from millstream_contracts import limits
from millstream_contracts.callback import Callback
from millstream_contracts.job import JobState, Priority
from millstream_contracts.policy import Backoff
from millstream_contracts.unique import UniqueOptions

SCHEDULE_NAME_PATTERN = r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$(?!\n)"
"""A name is part of a Redis key, and of a text with spaces, so it has neither braces nor spaces."""

SCHEDULE_TAG = "schedule"
"""The tag of a job that a schedule has started: the name of the schedule."""

SCHEDULED_FOR_TAG = "scheduled_for"
"""The tag of a job that a schedule has started: the nominal time of its occasion, RFC 3339 in UTC."""

ScheduleMissed = Literal["skip", "latest", "all"]
ScheduleOverlap = Literal["allow", "skip", "queue", "cancel-running"]
ScheduleOwner = Literal["api", "code"]

Moment = Annotated[datetime, Meta(tz=True)]
Jitter = Annotated[float, Meta(ge=0.0, le=limits.MAX_SCHEDULE_JITTER_S)]


def occasion_of(tags: Mapping[str, str] | None) -> tuple[str | None, datetime | None]:
    """Return the schedule that a job with these tags is from, and its nominal time; None where they say nothing."""
    if not tags or SCHEDULE_TAG not in tags:
        return None, None
    try:
        nominal = datetime.fromisoformat(tags.get(SCHEDULED_FOR_TAG, ""))
    except ValueError:
        return tags[SCHEDULE_TAG], None
    return tags[SCHEDULE_TAG], nominal.astimezone(UTC) if nominal.tzinfo else None


class ScheduleState(StrEnum):
    """Where a schedule is."""

    ACTIVE = "active"
    PAUSED = "paused"
    ORPHAN = "orphan"
    """Paused, because no live worker of its app declares it any more."""
    DONE = "done"
    """It has no further occasion. It is forgotten after `DONE_SCHEDULE_TTL_S`."""


class ScheduleRules(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """When a schedule is due, and what becomes of an occasion that cannot start a job in time.

    Exactly one of `cron`, `every_s` and `at` is given.
    """

    cron: Annotated[str, Meta(min_length=1, max_length=limits.MAX_CRON_CHARS)] | None = None
    """Five fields; six, with seconds first, where `seconds` says so; or `@hourly`, `@daily` and their like."""
    seconds: bool = False
    every_s: Annotated[float, Meta(ge=limits.MIN_SCHEDULE_EVERY_S, le=limits.MAX_DELAY_S)] | None = None
    """An interval. Its occasions are the whole multiples of it from `anchor` on, which is by default 1970 in UTC."""
    anchor: Moment | None = None
    at: Moment | None = None
    """The moment of the one occasion."""
    tz: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    """The IANA zone in which `cron` is read."""
    missed: ScheduleMissed = "latest"
    """What is done about occasions that are late by more than `late_s`."""
    late_s: Annotated[float, Meta(ge=1.0, le=limits.MAX_CATCH_UP_S)] = 60.0
    max_missed: Annotated[int, Meta(ge=1, le=limits.MAX_MISSED)] = 100
    """With `missed` = `all`: how many missed occasions start a job, the latest ones, oldest first."""
    catch_up_s: Annotated[float, Meta(ge=0.0, le=limits.MAX_CATCH_UP_S)] = 86_400.0
    """A missed occasion that is older starts no job."""
    overlap: ScheduleOverlap = "allow"
    """What is done about an occasion while the job of the one before has not ended."""
    jitter_s: Jitter = 0.0
    """The longest offset by which occasions fire later; it follows from the name, so it is the same for all of them."""


def rules_of(definition: ScheduleRules) -> ScheduleRules:
    """Return the rules of a definition alone.

    Rules that are equal are encoded alike: msgspec omits a value that *is* the default, and not one that equals it, so
    that a default which is spelled out would make other bytes.
    """
    unset = ScheduleRules()
    fields = {one: getattr(definition, one) for one in ScheduleRules.__struct_fields__}
    return ScheduleRules(**{one: value for one, value in fields.items() if value != getattr(unset, one)})


class ScheduleDefinition(ScheduleRules, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A schedule as it is put."""

    job: Raw
    """The submission that an occasion makes. It has no time of its own other than `expires_in_s`."""
    description: Annotated[str, Meta(max_length=limits.MAX_SCHEDULE_DESCRIPTION_CHARS)] = ""
    paused: bool | None = None
    """Whether it is paused from now on; left out, a schedule that is there stays as it is."""


class ScheduledJob(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """The submission that an occasion makes, as it is shown."""

    type: str
    payload: Any = None
    priority: Priority = Priority.NORMAL
    key: str | None = None
    expires_in_s: float | None = None
    max_attempts: int | None = None
    timeout_s: float | None = None
    backoff: Backoff | None = None
    tags: dict[str, str] | None = None
    callback: Callback | None = None
    unique: UniqueOptions | None = None


class ScheduleOccasion(Struct, kw_only=True, frozen=True):
    """One occasion of a schedule."""

    nominal: datetime
    """The time that the rule names; the job has it as `scheduled_for`."""
    fires_at: datetime
    """When the job is submitted: later than `nominal` by the jitter of the schedule."""


class ScheduleCounts(Struct, kw_only=True, frozen=True):
    """What became of the occasions of a schedule."""

    fired: int = 0
    """Occasions that started a job."""
    skipped: int = 0
    """Occasions that started none, because the job of the one before had not ended."""
    missed: int = 0
    """Occasions that started none, because they were too late."""
    failed: int = 0
    """Occasions whose job was refused, because it does not keep the rules of its type any more."""


class LastOccasion(Struct, kw_only=True, frozen=True):
    """The last occasion that started a job."""

    nominal: datetime
    job: str
    state: JobState | None = None
    """None when the job is not known any more, or not stored yet."""


class Schedule(ScheduleRules, kw_only=True, frozen=True, omit_defaults=False):
    """A schedule as it is now."""

    name: str
    state: ScheduleState
    reason: str | None = None
    """Why it is paused."""
    paused_at: datetime | None = None
    owner: ScheduleOwner = "api"
    """Whether it was put over the API or is declared by the code of an app."""
    app: str | None = None
    """Of one declared by code: the app that declares it."""
    release: str | None = None
    """Of one declared by code: the release that declared it last."""
    version: int
    """Grows with every change; the ETag of the schedule."""
    created_at: datetime
    updated_at: datetime
    description: str = ""
    job: ScheduledJob
    next: list[datetime] = []
    """When it fires next; empty while it is paused, and when it is done."""
    last: LastOccasion | None = None
    waiting: datetime | None = None
    """With the overlap `queue` or `cancel-running`: the nominal time of the occasion that waits for a job to end."""
    counts: ScheduleCounts = ScheduleCounts()
    error: str | None = None
    """Why the last occasion whose job was refused, or the schedule itself, could not be carried out."""


class SchedulePage(Struct, kw_only=True, frozen=True):
    """A page of the schedules of a tenant, by name."""

    items: list[Schedule]
    next_cursor: str | None = None


class ScheduleOccasions(Struct, kw_only=True, frozen=True):
    """The next occasions of a schedule, soonest first."""

    items: list[ScheduleOccasion]


class SchedulePreview(Struct, kw_only=True, frozen=True):
    """What a definition would make if it was put; nothing is stored."""

    schedule: str
    version: int | None = None
    """Of the schedule that it would replace; None where there is none of this name."""
    state: ScheduleState
    """Where the schedule would be."""
    next: list[ScheduleOccasion]
    """Its next occasions, soonest first; of one that would be paused, as if it was resumed now."""


class ScheduleRun(Struct, kw_only=True, frozen=True):
    """A job that a schedule was made to start now."""

    schedule: str
    job: str


class BackfillRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A range of time whose occasions are to run again: `from` is in it, `to` is not."""

    from_: Moment = field(name="from")
    to: Moment
    parallel: Annotated[int, Meta(ge=1, le=limits.MAX_BACKFILL_PARALLEL)] = 1
    """How many of its jobs are under way at a time."""
    dry_run: bool = False
    """Count the occasions and name the first ones, and start nothing."""


class BackfillState(StrEnum):
    """Where a backfill is."""

    PLANNED = "planned"
    """Of a dry run: nothing is stored."""
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class Backfill(Struct, kw_only=True, frozen=True):
    """A backfill as it is now."""

    id: str | None = None
    """None for a dry run."""
    schedule: str
    state: BackfillState
    from_: datetime = field(name="from")
    to: datetime
    parallel: int
    occasions: int
    """How many occasions there are in the range."""
    started: int = 0
    """How many of them have started a job."""
    refused: int = 0
    """How many of their jobs were refused, because they do not keep the rules of their type any more."""
    running: list[str] = []
    """The ids of its jobs that have not ended."""
    created_at: datetime | None = None
    finished_at: datetime | None = None
    first: list[datetime] = []
    """Of a dry run: the nominal times of the first occasions."""


class BackfillPage(Struct, kw_only=True, frozen=True):
    """The backfills of a schedule, latest first."""

    items: list[Backfill]
