"""Runs occasions of the past again: what that would start is shown before it is started."""

import secrets
from datetime import datetime
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from msgspec import Struct

from millstream import ApiError, Backfill, Schedule, UnavailableError
from millstream.errors import describe
from millstream_console.pages.schedules import schedule_words
from millstream_console.web.toast import Toast
from millstream_console.web.visit import Visit
from millstream_contracts import Scope
from millstream_schedules import moment_of

MOST_PARALLEL = 100

_LABELS = {"start": "From", "end": "Until", "parallel": "At once"}
"""The labels of the fields, as the form has them."""


class Asked(Struct, frozen=True, kw_only=True):
    """What stands in the fields, by the clock of the schedule."""

    start: str
    end: str
    parallel: str


@get("/schedules/{name:str}/backfill")
async def preview_backfill(visit: Visit, name: FromPath[str]) -> Response[Any]:
    """Show which occasions a backfill would start, or what is wrong with its range."""
    visit.require(Scope.SCHEDULES_MANAGE)
    asked = Asked(start=visit.text("start"), end=visit.text("end"), parallel=visit.text("parallel", "1"))
    schedule = await visit.client.schedule(name)
    faults: dict[str, str] = {}
    planned: Backfill | None = None
    if asked.start or asked.end:
        try:
            planned = await visit.client.start_backfill(name, **_range(schedule, asked), dry_run=True)
        except (ApiError, ValueError) as error:
            faults = _faults(error)
    content = {
        "schedule": schedule,
        "asked": asked,
        "planned": planned,
        "faults": faults,
        "key": secrets.token_hex(16),
        "words": schedule_words,
    }
    return await visit.framed("schedule_backfill.html", content, "schedules", status=422 if faults else 200)


@post("/schedules/{name:str}/backfill")
async def start_backfill(visit: Visit, name: FromPath[str]) -> Response[bytes]:
    """Start a backfill; sent twice, it starts one."""
    visit.require(Scope.SCHEDULES_MANAGE)
    form = await visit.form()
    asked = Asked(start=form.text("start"), end=form.text("end"), parallel=form.text("parallel", "1"))
    schedule = await visit.client.schedule(name)
    key = form.text("key") or None
    try:
        doing = visit.client.start_backfill(name, **_range(schedule, asked), idempotency_key=key)
    except ValueError as error:
        told = ". ".join(f"{_LABELS.get(field, '')} {fault}".strip() for field, fault in _faults(error).items())
        return visit.go(f"/schedules/{name}/backfill", Toast(told, "b"))
    return await visit.act(doing, back=f"/schedules/{name}", done=_told)


def _told(made: Backfill) -> str:
    return f"{made.occasions:,} {'occasion' if made.occasions == 1 else 'occasions'} on the way, oldest first."


def _range(schedule: Schedule, asked: Asked) -> dict[str, Any]:
    """Return the arguments of a backfill. Raises: ValueError, whose first argument says the field."""
    zone = schedule_words.zone_at(schedule)
    times: dict[str, Any] = {}
    for field, text in (("start", asked.start), ("end", asked.end)):
        try:
            wall = datetime.fromisoformat(text)
            times[field] = wall if wall.tzinfo else moment_of(wall, zone)
        except (ValueError, OverflowError):
            raise ValueError(field, "is no moment: write 2026-11-01 00:00") from None
    if not asked.parallel.isdecimal() or not 1 <= int(asked.parallel) <= MOST_PARALLEL:
        raise ValueError("parallel", f"is a number from 1 to {MOST_PARALLEL}")
    return {**times, "parallel": int(asked.parallel)}


def _faults(error: ApiError | ValueError) -> dict[str, str]:
    """Return what is wrong, by field. Raises: UnavailableError."""
    if isinstance(error, UnavailableError):
        raise error
    if isinstance(error, ValueError):
        return {error.args[0]: error.args[1]} if len(error.args) > 1 else {"": str(error)}
    names = {"from": "start", "to": "end", "parallel": "parallel"}
    faults = {names.get(one.pointer.strip("#/"), ""): one.detail for one in error.problem.errors}
    return faults or {"": describe(error.problem)}


HANDLERS = (preview_backfill, start_backfill)
