"""Writes moments: how long ago, or in how long, with the moment itself beside it."""

from datetime import UTC, datetime
from typing import Literal

from markupsafe import Markup, escape

from millstream_console.drawing.numbers import UNKNOWN

ClockLook = Literal["at", "time", "minute", "day", "day-minute"]
"""How a moment of the clock is written. The script of the page writes it in the same way in the zone of the browser."""


def ago(moment: datetime | None, now: datetime | None = None) -> Markup:
    """Return a `time` element: `now`, `20 s`, `4 m`, `2 h`, `6 d`, and `in 4 m` for what is to come."""
    if moment is None:
        return escape(UNKNOWN)
    moment = moment.astimezone(UTC)
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    text = _coarse(abs(seconds))
    if seconds < -1:
        text = f"in {text}"
    return _element(moment, text)


def long_ago(moment: datetime | None, now: datetime | None = None) -> Markup:
    """Return the same with its word, as a sentence has it: `4 m ago`, `just now`."""
    if moment is None:
        return escape(UNKNOWN)
    is_now = abs(((now or datetime.now(UTC)) - moment).total_seconds()) < 1
    return _element(moment.astimezone(UTC), "just now") if is_now else ago(moment, now) + " ago"


def at(moment: datetime | None) -> Markup:
    """Return a `time` element that shows the time of day, and the date where it is not that of today."""
    if moment is None:
        return escape(UNKNOWN)
    return clock(moment, "at")


def clock(moment: datetime, look: ClockLook) -> Markup:
    """Return a `time` element that shows a moment of the clock, in UTC until the script of the page writes another."""
    moment = moment.astimezone(UTC)
    text = {
        "time": f"{moment:%H:%M:%S}",
        "minute": f"{moment:%H:%M}",
        "day": f"{moment:%d %b}",
        "day-minute": f"{moment:%d %b %H:%M}",
    }.get(look) or (f"{moment:%H:%M:%S}" if _is_today(moment) else f"{moment:%Y-%m-%d %H:%M:%S}")
    return _element(moment, text, f' data-clock="{look}"')


def _is_today(moment: datetime) -> bool:
    return moment.date() == datetime.now(UTC).date()


def _element(moment: datetime, text: str, look: str = "") -> Markup:
    """Return a `time` element of a moment in UTC."""
    iso = moment.isoformat(timespec="milliseconds")
    # No `Markup.format`, which takes twenty times as long: a list has several in each of hundreds of rows.
    return Markup(  # noqa: S704 - made of numbers and of words of this module
        f'<time datetime="{iso}"{look} title="{iso[:10]} {iso[11:19]} UTC">{text}</time>'
    )


def absolute(moment: datetime) -> str:
    """Return the date and the time of day, in UTC, to the second."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _coarse(seconds: float) -> str:
    if seconds < 1:
        return "now"
    for unit, length_s, below_s in (("s", 1, 60), ("m", 60, 3_600), ("h", 3_600, 86_400)):
        if seconds < below_s:
            return f"{seconds // length_s:.0f} {unit}"
    return f"{seconds // 86_400:,.0f} d"
