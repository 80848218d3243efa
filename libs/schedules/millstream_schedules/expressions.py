"""Reads cron expressions, by cronsim, which knows nothing of zones here: `cron_timing.py` has the rules for those."""

from collections.abc import Iterator
from datetime import datetime

from cronsim import CronSim, CronSimError
from msgspec import Struct

from millstream_contracts.suggestion import did_you_mean
from millstream_schedules.errors import ScheduleError

NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""Expressions that have a name."""

FIELDS, FIELDS_WITH_SECONDS = 5, 6
START = datetime(2000, 1, 1)  # noqa: DTZ001 -- the time of a wall clock


class Expression(Struct, frozen=True):
    """A cron expression that is due some day."""

    text: str
    """Five fields, or six with the seconds first."""

    def follows_the_clock(self) -> bool:
        """Whether it names any hour or any minute, as `*/15` does, and so is due as often as the clock shows its times.

        Source: cron of Debian, cron(8): jobs at fixed times run once when clocks are changed.
        """
        return any(field.startswith("*") for field in self.text.split()[:-3])

    def walls_after(self, wall: datetime) -> Iterator[datetime]:
        """Yield the times of a wall clock that it names, later than one, soonest first."""
        return CronSim(self.text, wall)


def read_expression(cron: str, *, seconds: bool = False) -> Expression:
    """Return an expression, with its name resolved.

    Raises:
        ScheduleError: It cannot be read, or is never due.
    """
    expression = Expression(NAMED[cron.lower()] if cron.lower() in NAMED else _fields_of(cron, seconds=seconds))
    try:
        next(expression.walls_after(START))
    except CronSimError as error:
        raise ScheduleError("cron", _told(str(error), cron)) from None
    except StopIteration:
        raise ScheduleError("cron", f"`{cron}` is never due: there is no such day") from None
    return expression


def _fields_of(cron: str, *, seconds: bool) -> str:
    if cron.startswith("@"):
        raise ScheduleError("cron", f"`{cron}` is no name of an expression{did_you_mean(cron, NAMED)}")
    fields = cron.split()
    if len(fields) == FIELDS_WITH_SECONDS and not seconds:
        raise ScheduleError("cron", f"`{cron}` has six fields: with `seconds` the first of them are seconds")
    wanted = FIELDS_WITH_SECONDS if seconds else FIELDS
    if len(fields) != wanted:
        raise ScheduleError("cron", f"`{cron}` has {len(fields)} fields and needs {wanted}")
    return " ".join(fields)


def _told(error: str, cron: str) -> str:
    """Return what cronsim says of an expression as a sentence; it says `Bad day-of-month`, also of 31 February."""
    field = error.removeprefix("Bad ")
    if field == "day-of-month" and cron.split()[-3].isdigit() and 1 <= int(cron.split()[-3]) <= 31:
        return f"`{cron}` is never due: no such month has a day {cron.split()[-3]}"
    return f"the {field} of `{cron}` cannot be read"
