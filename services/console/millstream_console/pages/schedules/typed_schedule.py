"""A schedule as it is typed, and what is asked of the API for it."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from millstream import NewJob, Schedule
from millstream_console.pages.schedules import schedule_words
from millstream_console.pages.typed_fields import FieldFaultError, length_of, length_text, payload_of, whole_number
from millstream_console.pages.typed_job import TypedJob, fields_of
from millstream_console.web.visit import Form
from millstream_schedules import ScheduleError, moment_of, zone_of

KINDS = ("cron", "every", "at")
_CHOSEN = ("tz", "priority", "missed", "overlap")
"""Fields that always have a value."""


class Typed(TypedJob, frozen=True, kw_only=True):
    """What stands in the fields, those of its jobs among them."""

    name: str = ""
    kind: str = "cron"
    cron: str = ""
    seconds: str = ""
    """Not empty where the expression begins with seconds."""
    every: str = ""
    anchor: str = ""
    """By the clock of the zone, as `at` is."""
    at: str = ""
    tz: str = "UTC"
    missed: str = "latest"
    late: str = ""
    catch_up: str = ""
    max_missed: str = ""
    overlap: str = "allow"
    jitter: str = ""
    description: str = ""
    paused: str = ""
    """Of a new schedule: not empty where it is to begin paused."""
    version: str = ""
    """The version that was read when the form was opened; empty for a new schedule."""

    @property
    def digest(self) -> str:
        """Return what tells this form from one in which something else stands."""
        return hashlib.blake2b(msgspec.json.encode(self), digest_size=12).hexdigest()


class Asked(Struct, frozen=True):
    """The arguments of `put_schedule` and of `preview_schedule`."""

    name: str
    when: str | float | datetime
    job: NewJob
    options: dict[str, Any]


def read_typed(form: Form) -> Typed:
    """Return what was typed."""
    typed = {name: form.text(name) for name in Typed.__struct_fields__}
    unsaid = {name: getattr(Typed(), name) for name in _CHOSEN if not typed[name]}
    return Typed(**{**typed, **unsaid, "kind": typed["kind"] if typed["kind"] in KINDS else "cron"})


def typed_of(schedule: Schedule) -> Typed:
    """Return a schedule as one would type it. Lengths that are the default stand there too: they are what holds."""
    return Typed(
        name=schedule.name,
        kind="cron" if schedule.cron is not None else "every" if schedule.every_s is not None else "at",
        cron=schedule.cron or "",
        seconds="1" if schedule.seconds else "",
        every=length_text(schedule.every_s),
        anchor=_wall(schedule, schedule.anchor),
        at=_wall(schedule, schedule.at),
        tz=schedule.tz,
        **fields_of(schedule.job),
        missed=schedule.missed,
        late=length_text(schedule.late_s),
        catch_up=length_text(schedule.catch_up_s),
        max_missed=str(schedule.max_missed),
        overlap=schedule.overlap,
        jitter=length_text(schedule.jitter_s) if schedule.jitter_s else "",
        description=schedule.description,
        version=str(schedule.version),
    )


def asked_of(typed: Typed, held: Schedule | None) -> Asked:
    """Return what is asked of the API. What a form has no field for is taken from the schedule that there is.

    Raises: FieldFaultError, TypeError for a payload that cannot be sent.
    """
    if not typed.name:
        raise FieldFaultError("name", "A schedule has a name, such as `nightly`.")
    if not typed.type:
        raise FieldFaultError("type", "A job has a type, such as `report.generate`.")
    when, options = _when(typed)
    for field in ("late", "catch_up", "jitter"):
        if text := getattr(typed, field):
            options[field] = length_of(field, text)
    if typed.max_missed:
        options["max_missed"] = whole_number("max_missed", typed.max_missed)
    options |= {"missed": typed.missed, "overlap": typed.overlap, "description": typed.description}
    if not held:
        options["paused"] = True if typed.paused else None
    return Asked(typed.name, when, _job(typed, held), options)


def _when(typed: Typed) -> tuple[str | float | datetime, dict[str, Any]]:
    tz = typed.tz or "UTC"
    if not getattr(typed, typed.kind):
        raise FieldFaultError(typed.kind, "Expected when it is due.")
    if typed.kind == "every":
        anchor = {"anchor": _moment("anchor", typed.anchor, tz)} if typed.anchor else {}
        return length_of("every", typed.every), {"tz": tz, **anchor}
    if typed.kind == "at":
        return _moment("at", typed.at, tz), {"tz": tz}
    return typed.cron, {"tz": tz, "seconds": bool(typed.seconds)}


def _job(typed: Typed, held: Schedule | None) -> NewJob:
    options = typed.options()
    if held:
        options |= {"backoff": held.job.backoff, "callback": held.job.callback}
    return NewJob(typed.type, payload_of("payload", typed.payload), **options)


def _moment(field: str, text: str, tz: str) -> datetime:
    """Return a moment; one without a zone is by the clock of the schedule. Raises: FieldFaultError."""
    try:
        wall = datetime.fromisoformat(text)
        return wall if wall.tzinfo else moment_of(wall, zone_of(tz))
    except ScheduleError as error:
        raise FieldFaultError("tz", error.detail) from None
    except (ValueError, OverflowError):
        raise FieldFaultError(field, "Expected a moment such as `2026-12-24 18:00`.") from None


def _wall(schedule: Schedule, moment: datetime | None) -> str:
    if moment is None:
        return ""
    wall = moment.astimezone(schedule_words.zone_at(schedule)).replace(tzinfo=None)
    return wall.isoformat(sep=" ", timespec="auto" if wall.second or wall.microsecond else "minutes")


FIELDS: Mapping[str, str] = {
    "every_s": "every",
    "late_s": "late",
    "catch_up_s": "catch_up",
    "jitter_s": "jitter",
    "job/timeout_s": "timeout",
    "job/expires_in_s": "expires_in",
}
"""Fields of the form whose names differ from those of the API, by their place there."""


def field_of(pointer: str) -> tuple[str, str]:
    """Return the field of the form at a place of the definition, and the place within the field; '' where it has none.

    The place of the name is that of the whole definition.
    """
    place = pointer.strip("#/")
    if not place:
        return "name", ""
    parts = place.split("/")
    own = 2 if parts[0] == "job" else 1
    name = FIELDS.get("/".join(parts[:own]), parts[own - 1] if len(parts) >= own else "")
    return (name, "/".join(parts[own:])) if name in Typed.__struct_fields__ else ("", place)
