"""Draws the attempts of a job on a true axis of time, as SVG that is stretched by its viewBox."""

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup
from msgspec import Struct

from millstream_console.drawing.moments import clock
from millstream_console.drawing.numbers import length

_TICKS = 4
_LEAST_SHARE = 0.002
"""Of the axis: what is shorter could not be seen."""


class Bar(Struct, frozen=True):
    """One attempt, in seconds from the left edge."""

    number: int
    ready_s: float
    """When it could have begun."""
    start_s: float
    end_s: float
    look: str
    """How it ended: `win`, `err`, or nothing while it runs."""


def gantt(bars: Sequence[Bar], begin: datetime, total_s: float, *, say: str) -> Markup:
    """Return the rows. `say` is what a screen reader hears in their place."""
    total_s = max(total_s, 0.001)
    rows = Markup("")
    seen = 0.0
    for bar in bars:
        rows += _row(bar, seen, total_s)
        seen = bar.end_s
    marks = [clock(begin, "time"), *(length(total_s * tick / _TICKS) for tick in range(1, _TICKS + 1))]
    axis = Markup("").join(Markup("<span>{}</span>").format(mark) for mark in marks)
    return Markup('<div class="gantt p1" role="img" aria-label="{}">{}<span class="x">{}</span></div>').format(
        say, rows, axis
    )


def _row(bar: Bar, seen: float, total_s: float) -> Markup:
    run_s = max(bar.end_s - bar.start_s, total_s * _LEAST_SHARE)
    end = (
        Markup('<path class="{}" d="M{:.6g} 0V12"/>').format(bar.look, bar.start_s + run_s) if bar.look else Markup("")
    )
    return Markup(
        '<b>{}</b><svg viewBox="0 0 {:.6g} 12" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="back" d="M{:.6g} 6H{:.6g}"/><rect class="wait" x="{:.6g}" y="2" width="{:.6g}" height="8"/>'
        '<rect class="run" x="{:.6g}" y="2" width="{:.6g}" height="8"/>{}</svg><span>{}</span>'
    ).format(
        bar.number,
        total_s,
        min(seen, bar.ready_s),
        bar.ready_s,
        bar.ready_s,
        max(bar.start_s - bar.ready_s, 0),
        bar.start_s,
        run_s,
        end,
        length(bar.end_s - bar.start_s),
    )
