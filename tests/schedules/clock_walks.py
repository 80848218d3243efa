"""An oracle of schedules at changes of the clock: it looks at the clock every minute and knows nothing of offsets."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
BEFORE, AFTER = 4 * HOUR, 6 * HOUR


def changes_of(zone: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the minutes at which the clock of a zone is changed."""
    moment = start
    while moment < end:
        if _offset(moment, zone) != _offset(moment + HOUR, zone):
            yield next(
                minute
                for minute in (moment + number * MINUTE for number in range(1, 61))
                if _offset(minute, zone) != _offset(minute - MINUTE, zone)
            )
        moment += HOUR


class ClockWalk:
    """What a clock shows, minute by minute, around a change of it."""

    def __init__(self, change: datetime, zone: tzinfo) -> None:
        self.start, self.end = change - BEFORE, change + AFTER
        count = (self.end - self.start) // MINUTE
        self._shown = [(moment, moment.astimezone(zone).replace(tzinfo=None, fold=0))
                       for moment in (self.start + number * MINUTE for number in range(count))]  # fmt: skip

    def hours(self) -> list[int]:
        """Return the hours that the clock shows or passes over near the change."""
        walls = [wall for _, wall in self._shown]
        passed = range((max(walls) - min(walls)) // HOUR + 1)
        return sorted({(min(walls) + number * HOUR).hour for number in passed})

    def following(self, minutes: set[int], hours: set[int]) -> list[datetime]:
        """Return each moment at which the clock shows one of the times."""
        return [moment for moment, wall in self._shown if wall.minute in minutes and wall.hour in hours]

    def once(self, minutes: set[int], hours: set[int]) -> list[datetime]:
        """Return for each of the times when the clock shows it first, or goes on after passing over it."""
        first: dict[datetime, datetime] = {}
        for moment, wall in self._shown:
            first.setdefault(wall, moment)
        due = set()
        wall, last = self._shown[0][1], self._shown[-1][1]
        while wall <= last:
            if wall.minute in minutes and wall.hour in hours:
                due.add(first.get(wall) or next(moment for moment, shown in self._shown if shown > wall))
            wall += MINUTE
        return sorted(due)


def _offset(moment: datetime, zone: tzinfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


TEN_YEARS = (datetime(2017, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
