"""The form for a new schedule, and for one that there is: when it is due is shown before it is saved."""

from collections.abc import Mapping
from typing import get_args

from litestar import Response, get, post
from litestar.params import FromPath

from millstream import ApiError, Schedule, SchedulePreview
from millstream_console.pages.field_faults import faults_of
from millstream_console.pages.schedules import schedule_words
from millstream_console.pages.schedules.typed_schedule import Asked, Typed, asked_of, field_of, read_typed, typed_of
from millstream_console.pages.typed_fields import FieldFaultError
from millstream_console.pages.typed_job import PRIORITIES, known_types
from millstream_console.web.toast import Toast
from millstream_console.web.visit import PageRequest, Visit
from millstream_contracts import ScheduleMissed, ScheduleOverlap, ScheduleRules, Scope
from millstream_schedules import zone_names

NEW = "/new-schedule"
"""Not below /schedules, where a schedule may have any name."""

_UNPROCESSABLE = 422
_SAVE = "save"
_FOLDED = frozenset(
    {"late", "catch_up", "max_missed", "jitter", "priority", "key", "max_attempts", "timeout", "expires_in", "tags"}
)
"""Fields that few schedules need: they are folded away unless one of them is wrong."""


@get(NEW)
async def show_new(visit: Visit) -> Response[bytes]:
    """Show the form for a new schedule."""
    visit.require(Scope.SCHEDULES_MANAGE)
    return await _page(visit, Typed(type=visit.text("type")), None)


@post(NEW)
async def submit_new(visit: Visit) -> Response[bytes]:
    """Show when a new schedule would be due; or save it, where that was shown."""
    visit.require(Scope.SCHEDULES_MANAGE)
    return await _submit(visit, None)


@get("/schedules/{name:str}/edit")
async def show_edit(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Show the form for a schedule that there is."""
    visit.require(Scope.SCHEDULES_MANAGE, Scope.PAYLOADS_READ)
    held = await visit.client.schedule(name)
    return await _page(visit, typed_of(held), held)


@post("/schedules/{name:str}/edit")
async def submit_edit(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Show when the edited schedule would be due; or save it, where that was shown."""
    visit.require(Scope.SCHEDULES_MANAGE, Scope.PAYLOADS_READ)
    return await _submit(visit, await visit.client.schedule(name))


async def _submit(visit: PageRequest, held: Schedule | None) -> Response[bytes]:
    form = await visit.form()
    typed = read_typed(form)
    typed = typed if held is None else _named(typed, held)
    try:
        asked = asked_of(typed, held)
        seen = await visit.client.preview_schedule(asked.name, asked.when, asked.job, **asked.options)
        if faults := _overtaken(seen, typed):
            return await _page(visit, typed, held, faults=faults)
        if form.text("act") == _SAVE and form.text("shown") == typed.digest:
            return await _save(visit, asked, held)
    except (ApiError, FieldFaultError, TypeError, ValueError) as error:
        return await _page(visit, typed, held, faults=faults_of(error, field_of))
    return await _page(visit, typed, held, seen=seen)


async def _save(visit: PageRequest, asked: Asked, held: Schedule | None) -> Response[bytes]:
    made = await visit.client.put_schedule(asked.name, asked.when, asked.job, **asked.options)
    unchanged = held is not None and held.version == made.version
    done = "Nothing was changed." if unchanged else "Changed." if held else f"{made.name} is there."
    return visit.go(f"/schedules/{made.name}", Toast(done))


def _named(typed: Typed, held: Schedule) -> Typed:
    """Return what was typed for the schedule of the path: its name is no field."""
    return Typed(**{one: getattr(typed, one) for one in Typed.__struct_fields__ if one != "name"}, name=held.name)


def _overtaken(seen: SchedulePreview, typed: Typed) -> dict[str, str]:
    """Return why a form is not saved whose schedule is another one by now."""
    if seen.version is None or str(seen.version) == typed.version:
        return {}
    if not typed.version:
        return {"name": "There is a schedule of this name. Take another name, or edit that one."}
    return {"": "The schedule was changed after this form was opened. Open it anew to see what it is now."}


async def _page(
    visit: PageRequest,
    typed: Typed,
    held: Schedule | None,
    *,
    faults: Mapping[str, str] | None = None,
    seen: SchedulePreview | None = None,
) -> Response[bytes]:
    content = {
        "typed": typed,
        "held": held,
        "faults": faults or {},
        "unfolds": bool(_FOLDED & (faults or {}).keys()),
        "seen": seen,
        "rules": _shown_rules(typed),
        "types": await known_types(visit.client),
        "zones": sorted(zone_names()),
        "priorities": PRIORITIES,
        "missed": [(one, schedule_words.missed_word(one)) for one in get_args(ScheduleMissed)],
        "overlaps": [(one, schedule_words.overlap_word(one)) for one in get_args(ScheduleOverlap)],
        "words": schedule_words,
        "path": f"/schedules/{held.name}/edit" if held else NEW,
    }
    return await visit.framed("schedule_form.html", content, "schedules", status=_UNPROCESSABLE if faults else 200)


def _shown_rules(typed: Typed) -> ScheduleRules:
    """Return what words, clock and remarks of occasions need of the rules."""
    is_cron = typed.kind == "cron"
    return ScheduleRules(
        cron=typed.cron if is_cron else None, seconds=is_cron and bool(typed.seconds), tz=typed.tz or "UTC"
    )


HANDLERS = (show_new, submit_new, show_edit, submit_edit)
