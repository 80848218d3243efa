"""Decides which occasions of a backfill start a job next: as many as may be under way at a time, oldest first."""

from datetime import datetime

from millstream_contracts import JobId, Tenant, moment, ms_of
from millstream_dispatcher.schedules.decision import (
    LOOK_AGAIN_MS,
    MAX_STARTS,
    Decision,
    change_of,
    done_until_ms,
    job_id_of,
)
from millstream_schedules import Timing
from millstream_streams import ScheduleChange, StoredSchedule, next_turn
from millstream_submission import Placing


def decide_backfill(
    tenant: Tenant, stored: StoredSchedule, timing: Timing, under_way: list[JobId], now: datetime, placing: Placing
) -> Decision:
    """Return what is to be done about a backfill that runs. `under_way` are those of its jobs that have not ended."""
    now_ms = ms_of(now)
    room = min(stored.parallel - len(under_way), MAX_STARTS)
    if room <= 0 or not stored.next_ms:
        return _waits(stored, under_way, now_ms)
    found = timing.between(moment(stored.next_ms), moment(stored.to_ms), room + 1)
    starts = [ms_of(one.nominal) for one in found[:room]]
    if not starts:
        return _waits(stored, under_way, now_ms)
    next_ms = ms_of(found[room].nominal) if len(found) > room else 0
    tick_ms = now_ms + LOOK_AGAIN_MS
    ids = [*under_way, *(job_id_of(tenant, stored, one, now_ms, placing) for one in starts)]
    turn, changes = stored.turn, list[ScheduleChange]()
    for fired, (job_id, nominal_ms) in enumerate(zip(ids[len(under_way) :], starts, strict=True), stored.fired + 1):
        fields = {"next_ms": next_ms, "jobs": " ".join(ids), "fired": fired}
        changes.append(change_of(stored, turn, fields, tick_ms, state="running", job_id=job_id, nominal_ms=nominal_ms))
        turn = next_turn(turn)
    return Decision(changes, tuple(starts))


def _waits(stored: StoredSchedule, under_way: list[JobId], now_ms: int) -> Decision:
    """Return the decision about a backfill of which nothing starts now: it looks again, or is done."""
    fields: dict[str, object] = {"jobs": " ".join(under_way)}
    if under_way:
        return Decision([change_of(stored, stored.turn, fields, now_ms + LOOK_AGAIN_MS, state="running")])
    fields |= {"next_ms": 0, "finished_ms": now_ms}
    return Decision([change_of(stored, stored.turn, fields, done_until_ms(now_ms), state="done")])
