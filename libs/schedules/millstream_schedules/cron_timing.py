"""The times of a cron expression in its zone, with the rules for changes of the clock.

An expression of fixed hours and minutes is due once a day whatever the clock does: at the end of the gap that swallows
its time, and the first time that the clock shows it. One with a wildcard follows the clock: nothing in a gap, twice in
a repeat.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from millstream_schedules.expressions import Expression
from millstream_schedules.timing import Timing
from millstream_schedules.zones import SECOND, moment_of, next_change, offset_at, wall_of


class CronTiming(Timing):
    """The times that an expression names in a zone."""

    def __init__(self, expression: Expression, zone: tzinfo, put_off: timedelta = timedelta()) -> None:
        super().__init__(put_off)
        self._expression = expression
        self._zone = zone

    def nominals_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the nominal times later than a moment, soonest first."""
        if self._zone is UTC:
            return (wall.replace(tzinfo=UTC) for wall in self._expression.walls_after(wall_of(moment, UTC)))
        return self._following_the_clock(moment) if self._expression.follows_the_clock() else self._once(moment)

    def _once(self, moment: datetime) -> Iterator[datetime]:
        last = moment
        for wall in self._expression.walls_after(wall_of(moment, self._zone)):
            nominal = moment_of(wall, self._zone)
            # Several times of one gap are due at its end; in a repeat the clock may show again what was due before.
            if nominal > last:
                last = nominal
                yield nominal

    def _following_the_clock(self, moment: datetime) -> Iterator[datetime]:
        """Walk the clock from change to change: between two of them it runs on as UTC does."""
        since, offset = moment, offset_at(moment, self._zone)
        walls = self._expression.walls_after((moment + offset).replace(tzinfo=None))
        while wall := next(walls, None):
            nominal = (wall - offset).replace(tzinfo=UTC)
            change = next_change(since, nominal, self._zone)
            if change is None:
                since = nominal
                yield nominal
            else:
                since, offset = change, offset_at(change, self._zone)
                walls = self._expression.walls_after((change + offset - SECOND).replace(tzinfo=None))
