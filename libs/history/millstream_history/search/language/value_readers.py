"""Reads the values of terms: numbers, lengths of time, moments, and ranges of them."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from msgspec import Struct

from millstream_history.errors import QueryError
from millstream_history.search.language.terms import Term, Value, quotable

MAX_DAYS = 3_660
"""The longest length of time: ten years."""

T = TypeVar("T")

_LENGTH = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d|w)", re.ASCII)
_UNITS_MS: Mapping[str, int] = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)
_WHOLE_NUMBER = re.compile(r"-?\d{1,10}", re.ASCII)
_LARGEST = 2**31 - 1
MILLISECOND = timedelta(milliseconds=1)
"""How exact a stored time is."""


class Span(Struct, Generic[T], frozen=True):
    """Values from `low` on and below `high`; None is no bound."""

    low: T | None
    high: T | None


class Moment(Struct, frozen=True):
    """What a text names: a time, or all of a day or month."""

    begin: datetime
    end: datetime


def span_of_times(term: Term, now: datetime) -> Span[datetime]:
    """Return the times that a term accepts. Raises: QueryError."""
    return _span(term, lambda value, text: _moment(value, text, now))


def span_of_numbers(term: Term) -> Span[int]:
    """Return the whole numbers that a term accepts. Raises: QueryError."""
    return _span(term, _number)


def span_of_lengths(term: Term) -> Span[int]:
    """Return the lengths in milliseconds that a term accepts. Raises: QueryError."""
    return _span(term, _length)


def read_moment(value: Value, now: datetime) -> Moment:
    """Return the time that a value names. Raises: QueryError."""
    begin, end = _moment(value, value.text, now)
    return Moment(begin, end)


Reader = Callable[[Value, str], tuple[T, T]]
"""Reads a text as what it names: where that begins, and where what comes after it does."""


def _span(term: Term, read: Reader[Any]) -> Span[Any]:
    value = term.values[0]
    if len(term.values) > 1:
        other = term.values[1]
        raise QueryError(f"`{term.field.name}` has one value, or a range", other.position, other.end, "like 1..5")
    begin, dots, end = value.text.partition("..")
    if dots and not value.is_quoted:
        if term.operator != ":":
            raise QueryError(f"a range is not compared by `{term.operator}`", value.position, value.end)
        return _range(value, begin, end, read)
    low, high = read(value, value.text)
    match term.operator:
        case ">":
            return Span(high, None)
        case ">=":
            return Span(low, None)
        case "<":
            return Span(None, low)
        case "<=":
            return Span(None, high)
    return Span(low, high)


def _range(value: Value, begin: str, end: str, read: Reader[Any]) -> Span[Any]:
    if not begin and not end:
        raise QueryError("a range needs a bound", value.position, value.end, "like 1..5, 1.. or ..5")
    low = read(value, begin)[0] if begin else None
    high = read(value, end)[1] if end else None
    if low is not None and high is not None and low >= high:
        raise QueryError("the range is empty: its end is before its beginning", value.position, value.end)
    return Span(low, high)


def _number(value: Value, text: str) -> tuple[int, int]:
    if not _WHOLE_NUMBER.fullmatch(text) or abs(int(text)) > _LARGEST:
        raise QueryError(f"`{quotable(text)}` is no whole number", value.position, value.end, "like 3, >2 or 1..5")
    return int(text), int(text) + 1


def _length(value: Value, text: str) -> tuple[int, int]:
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise QueryError(
            f"`{quotable(text)}` is no length of time", value.position, value.end, "like 500ms, 30s, 5m, 2h, 7d"
        )
    unit = _UNITS_MS[match[2]]
    length = round(float(match[1]) * unit)
    if length > MAX_DAYS * _UNITS_MS["d"]:
        raise QueryError("a length of time is ten years at most", value.position, value.end)
    # `5s` is all that a person would call five seconds.
    return length, length + (unit if match[1].isdigit() else 1)


def _moment(value: Value, text: str, now: datetime) -> tuple[datetime, datetime]:
    try:
        return _named(text, now) or _written(text)
    except (ValueError, OverflowError):
        hint = "like 2026-11-01, 2026-11, 2026-11-01T12:00Z, today, yesterday, or 1h for an hour ago"
        raise QueryError(f"`{quotable(text)}` is no time", value.position, value.end, hint) from None


def _named(text: str, now: datetime) -> tuple[datetime, datetime] | None:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    match text:
        case "now":
            return now, now + MILLISECOND
        case "today":
            return today, today + timedelta(days=1)
        case "yesterday":
            return today - timedelta(days=1), today
    if match := _LENGTH.fullmatch(text):
        ago = timedelta(milliseconds=float(match[1]) * _UNITS_MS[match[2]])
        if ago.days > MAX_DAYS:
            raise ValueError
        return now - ago, now - ago + MILLISECOND
    return None


def _written(text: str) -> tuple[datetime, datetime]:
    """Return what a date, a month or a time of RFC 3339 names, in UTC. Raises: ValueError, OverflowError."""
    if _DAY.fullmatch(text):
        day = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return day, day + timedelta(days=1)
    if _MONTH.fullmatch(text):
        month = datetime.fromisoformat(f"{text}-01").replace(tzinfo=UTC)
        return month, (month + timedelta(days=31)).replace(day=1)
    found = datetime.fromisoformat(text)
    found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    return found, found + MILLISECOND
