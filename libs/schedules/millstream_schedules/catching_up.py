"""Decides which occasions of a schedule start a job now, when some of them are late."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from msgspec import Struct

from millstream_contracts import ScheduleRules
from millstream_schedules.timing import Occasion, Timing

MAX_FIRED = 1_000
"""How many occasions are returned at a time; the others are due as before."""

MAX_COUNTED = 10_000
"""How many dropped occasions are counted at most, because counting takes time."""

NARROWEST = timedelta(minutes=1)
"""The first range in which the last occasions are looked for, backwards; each next one is `WIDER` times as long."""

WIDER = 4
TICK = timedelta(microseconds=1)


class CatchUp(Struct, frozen=True):
    """What becomes of the occasions of a schedule that are due."""

    fire: list[Occasion]
    """Those that start a job, oldest first."""
    dropped: int
    """How many were missed and start none; `MAX_COUNTED` at most."""
    next: Occasion | None
    """The first one after all of them; None when there is none any more."""


def missed(timing: Timing, due: datetime, now: datetime, rules: ScheduleRules) -> CatchUp:
    """Return what becomes of the occasions from a nominal time `due` on that fire until `now`.

    One that is late by more than `late_s` is missed. With `latest` the newest missed one starts a job, unless one that
    is due in time does.
    """
    due = due.astimezone(UTC)
    until = now.astimezone(UTC) - timing.put_off + TICK
    in_time_since = max(due, until - TICK - timedelta(seconds=rules.late_s))
    in_time = timing.between(in_time_since, until, MAX_FIRED)
    caught = _caught_up(timing, due, in_time_since, until, rules, some_in_time=bool(in_time))
    dropped_until = caught[0].nominal if caught else in_time_since
    last = in_time[-1].nominal if in_time else max(until, due) - TICK
    return CatchUp(
        fire=[*caught, *in_time],
        dropped=_count(timing, due, dropped_until),
        next=timing.next_after(last),
    )


def _caught_up(
    timing: Timing, due: datetime, end: datetime, until: datetime, rules: ScheduleRules, *, some_in_time: bool
) -> list[Occasion]:
    """Return the missed occasions that start a job after all."""
    wanted = {"skip": 0, "latest": 0 if some_in_time else 1, "all": rules.max_missed}[rules.missed]
    start = max(due, until - TICK - timedelta(seconds=rules.catch_up_s))
    return _last(timing, wanted, start, end) if wanted and start < end else []


def _last(timing: Timing, limit: int, start: datetime, end: datetime) -> list[Occasion]:
    """Return the last occasions of a range, oldest first, without a walk through all of it."""
    width = NARROWEST
    while True:
        since = max(start, end - width)
        inside = takewhile(lambda nominal: nominal < end, timing.nominals_after(since - TICK))
        found = [timing.occasion(nominal) for nominal in inside]
        if len(found) >= limit or since == start:
            return found[-limit:]
        width *= WIDER


def _count(timing: Timing, start: datetime, end: datetime) -> int:
    inside = takewhile(lambda nominal: nominal < end, timing.nominals_after(start - TICK))
    return sum(1 for _ in islice(inside, MAX_COUNTED))
