"""Says of an occasion whether a change of the clock moves it, for people who look at the next ones."""

from datetime import UTC, datetime
from typing import Literal

from millstream_contracts import ScheduleRules
from millstream_schedules.expressions import read_expression
from millstream_schedules.zones import SECOND, offset_at, wall_of, zone_of

ClockChange = Literal["gap", "repeat"]
"""`gap`: its time does not exist that day, and it is due at the end of the gap.

`repeat`: its time comes twice, and this is the first.
"""


def clock_change(rules: ScheduleRules, nominal: datetime) -> ClockChange | None:
    """Return how a change of the clock concerns an occasion of fixed hours and minutes; None when it does not.

    Raises:
        ScheduleError: The rules are wrong.
    """
    zone = zone_of(rules.tz)
    if rules.cron is None or zone is UTC:
        return None
    expression = read_expression(rules.cron, seconds=rules.seconds)
    if expression.follows_the_clock():
        return None
    nominal = nominal.astimezone(UTC)
    wall = wall_of(nominal, zone)
    if next(expression.walls_after(wall - SECOND), None) != wall:
        return "gap"
    # The second showing of a time has the smaller offset; `fold` asks the zone for it.
    again = wall.replace(tzinfo=zone, fold=1).utcoffset()
    return "repeat" if again is not None and again < offset_at(nominal, zone) else None
