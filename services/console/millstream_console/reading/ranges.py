"""The lengths of time that charts can show."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

DEFAULT_RANGE = "1h"


class Range(Struct, frozen=True):
    """A length of time up to now, and its steps."""

    name: str
    word: str
    length: timedelta
    step: timedelta


RANGES: Mapping[str, Range] = {
    one.name: one
    for one in (
        Range("1h", "hour", timedelta(hours=1), timedelta(minutes=1)),
        Range("24h", "day", timedelta(days=1), timedelta(minutes=15)),
        Range("7d", "week", timedelta(days=7), timedelta(hours=2)),
    )
}

CHOICES = tuple((one.name, one.name, f"The last {one.word}") for one in RANGES.values())
"""For `m.seg`: value, word and what a screen reader says."""


def is_begun(at: datetime, step: timedelta, now: datetime) -> bool:
    """Return whether enough of a step is over for its numbers to mean something: half of it."""
    return now - at >= step / 2
