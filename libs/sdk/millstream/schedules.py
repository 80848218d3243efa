"""Schedules that code declares: their options, checked where they are written."""

from datetime import datetime
from typing import Annotated, Any, TypedDict, Unpack

import msgspec
from msgspec import Struct

from millstream.errors import HandlerError
from millstream.seconds import Seconds, in_seconds
from millstream_contracts import (
    SCHEDULE_NAME_PATTERN,
    ScheduleDefinition,
    ScheduleMissed,
    ScheduleOverlap,
    ScheduleRules,
    did_you_mean,
)
from millstream_schedules import ScheduleError, timing_of


class ScheduleOptions(TypedDict, total=False):
    """Options of `@app.cron` and of `.schedule()`. Times are seconds or a timedelta."""

    tz: str
    """The IANA zone in which the expression is read, such as `Europe/Paris`; `UTC` by default."""
    seconds: bool
    """Whether the expression has six fields, with seconds first."""
    anchor: datetime
    """The first moment of an interval. It needs a time zone; without it intervals are counted from 1970 on."""
    missed: ScheduleMissed
    """What is done about occasions that are late: `skip`, `latest` (the default) or `all`."""
    late: Seconds
    """From which lateness on an occasion is missed; a minute by default."""
    max_missed: int
    """With `missed="all"`: how many missed occasions run, the latest ones; 100 by default."""
    catch_up: Seconds
    """A missed occasion that is older runs no more; a day by default."""
    overlap: ScheduleOverlap
    """What is done while the job of the occasion before has not ended: `allow` (the default), `skip`, `queue` or
    `cancel-running`."""
    jitter: Seconds
    """The longest time by which occasions fire later. The offset follows from the name, and is always the same."""


_FIELDS = {"late": "late_s", "catch_up": "catch_up_s", "jitter": "jitter_s"}
"""Fields of the API whose names differ from the options: they end with the unit."""

_Name = Annotated[str, msgspec.Meta(pattern=SCHEDULE_NAME_PATTERN)]


class DeclaredSchedule(Struct, frozen=True):
    """A schedule that a handler declares."""

    name: str
    app: str
    """The name of the app in which its handler is registered."""
    definition: ScheduleDefinition


def declared_schedule(
    name: str, when: str | Seconds, job: dict[str, Any], *, app: str, **options: Unpack[ScheduleOptions]
) -> DeclaredSchedule:
    """Return a schedule; `when` is a cron expression, or the length of an interval. Raises: HandlerError."""
    for option in options:
        if option not in ScheduleOptions.__annotations__:
            known = did_you_mean(option, ScheduleOptions.__annotations__)
            raise HandlerError(f"schedule `{name}`: unknown option `{option}`{known}")
    fields = {_FIELDS.get(option, option): in_seconds(value) for option, value in options.items()}
    fields["cron" if isinstance(when, str) else "every_s"] = in_seconds(when)
    try:
        msgspec.convert(name, _Name)
        rules = msgspec.convert(fields, ScheduleRules)
        timing_of(rules, name)
        content = msgspec.Raw(msgspec.msgpack.encode(job))
    except (msgspec.ValidationError, ScheduleError) as error:
        raise HandlerError(f"schedule `{name}`: {error}") from error
    return DeclaredSchedule(name, app, ScheduleDefinition(**msgspec.structs.asdict(rules), job=content))


def schedule_definition(
    name: str,
    when: str | Seconds | datetime,
    job: bytes,
    *,
    description: str,
    paused: bool | None,
    **options: Unpack[ScheduleOptions],
) -> ScheduleDefinition:
    """Return a schedule to be put; `job` is a submission in MessagePack. Raises: TypeError, ValueError.

    The service checks the times: an older client need not know all of them.
    """
    for option in options:
        if option not in ScheduleOptions.__annotations__:
            raise TypeError(f"unknown option `{option}`{did_you_mean(option, ScheduleOptions.__annotations__)}")
    fields = {_FIELDS.get(option, option): in_seconds(value) for option, value in options.items()}
    fields["at" if isinstance(when, datetime) else "cron" if isinstance(when, str) else "every_s"] = in_seconds(when)
    try:
        rules = msgspec.convert(fields, ScheduleRules)
    except msgspec.ValidationError as error:
        raise ValueError(f"schedule `{name}`: {error}") from None
    return ScheduleDefinition(
        **msgspec.structs.asdict(rules), job=msgspec.Raw(job), description=description, paused=paused
    )


def take_schedules(listed: list[DeclaredSchedule]) -> dict[str, DeclaredSchedule]:
    """Return schedules by their names. Raises: HandlerError, when two have one name."""
    found: dict[str, DeclaredSchedule] = {}
    for schedule in listed:
        if schedule.name in found:
            raise HandlerError(f"schedule `{schedule.name}` is declared twice")
        found[schedule.name] = schedule
    return found
