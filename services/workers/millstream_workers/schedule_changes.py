"""What a declaration changes of a schedule: pure functions of what was read."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from millstream.schedules import DeclaredSchedule
from millstream_contracts import ScheduleState, moment, ms_of, rules_of
from millstream_schedules import timing_of
from millstream_streams import IndexLine, ScheduleChange, StoredSchedule

SEEN_EVERY = timedelta(hours=1)
"""How often it is noted that a schedule is declared: each time is a write."""

ORPHAN_AFTER = timedelta(hours=24)
"""A schedule that no worker has declared for so long, while one of its app is alive, is paused."""

ORPHAN_REASON = "no worker declares it any more"

Fields = Mapping[str, str | bytes]

_encode = msgspec.msgpack.Encoder().encode


class Declarer(Struct, frozen=True):
    """The worker that declares."""

    release: str
    started_ms: int
    """The start of the worker, by the clock of Redis."""


def declared_change(
    declared: DeclaredSchedule, held: StoredSchedule | None, declarer: Declarer, now: datetime
) -> ScheduleChange | None:
    """Return the change that makes a schedule what a worker declares; None when it is that."""
    seen: Fields = {"seen_ms": str(ms_of(now))}
    wanted = _wanted(declared)
    is_orphan = held is not None and held.state == ScheduleState.ORPHAN
    if held and not is_orphan and (held.started_ms > declarer.started_ms or _has(held, wanted)):
        return _change(held.name, held, held.state, seen) if _is_stale(held, now) else None
    own = {"release": declarer.release, "started_ms": str(declarer.started_ms)}
    state = ScheduleState.PAUSED if held and held.state == ScheduleState.PAUSED else ScheduleState.ACTIVE
    fields = {**wanted, **own, **seen, **_version(held, now), "error": ""}
    if is_orphan:
        fields |= {"reason": "", "paused_ms": "0"}
    is_going_on = held is not None and held.state == state and held.rules == wanted["rules"]
    if state == ScheduleState.ACTIVE and not is_going_on:
        fields |= _next_fields(declared, held, now)
    return _change(declared.name, held, state, fields)


def orphaned_change(held: StoredSchedule, now: datetime) -> ScheduleChange | None:
    """Return the change that pauses a schedule which no worker declares any more; None when one did lately."""
    if moment(max(held.seen_ms, held.updated_ms)) > now - ORPHAN_AFTER:
        return None
    fields = {"reason": ORPHAN_REASON, "paused_ms": str(ms_of(now)), **_version(held, now)}
    if held.waiting_ms:
        fields |= {"waiting_ms": "0", "skipped": str(held.skipped + 1)}
    return _change(held.name, held, ScheduleState.ORPHAN, fields)


def _wanted(declared: DeclaredSchedule) -> dict[str, str | bytes]:
    definition = declared.definition
    rules = rules_of(definition)
    return {
        "rules": _encode(rules),
        "job": bytes(definition.job),
        "type": msgspec.msgpack.decode(definition.job)["type"],
        "description": definition.description,
        "owner": "code",
        "app": declared.app,
    }


def _has(held: StoredSchedule, wanted: Fields) -> bool:
    return all(getattr(held, name) == value for name, value in wanted.items())


def _is_stale(held: StoredSchedule, now: datetime) -> bool:
    return moment(held.seen_ms) <= now - SEEN_EVERY


def _version(held: StoredSchedule | None, now: datetime) -> dict[str, str]:
    now_ms = str(ms_of(now))
    created = {} if held else {"created_ms": now_ms}
    return {"version": str(held.version + 1 if held else 1), "updated_ms": now_ms, **created}


def _next_fields(declared: DeclaredSchedule, held: StoredSchedule | None, now: datetime) -> dict[str, str]:
    """Return the next occasion: after now, and after the last one that was decided on, which must not come again."""
    timing = timing_of(declared.definition, declared.name)
    found = timing.next_after(max(now, moment(held.last_ms)) if held else now)
    nominal_ms, fires_ms = (ms_of(found.nominal), ms_of(found.fires_at)) if found else (0, 0)
    return {"next_ms": str(nominal_ms), "fires_ms": str(fires_ms)}


def _change(name: str, held: StoredSchedule | None, state: str, fields: Mapping[str, str | bytes]) -> ScheduleChange:
    """Return a change. An active schedule stays due when it was."""
    job_type = str(fields.get("type", held.type if held else ""))
    tick_ms = None
    if state == ScheduleState.ACTIVE:
        # One of which an occasion waits for the end of a job is looked at before its next occasion.
        is_waiting = held is not None and held.waiting_ms
        tick_ms = 0 if is_waiting else int(fields.get("fires_ms", held.fires_ms if held else 0))
    return ScheduleChange(
        name=name,
        turn=held.turn if held else "",
        tick_ms=tick_ms,
        line=IndexLine(state, "code", job_type).text(),
        fields={**fields, "state": str(state)},
    )
