"""Makes charts of statistics: how many jobs came and ended, how long they waited and ran."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from markupsafe import Markup

from millstream_console.drawing.chart import Gap, Look, Mark, Series, chart
from millstream_console.drawing.numbers import brief, milliseconds
from millstream_console.drawing.rates import pace_for
from millstream_console.drawing.user_text import shortened
from millstream_console.reading.ranges import Range, is_begun
from millstream_contracts import StatPoint, Stats

MAX_MARKS = 12
MAX_RELEASE_CHARS = 60
_S_MS = 1_000
_FLOWS: dict[str, tuple[str, Look, Callable[[StatPoint], int]]] = {
    "submitted": ("c0", "dash", lambda point: point.submitted),
    "succeeded": ("c1", "area", lambda point: point.succeeded),
    "died": ("c3", "", lambda point: point.dead),
    "failed attempts": ("c3", "", lambda point: point.retried + point.dead),
}
_WAITS: dict[str, tuple[str, Look]] = {"wait p50": ("c2", "dash"), "wait p95": ("c1", ""), "run p95": ("c0", "dash")}


def throughput_chart(title: str, stats: Stats, span: Range, now: datetime, *, shows_failures: bool = False) -> Markup:
    """Draw how many jobs came, succeeded and died; or how many attempts failed, of which most are tried again."""
    points = told_points(stats, now)
    left_out = "died" if shows_failures else "failed attempts"
    rates = {word: _rates(points, stats, now, count) for word, (_, _, count) in _FLOWS.items() if word != left_out}
    pace = pace_for(max((rate for series in rates.values() for rate in series), default=0.0))
    series = [
        Series(_FLOWS[word][0], word, [pace.of(rate) for rate in found], pace.unit, look=_FLOWS[word][1])
        for word, found in rates.items()
    ]
    last = ", ".join(f"{brief(one.values[-1] if one.values else None)} {one.word}" for one in series)
    say = f"{title} of the last {span.word}, at its end {pace.words}: {last}"
    times, gaps, marks = [point.at for point in points], gaps_of(stats, points), marks_of(stats, points)
    return chart(title, series, times, say=say, gaps=gaps, marks=marks)


def waiting_chart(title: str, stats: Stats, span: Range, now: datetime) -> Markup:
    """Draw how long jobs waited and attempts took, in half and in 19 of 20 cases."""
    points = told_points(stats, now)
    values = {
        "wait p50": [point.wait_p50_ms for point in points],
        "wait p95": [point.wait_p95_ms for point in points],
        "run p95": [point.run_p95_ms for point in points],
    }
    highest = max((value for one in values.values() for value in one if value is not None), default=0.0)
    unit, ms = (" s", _S_MS) if highest >= _S_MS else (" ms", 1)
    series = [
        Series(tone, word, [_figures(value, ms) for value in values[word]], unit, look=look)
        for word, (tone, look) in _WAITS.items()
    ]
    last = next((value for value in reversed(values["wait p95"]) if value is not None), None)
    told = "nothing was started" if last is None else f"at its end 19 of 20 jobs waited at most {milliseconds(last)}"
    say = f"{title} in the last {span.word}: {told}"
    times, gaps, marks = [point.at for point in points], gaps_of(stats, points), marks_of(stats, points)
    return chart(title, series, times, say=say, gaps=gaps, marks=marks)


def told_points(stats: Stats, now: datetime) -> Sequence[StatPoint]:
    """Return the points without a last one that has hardly begun, which would look like a fall."""
    step = timedelta(seconds=stats.step_s)
    points = stats.points
    while points and not is_begun(points[-1].at, step, now):
        points = points[:-1]
    return points


def gaps_of(stats: Stats, points: Sequence[StatPoint]) -> list[Gap]:
    """Return the times of which events were lost, in steps of a chart."""
    if len(points) < 2:
        return []
    first, last = points[0].at, len(points) - 1
    found = []
    for gap in stats.gaps:
        begin = max(0.0, (gap.begin - first).total_seconds() / stats.step_s)
        end = min(float(last), (gap.end - first).total_seconds() / stats.step_s)
        # What is shorter than a pixel would not be seen.
        width = max(end - begin, last / 200)
        if begin <= last and end >= 0:
            told = f"Events lost {_clock(gap.begin)} to {_clock(gap.end)} UTC: what is shown is too little"
            found.append(Gap(begin=min(begin, last - width), width=width, title=told))
    return found


def marks_of(stats: Stats, points: Sequence[StatPoint]) -> list[Mark]:
    """Return the releases that came, in steps of a chart: the newest, where there are too many to be told apart."""
    if len(points) < 2:
        return []
    last = len(points) - 1
    places = [((one.at - points[0].at).total_seconds() / stats.step_s, one) for one in stats.releases[-MAX_MARKS:]]
    return [
        Mark(place, f"Release {shortened(one.release, MAX_RELEASE_CHARS)} at {_clock(one.at)} UTC")
        for place, one in places
        if 0 <= place <= last
    ]


def _rates(points: Sequence[StatPoint], stats: Stats, now: datetime, count: Callable[[StatPoint], int]) -> list[float]:
    """Return how many a second there were in each step; the last step may not be over."""
    return [count(point) / min(stats.step_s, max(1.0, (now - point.at).total_seconds())) for point in points]


def _figures(ms: float | None, unit_ms: int) -> float | None:
    return None if ms is None else float(f"{ms / unit_ms:.3g}")


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M}"
