"""Time zones, from the pinned package and never from the machine, so that all dispatchers compute the same times.

A wall clock skips times when it goes forward, the gap, and shows times twice when it goes back, the repeat.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import tzdata

from millstream_contracts.suggestion import did_you_mean
from millstream_schedules.errors import ScheduleError

ZONE_DATA_VERSION = tzdata.IANA_VERSION
"""The release of the time zone database that times are computed by, such as `2026a`."""

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Return the names of all zones, of old spellings too."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """Return a zone by its IANA name.

    Raises:
        ScheduleError: There is no such zone.
    """
    if name == "UTC":
        return UTC
    if name not in zone_names():
        raise ScheduleError("tz", f"`{name}` is no time zone of the IANA database{did_you_mean(name, zone_names())}")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as stored:
        return ZoneInfo.from_file(stored, key=name)


def wall_of(moment: datetime, zone: tzinfo) -> datetime:
    """Return what a clock of the zone shows at a moment, without a zone."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def offset_at(moment: datetime, zone: tzinfo) -> timedelta:
    """Return how far a clock of the zone is ahead of UTC at a moment."""
    return moment.astimezone(zone).utcoffset() or timedelta()


def moment_of(wall: datetime, zone: tzinfo) -> datetime:
    """Return when a clock of the zone shows a time.

    Where it does so twice, that is the first time; where it never does, the end of the gap.
    """
    first = (wall - _offset_of(wall, zone, fold=0)).replace(tzinfo=UTC)
    second = (wall - _offset_of(wall, zone, fold=1)).replace(tzinfo=UTC)
    # In a gap the clock before the change reaches the time after the change, and the clock after it has it before.
    return change_between(second, first, zone) if second < first else first


def next_change(after: datetime, until: datetime, zone: tzinfo) -> datetime | None:
    """Return the first moment after one and not after another at which the clock is changed; None when it is not.

    Two changes on one day that cancel each other are not seen: no zone has had such a day.
    """
    start, offset = after, offset_at(after, zone)
    while start < until:
        end = min(start + DAY, until)
        if offset_at(end, zone) != offset:
            return change_between(start, end, zone)
        start = end
    return None


def change_between(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """Return the moment, a whole second, at which the clock is changed between two that differ in their offset."""
    offset, start = offset_at(before, zone), before
    low, high = 0, -((before - after) // SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if offset_at(start + middle * SECOND, zone) == offset else (low, middle)
    return (start + high * SECOND).replace(microsecond=0)


def _offset_of(wall: datetime, zone: tzinfo, *, fold: int) -> timedelta:
    return wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()
