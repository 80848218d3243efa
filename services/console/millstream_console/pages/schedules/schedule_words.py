"""Words for a schedule: when it is due, what becomes of what is late or overlaps, who it belongs to."""

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo

from markupsafe import Markup

from millstream import Schedule
from millstream_console.drawing.moments import long_ago
from millstream_console.drawing.sentence import sentence
from millstream_contracts import ScheduleMissed, ScheduleOverlap, ScheduleRules, ScheduleState
from millstream_schedules import ScheduleError, clock_change, shown_expression, words_of, zone_of

_MISSED = {"skip": "skip it", "latest": "run the latest", "all": "run all of them"}
_OVERLAP = {
    "allow": "may overlap",
    "skip": "skip it",
    "queue": "queue the newest",
    "cancel-running": "cancel what runs",
}
_CHANGES = {
    "gap": "clocks go forward: due at the end of the gap",
    "repeat": "clocks go back: due the first time",
}


def when_of(schedule: ScheduleRules) -> str:
    """Return when it is due, in words."""
    return words_of(schedule)


def rule_of(schedule: ScheduleRules) -> str:
    """Return the rule as it was written."""
    return shown_expression(schedule)


def missed_of(schedule: Schedule) -> str:
    """Return what becomes of late occasions."""
    return missed_word(schedule.missed)


def missed_word(missed: ScheduleMissed) -> str:
    """Return what becomes of late occasions, by the word of the API."""
    return _MISSED[missed]


def overlap_of(schedule: Schedule) -> str:
    """Return what becomes of an occasion while the last job runs."""
    return overlap_word(schedule.overlap)


def overlap_word(overlap: ScheduleOverlap) -> str:
    """Return what becomes of an occasion while the last job runs, by the word of the API."""
    return _OVERLAP[overlap]


def owner_of(schedule: Schedule) -> str:
    """Return who says what the schedule is."""
    if schedule.owner == "api":
        return "over the API"
    release = f", {schedule.release}" if schedule.release else ""
    return f"by code of {schedule.app or 'an app'}{release}"


def trouble_of(schedule: Schedule) -> Markup | None:
    """Say why a schedule starts no jobs; None where it does."""
    if schedule.state is ScheduleState.ORPHAN:
        return sentence(
            "<b>Paused {}</b>: no worker of {} has declared it for a day. A worker that declares it resumes it; if its "
            "code is gone, remove it.",
            long_ago(schedule.paused_at),
            schedule.app or "its app",
        )
    if schedule.state is ScheduleState.PAUSED:
        reason = schedule.reason or "by a person"
        return sentence("<b>Paused {}</b>: {}. Its occasions do not take place.", long_ago(schedule.paused_at), reason)
    if schedule.error:
        return sentence("<b>The last occasion started no job</b>: {}", schedule.error)
    return None


def zone_at(schedule: ScheduleRules) -> tzinfo:
    """Return the zone of a schedule; UTC for one that this release does not know."""
    try:
        return zone_of(schedule.tz)
    except ScheduleError:
        return UTC


def there(schedule: ScheduleRules, moment: datetime) -> str:
    """Return a moment by the clock of a schedule."""
    zone = zone_at(schedule)
    wall, this_year = moment.astimezone(zone), datetime.now(zone).year
    year = "" if wall.year == this_year else f"{wall:%Y} "
    # Not by `%-d`, which not every machine knows.
    return f"{wall:%a} {wall.day} {wall:%b} {year}{wall:%H:%M:%S}".removesuffix(":00")


def remarks_of(schedule: ScheduleRules, nominals: Iterable[datetime]) -> bool:
    """Return whether a change of the clock concerns one of these occasions."""
    return any(remark_of(schedule, nominal) for nominal in nominals)


def remark_of(schedule: ScheduleRules, nominal: datetime) -> str:
    """Return how a change of the clock concerns an occasion."""
    try:
        change = clock_change(schedule, nominal)
    except ScheduleError:
        return ""
    return _CHANGES[change] if change else ""
