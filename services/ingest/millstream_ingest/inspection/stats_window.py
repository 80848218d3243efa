"""Reads which time a request for statistics is about: `from`, `to` and `step`, with defaults that fit a chart."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from millstream_contracts import FieldError
from millstream_history import HOURS_KEPT, MINUTES_KEPT
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import BAD_REQUEST

DEFAULT_LENGTH = timedelta(hours=1)


STEPS = tuple(timedelta(minutes=number) for number in (1, 2, 5, 10, 15, 30, 60, 180, 360, 720, 1440, 10_080))
HOUR = timedelta(hours=1)
RESOLUTION = timedelta(microseconds=1)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTH = re.compile(r"([0-9]{1,9})(s|m|h|d|)")
_UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_A_TIME = "a time such as 2026-11-26T15:00:00Z, or how long ago it was, such as `6h`, `90m` or `14d`"


class Size(Struct, frozen=True):
    """How many points an answer has, and how long ago it begins with minutes."""

    points: int
    """The most where the request names no step."""
    most_points: int
    hourly_from: timedelta
    """The length of a time from which on a request that names no step gets hours: there are fewer of them to read."""


CHART = Size(120, 1_500, HOURS_KEPT)
SPARKLINES = Size(60, 200, timedelta(hours=3))
"""Of each type one: there may be hundreds."""


class StatsWindow(Struct, frozen=True):
    """The time that statistics are asked for: whole steps, counted from midnight in UTC."""

    begin: datetime
    end: datetime
    step: timedelta


def window_of(values: Mapping[str, str], now: datetime, size: Size = CHART) -> StatsWindow:
    """Return the time that a query asks for. Raises: IngestError (400), which names the parameter."""
    end = _time("to", values["to"], now) if "to" in values else now
    begin = _time("from", values["from"], now) if "from" in values else end - DEFAULT_LENGTH
    if end > now + DEFAULT_LENGTH:
        raise _refused("to", "expected a time that is not to come")
    if not begin < end:
        raise _refused("from", "expected a time before `to`")
    if now - begin > HOURS_KEPT:
        raise _refused("from", f"statistics are kept for {HOURS_KEPT.days} days")
    # Minutes are forgotten sooner than hours.
    shortest = HOUR if now - begin >= MINUTES_KEPT else STEPS[0]
    step = _step(values["step"], shortest) if "step" in values else _fitting(end - begin, shortest, size)
    first, last = _floor(begin, step), _floor(end - RESOLUTION, step) + step
    if (last - first) / step > size.most_points:
        raise _refused("step", f"expected one that gives at most {size.most_points:,} points")
    return StatsWindow(first, last, step)


def _time(name: str, text: str, now: datetime) -> datetime:
    try:
        found = now - length if (length := _length(text)) else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        found = None
    if found is None or found.tzinfo is None:
        raise _refused(name, f"expected {_A_TIME}")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise _refused(name, f"expected {_A_TIME}") from None


def _step(text: str, shortest: timedelta) -> timedelta:
    length = _length(text)
    if length is None or length % STEPS[0] or length > HOURS_KEPT:
        raise _refused("step", "expected whole minutes, such as `60`, `5m` or `1h`")
    if length < shortest or (shortest == HOUR and length % HOUR):
        raise _refused("step", f"minutes are kept for {MINUTES_KEPT.days} days: before that, expected whole hours")
    return length


def _length(text: str) -> timedelta | None:
    match = _LENGTH.fullmatch(text)
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])}) if match and int(match[1]) else None
    except OverflowError:
        return None


def _fitting(length: timedelta, shortest: timedelta, size: Size) -> timedelta:
    shortest = HOUR if length > size.hourly_from else shortest
    return next((step for step in STEPS if step >= shortest and length / step <= size.points), STEPS[-1])


def _floor(at: datetime, step: timedelta) -> datetime:
    return _EPOCH + (at - _EPOCH) // step * step


def _refused(name: str, detail: str) -> IngestError:
    return IngestError(BAD_REQUEST, f"`{name}`: {detail}", [FieldError(f"?{name}", detail)])
