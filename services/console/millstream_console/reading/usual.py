"""Compares the last hour with the day before it: a number means little without what is usual."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from statistics import median

from msgspec import Struct

from millstream_console.drawing.numbers import brief, grouped, length
from millstream_console.drawing.rates import Pace, pace_for
from millstream_contracts import StatPoint, Stats

HOURS = 24
"""The day before has as many full hours."""

ALIKE = 0.15
"""A number that differs less than this from the usual one is as usual."""


class Amount(Struct, frozen=True):
    """How many there were in the last hour, and in an hour of the day before."""

    values: Sequence[float]
    """One for each step of the hour."""
    per_s: float
    usual_per_s: float | None

    @property
    def pace(self) -> Pace:
        """Return the unit that suits both."""
        return pace_for(max(self.per_s, self.usual_per_s or 0.0))

    @property
    def told(self) -> str:
        """Return the number of the hour in its unit."""
        return brief(self.pace.of(self.per_s))

    @property
    def usual(self) -> str:
        """Say how it compares."""
        if self.usual_per_s is None:
            return f"{grouped(sum(self.values))} in the last hour"
        if not self.per_s and not self.usual_per_s:
            return "none the day before either"
        if self.usual_per_s and abs(self.per_s / self.usual_per_s - 1) < ALIKE:
            return "as usual"
        return f"usually {brief(self.pace.of(self.usual_per_s))}{self.pace.unit if self.usual_per_s else ''}"

    @property
    def is_more(self) -> bool:
        """Whether there are clearly more than usual."""
        return self.per_s > (self.usual_per_s or 0.0) * (1 + ALIKE)


class Duration(Struct, frozen=True):
    """How long something took in the last hour, and in the day before."""

    values: Sequence[float]
    ms: float | None
    usual_ms: float | None

    @property
    def told(self) -> str:
        """Return the length."""
        return length(None if self.ms is None else self.ms / 1000)

    @property
    def usual(self) -> str:
        """Say how it compares."""
        if self.usual_ms is None:
            return "of the latest jobs" if self.ms is not None else "nothing in the last hour"
        usual = length(self.usual_ms / 1000)
        if self.ms is None or abs(self.ms - self.usual_ms) < max(self.usual_ms * ALIKE, 10):
            return f"usually {usual}" if self.ms is None else "as usual"
        return f"usually {usual}"

    @property
    def is_longer(self) -> bool:
        """Whether it is so much longer that it wants a look: twice, and by what people feel."""
        return self.ms is not None and self.usual_ms is not None and self.ms > max(2 * self.usual_ms, 1_000)


def amount(hour: Stats, day: Stats, count: Callable[[StatPoint], int]) -> Amount:
    """Count something in the last hour and in the day before."""
    values = [count(point) for point in hour.points]
    per_s = sum(values) / max(1.0, (hour.end - hour.begin).total_seconds())
    before = _before(day, hour.begin)
    is_known = any(point.submitted or point.started for point in before)
    usual = sum(map(count, before)) / (len(before) * day.step_s) if is_known else None
    return Amount([float(value) for value in values], per_s, usual)


def duration(hour: Stats, day: Stats, measure: Callable[[StatPoint], float | None]) -> Duration:
    """Take the middle of the lengths of the last steps that have one, and of the hours of the day before."""
    found = [value for point in hour.points if (value := measure(point)) is not None]
    usual = [value for point in _before(day, hour.begin) if (value := measure(point)) is not None]
    return Duration(found, _middle(found[-5:]), _middle(usual))


def _before(day: Stats, begin: datetime) -> list[StatPoint]:
    step = timedelta(seconds=day.step_s)
    return [point for point in day.points if point.at + step <= begin][-HOURS:]


def _middle(values: Iterable[float]) -> float | None:
    found = list(values)
    return median(found) if found else None
