"""Says in plain words when a schedule is due."""

from datetime import UTC

from cronsim import CronSim
from msgspec import Struct

from millstream_contracts import ScheduleRules
from millstream_schedules.errors import ScheduleError
from millstream_schedules.expressions import START, read_expression
from millstream_schedules.zones import wall_of, zone_of

UNITS = ((7 * 86_400, "week"), (86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORT_DAYS = tuple(day[:3].upper() for day in DAYS)


class _Fields(Struct, frozen=True):
    """The five fields of an expression that has no seconds."""

    minute: str
    hour: str
    day: str
    month: str
    weekday: str


def words_of(rules: ScheduleRules) -> str:
    """Return when a schedule is due, such as `Every day at 03:00`, by the clock of its zone.

    Of an expression that is none it returns the expression.
    """
    if rules.every_s is not None:
        return _every(rules.every_s)
    if rules.at is not None:
        return f"Once, at {_at(rules)}"
    return _cron_words(rules.cron or "", seconds=rules.seconds)


def described(rules: ScheduleRules) -> str:
    """Return the words with their clock, such as `Every day at 03:00, Paris time`; an interval has none."""
    return words_of(rules) if rules.every_s is not None else f"{words_of(rules)}, {clock_of(rules.tz)}"


def shown_expression(rules: ScheduleRules) -> str:
    """Return the rule as it was written: `0 3 * * *`, `@every 10s` or `@at`."""
    if rules.cron is not None:
        return rules.cron
    return f"@every {rules.every_s:g}s" if rules.every_s is not None else "@at"


def clock_of(tz: str) -> str:
    """Return the name of the clock of a zone, such as `Paris time`."""
    return tz if "/" not in tz else f"{tz.rsplit('/', 1)[1].replace('_', ' ')} time"


def _every(every_s: float) -> str:
    for length, unit in UNITS:
        if every_s >= length and every_s % length == 0:
            return _each(int(every_s / length), unit)
    return f"Every {every_s:g} seconds"


def _each(count: int, unit: str) -> str:
    return f"Every {unit}" if count == 1 else f"Every {count} {unit}s"


def _at(rules: ScheduleRules) -> str:
    assert rules.at is not None
    try:
        zone = zone_of(rules.tz)
    except ScheduleError:
        zone = UTC
    return wall_of(rules.at, zone).isoformat(sep=" ", timespec="minutes" if rules.at.second == 0 else "seconds")


def _cron_words(cron: str, *, seconds: bool) -> str:
    try:
        text = read_expression(cron, seconds=seconds).text
    except ScheduleError:
        return cron
    fields = text.split()
    common = _common(_Fields(*fields)) if len(fields) == 5 else ""
    return common or CronSim(text, START).explain()


def _common(fields: _Fields) -> str:
    """Return words for the forms that most schedules have; an empty text for others."""
    if fields.month != "*":
        return ""
    days = _days(fields)
    if not days:
        return ""
    if fields.minute.isdigit() and fields.hour.isdigit():
        return f"{days} at {int(fields.hour):02}:{int(fields.minute):02}"
    within = "" if days == "Every day" else f", {days}"
    return f"{step}{within}" if (step := _step(fields)) else ""


def _days(fields: _Fields) -> str:
    """Return on which days it is due."""
    match fields.day, fields.weekday.upper():
        case "*", "*":
            return "Every day"
        case "*", weekday:
            return _weekdays(weekday)
        case day, "*" if day.isdigit():
            return f"Day {int(day)} of the month"
        case "L", "*":
            return "Last day of the month"
        case _:
            return ""


def _weekdays(text: str) -> str:
    first, dash, last = text.partition("-")
    if _day(first) and not dash:
        return f"{_day(first)}s"
    return f"{_day(first)} to {_day(last)}" if _day(first) and _day(last) else ""


def _day(text: str) -> str:
    if text in SHORT_DAYS:
        return DAYS[SHORT_DAYS.index(text)]
    return DAYS[int(text)] if text.isdigit() and len(text) == 1 and int(text) < len(DAYS) else ""


def _step(fields: _Fields) -> str:
    """Return how often it is due within a day."""
    minutes, hours = _divisor(fields.minute, 60), _divisor(fields.hour, 24)
    if minutes and fields.hour == "*":
        return _each(minutes, "minute")
    if minutes and (span := _span(fields.hour)):
        return f"{_each(minutes, 'minute')} from {span}"
    if not fields.minute.isdigit() or not hours:
        return ""
    past = int(fields.minute)
    often = _each(hours, "hour")
    return often if past == 0 else f"{often} at {past} minute{'' if past == 1 else 's'} past"


def _divisor(text: str, whole: int) -> int:
    """Return by how many a field steps, where that divides the hour or the day evenly; else 0."""
    if text == "*":
        return 1
    step = int(text[2:]) if text.startswith("*/") and text[2:].isdigit() else 0
    return step if step and step < whole and whole % step == 0 else 0


def _span(hours: str) -> str:
    first, dash, last = hours.partition("-")
    return f"{int(first):02}:00 to {int(last):02}:59" if dash and first.isdigit() and last.isdigit() else ""
