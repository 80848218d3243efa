"""Decides which due occasions of a schedule start a job: pure functions of what was read.

Every decision is one change, which is refused when another dispatcher has made one since. So two dispatchers that
decide about the same occasion start one job.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from millstream_contracts import ScheduleRules, Tenant, moment, ms_of
from millstream_dispatcher.schedules.decision import (
    LOOK_AGAIN_MS,
    MAX_STARTS,
    NOTHING,
    Decision,
    change_of,
    done_until_ms,
    job_id_of,
)
from millstream_schedules import CatchUp, Occasion, Timing, missed
from millstream_streams import ScheduleChange, StoredSchedule, next_turn
from millstream_submission import Placing

_NO_MORE = CatchUp([], 0, None)


class Due(Struct, frozen=True):
    """A due schedule, and what its decision depends on."""

    tenant: Tenant
    stored: StoredSchedule
    rules: ScheduleRules
    timing: Timing
    now: datetime
    """The earlier one of two clocks: that of Redis, and that of the dispatcher with a tolerance."""
    is_under_way: bool
    """Whether the last job has not ended."""
    placing: Placing = Placing()


class Plan(Struct):
    """What becomes of the occasions that are due."""

    starts: list[int]
    waiting_ms: int
    skipped: int = 0


def decide(due: Due) -> Decision:
    """Return what is to be done about a schedule that is active."""
    stored, now_ms = due.stored, ms_of(due.now)
    is_due = stored.next_ms > 0 and stored.fires_ms <= now_ms
    if not is_due and not stored.waiting_ms:
        return NOTHING
    caught = _caught_up(due) if is_due else _NO_MORE
    plan = planned(due, [ms_of(one.nominal) for one in caught.fire])
    following = following_of(due, caught) if is_due else None
    changes = _changes(due, plan, caught.dropped, following, now_ms, is_due=is_due)
    is_asked = plan.waiting_ms and due.is_under_way and due.rules.overlap == "cancel-running"
    return Decision(
        changes=changes,
        started=tuple(plan.starts),
        skipped=plan.skipped,
        missed=caught.dropped,
        cancel=stored.jobs[-1] if is_asked and stored.jobs else None,
    )


def _caught_up(due: Due) -> CatchUp:
    """Return what becomes of the occasions that are due: as a rule there is one, in time, and the next is to come."""
    occasion = due.timing.occasion(moment(due.stored.next_ms))
    following = due.timing.next_after(occasion.nominal)
    is_late = due.now - occasion.fires_at > timedelta(seconds=due.rules.late_s)
    if is_late or (following and following.fires_at <= due.now):
        return missed(due.timing, occasion.nominal, due.now, due.rules)
    return CatchUp([occasion], 0, following)


def planned(due: Due, nominals: list[int]) -> Plan:
    """Return which of these occasions start a job, which one waits, and how many are skipped."""
    if due.rules.overlap == "allow":
        # What waited under another rule starts now.
        waiting = [due.stored.waiting_ms] if due.stored.waiting_ms else []
        return Plan([*waiting, *nominals[:MAX_STARTS]], 0)
    is_under_way = due.is_under_way
    plan = Plan([], due.stored.waiting_ms)
    if plan.waiting_ms and not is_under_way:
        plan.starts, plan.waiting_ms, is_under_way = [plan.waiting_ms], 0, True
    for nominal in nominals:
        if not is_under_way:
            plan.starts.append(nominal)
            is_under_way = True
        elif due.rules.overlap == "skip":
            plan.skipped += 1
        else:
            plan.skipped += bool(plan.waiting_ms)
            plan.waiting_ms = nominal
    return plan


def following_of(due: Due, caught: CatchUp) -> Occasion | None:
    """Return the next occasion: one that is due already, when more are due than one decision starts."""
    if due.rules.overlap == "allow" and len(caught.fire) > MAX_STARTS:
        return caught.fire[MAX_STARTS]
    return caught.next


def _changes(
    due: Due, plan: Plan, dropped: int, following: Occasion | None, now_ms: int, *, is_due: bool
) -> list[ScheduleChange]:
    """Return one change for each job that starts, all of which leave the schedule as it is in the end."""
    stored, turn = due.stored, due.stored.turn
    next_ms = ms_of(following.nominal) if following else 0
    fires_ms = ms_of(following.fires_at) if following else 0
    if not is_due:
        next_ms, fires_ms = stored.next_ms, stored.fires_ms
    looks = [fires_ms] if next_ms else []
    looks += [now_ms + LOOK_AGAIN_MS] if plan.waiting_ms else []
    tick_ms, state = (min(looks), "active") if looks else (done_until_ms(now_ms), "done")
    fields: dict[str, object] = {
        "next_ms": next_ms,
        "fires_ms": fires_ms,
        "last_ms": max([stored.last_ms, *plan.starts, plan.waiting_ms, stored.next_ms if is_due else 0]),
        "waiting_ms": plan.waiting_ms,
        "skipped": stored.skipped + plan.skipped,
        "missed": stored.missed + dropped,
    }
    changes = []
    for fired, nominal_ms in enumerate(plan.starts, start=stored.fired + 1):
        job_id = job_id_of(due.tenant, stored, nominal_ms, nominal_ms, due.placing)
        own = {**fields, "fired": fired, "last_fired_ms": nominal_ms, "jobs": job_id}
        changes.append(change_of(stored, turn, own, tick_ms, state=state, job_id=job_id, nominal_ms=nominal_ms))
        turn = next_turn(turn)
    return changes or [change_of(stored, turn, fields, tick_ms, state=state)]
