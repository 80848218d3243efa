"""Draws charts as SVG on the server: stretched by its viewBox, labels in HTML, no script and no style attribute."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from math import ceil, floor, log10
from typing import Literal

from markupsafe import Markup, escape
from msgspec import Struct

from millstream_console.drawing.moments import ClockLook, clock
from millstream_console.drawing.numbers import brief, grouped
from millstream_console.drawing.user_text import plain

Look = Literal["", "dash", "area"]
"""A line, a dashed line for what is compared with, or a line above a filled area."""

_TICKS = 4
_MOST_SPARKS = 2_048


class Series(Struct, frozen=True):
    """One line of a chart."""

    tone: str
    """`c0` quiet, `c1` the measured, `c2` the other measured, `c3` what went wrong."""
    word: str
    values: Sequence[float | None]
    """One for each step, oldest first; None where nothing is known."""
    unit: str
    look: Look = ""


class Gap(Struct, frozen=True):
    """A time of which something is missing."""

    begin: float
    """In steps from the left edge."""
    width: float
    title: str


class Mark(Struct, frozen=True):
    """A moment at which something happened that may explain a change."""

    at: float
    """In steps from the left edge."""
    title: str


def chart(
    title: str,
    series: Sequence[Series],
    times: Sequence[datetime],
    *,
    say: str,
    gaps: Sequence[Gap] = (),
    marks: Sequence[Mark] = (),
) -> Markup:
    """Return a figure. `say` is what a screen reader hears in its place; it hears the titles of marks too."""
    steps = max(len(times) - 1, 1)
    top = nice_top(max((value for one in series for value in one.values if value is not None), default=0))
    lines = Markup("").join(_line(one, top) for one in series)
    shaded = Markup("").join(
        Markup('<rect class="gap" x="{:g}" y="0" width="{:g}" height="100"><title>{}</title></rect>').format(
            gap.begin, gap.width, gap.title
        )
        for gap in gaps
    )
    marked = Markup("").join(
        Markup('<path class="mark" d="M{:g} 0V100"><title>{}</title></path>').format(mark.at, plain(mark.title))
        for mark in marks
    )
    said = ". ".join((say, *(mark.title for mark in marks)))
    grid = Markup("").join(Markup('<path class="grid" d="M0 {:g}H{}"/>').format(25 * k, steps) for k in range(5))
    return Markup(
        '<figure class="panel chart" data-chart><figcaption><h2>{title}</h2><ul class="key">{keys}</ul></figcaption>'
        '<div class="plot"><div class="y" aria-hidden="true">{ticks}</div>'
        '<svg viewBox="0 0 {steps} 100" preserveAspectRatio="none" role="img" aria-label="{say}">{grid}{gaps}'
        '{marks}{lines}<path class="cur" d="M0 0V100"/></svg>'
        '<div class="x" aria-hidden="true">{times}</div></div></figure>'
    ).format(
        title=title,
        keys=Markup("").join(_key(one) for one in series),
        ticks=_spans(_tick(top, k, series) for k in range(_TICKS, -1, -1)),
        steps=steps,
        say=said,
        grid=grid,
        gaps=shaded,
        marks=marked,
        lines=lines,
        times=Markup("").join(_hours(times)),
    )


def spark(values: Sequence[float], tone: str = "", width: int = 72) -> Markup:
    """Return a small line without axes; nothing for fewer than two values."""
    return _spark(tuple(values), tone, width)


@lru_cache(_MOST_SPARKS)
def _spark(values: tuple[float, ...], tone: str, width: int) -> Markup:
    """Draw a small line, once for as long as its values stay: a list has hundreds, of which few have changed."""
    if len(values) < 2:
        return Markup("")
    highest = max(values) or 1
    step = width / (len(values) - 1)
    points = "L".join(f"{index * step:.1f} {19 - value / highest * 18:.1f}" for index, value in enumerate(values))
    # No `Markup.format`, which takes longer than the line itself: a list has one in each of hundreds of rows.
    return Markup(  # noqa: S704 - numbers, but for the tone
        f'<svg class="spark {escape(tone)}" viewBox="0 0 {width} 20" preserveAspectRatio="none" aria-hidden="true">'
        f'<path vector-effect="non-scaling-stroke" d="M{points}"/></svg>'
    )


def nice_top(highest: float) -> float:
    """Return the end of an axis: a round number that four ticks divide well."""
    if highest <= 0:
        return 4
    power = 10.0 ** floor(log10(highest))
    return next((step * power for step in (1, 2, 4, 8) if step * power >= highest * 1.02), 10 * power)


def _tick(top: float, number: int, series: Sequence[Series]) -> str:
    """Return a label of the axis of values; the highest has the unit where that is a word of its own."""
    value = top * number / _TICKS
    unit = series[0].unit if number == _TICKS and series and series[0].unit.startswith(" ") else ""
    return f"{value:g}{unit}" if top < 10 else f"{grouped(value)}{unit}"


def _line(series: Series, top: float) -> Markup:
    runs = _runs(series.values)
    lines = Markup("")
    for run in runs:
        points = "L".join(f"{index} {100 - value / top * 100:.1f}" for index, value in run)
        if series.look == "area":
            lines += Markup('<path class="area {}" d="M{} 100L{}L{} 100z"/>').format(
                series.tone, run[0][0], points, run[-1][0]
            )
        is_alone = len(run) == 1
        look = " lone" if is_alone else " dash" if series.look == "dash" else ""
        # A step that stands alone is a dot: a path of one point with round ends.
        lines += Markup('<path class="{}{}" d="M{}{}"/>').format(series.tone, look, points, "h.01" if is_alone else "")
    return lines


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Return the stretches without an unknown value, as indices and values."""
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((index, value))
    return [run for run in runs if run]


def _key(series: Series) -> Markup:
    last = next((value for value in reversed(series.values) if value is not None), None)
    look = " dash" if series.look == "dash" else ""
    every = ",".join("" if value is None else f"{value:.4g}" for value in series.values)
    return Markup('<li class="{}{}" data-v="{}" data-u="{}"><span>{}</span> <b>{}{}</b></li>').format(
        series.tone, look, every, series.unit, series.word, brief(last), series.unit if last is not None else ""
    )


def _hours(times: Sequence[datetime]) -> list[Markup]:
    """Return five labels for the axis of time."""
    if not times:
        return []
    spread = times[-1] - times[0]
    look: ClockLook = "day" if spread.days > 3 else "day-minute" if spread.days else "minute"
    last = len(times) - 1
    return [clock(times[ceil(last * k / _TICKS)], look) for k in range(_TICKS + 1)]


def _spans(texts: Iterable[str]) -> Markup:
    return Markup("").join(Markup("<span>{}</span>").format(text) for text in texts)
