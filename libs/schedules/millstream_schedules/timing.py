"""What a schedule's times are asked for by: its next one, those of a range, and by how much they are put off."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from msgspec import Struct


class Occasion(Struct, frozen=True, order=True):
    """One time of a schedule."""

    nominal: datetime
    """When it is due, in UTC; its identity."""
    fires_at: datetime
    """When its job starts, in UTC: later by the jitter."""


class Timing(ABC):
    """The times of one schedule. A moment is compared with their nominal times, never with when they fire."""

    def __init__(self, put_off: timedelta) -> None:
        self.put_off = put_off
        """By how much each occasion fires later than it is due."""

    @abstractmethod
    def nominals_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the nominal times later than a moment, in UTC, soonest first."""

    def occasion(self, nominal: datetime) -> Occasion:
        """Return the occasion of a nominal time."""
        return Occasion(nominal, nominal + self.put_off)

    def next_after(self, moment: datetime) -> Occasion | None:
        """Return the first occasion later than a moment; None when there is none any more."""
        nominal = next(self.nominals_after(moment.astimezone(UTC)), None)
        return None if nominal is None else self.occasion(nominal)

    def following(self, moment: datetime, limit: int) -> list[Occasion]:
        """Return the first `limit` occasions later than a moment, soonest first."""
        return [self.occasion(nominal) for nominal in islice(self.nominals_after(moment.astimezone(UTC)), limit)]

    def between(self, start: datetime, end: datetime, limit: int) -> list[Occasion]:
        """Return the first `limit` occasions of a range, soonest first. Its end is not in it."""
        since = start.astimezone(UTC) - timedelta(microseconds=1)
        inside = takewhile(lambda nominal: nominal < end, self.nominals_after(since))
        return [self.occasion(nominal) for nominal in islice(inside, limit)]
