"""Charts: each value at its place, on an axis that ends at a round number."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from bs4 import BeautifulSoup

from millstream_console.drawing.chart import Gap, Mark, Series, chart, nice_top, spark
from millstream_console.drawing.gantt import Bar, gantt
from millstream_console.drawing.numbers import UNKNOWN

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def drawn(*series: Series, hours: float = 4, gaps: tuple[Gap, ...] = (), marks: tuple[Mark, ...] = ()) -> BeautifulSoup:
    """Return a chart of five steps."""
    times = [NOON + timedelta(hours=hours * step / 4) for step in range(5)]
    return BeautifulSoup(chart("Flow", series, times, say="it flows", gaps=gaps, marks=marks), "html.parser")


TOPS = {0: 4, -1: 4, 0.97: 1, 1: 2, 1.9: 2, 3.9: 4, 7.8: 8, 7.9: 10, 9.9: 10, 79: 100, 390: 400}


@pytest.mark.parametrize("highest", TOPS)
def test_an_axis_ends_at_a_round_number_above_its_highest_value(highest: float) -> None:
    """The end of an axis leaves some room above the highest value, and four ticks divide it."""
    assert nice_top(highest) == pytest.approx(TOPS[highest])


def test_values_stand_at_their_height_and_the_unknown_leave_a_gap() -> None:
    """A line breaks where nothing is known; a value that stands alone is a dot, and an area reaches the ground."""
    found = drawn(Series("c1", "succeeded", [0, 4, None, 2, None], "/s", look="area"))
    paths = {path["d"]: path["class"] for path in found.select("svg path") if path["class"] not in (["grid"], ["cur"])}
    assert paths == {
        "M0 100L0 100.0L1 50.0L1 100z": ["area", "c1"],
        "M0 100.0L1 50.0": ["c1"],
        "M3 100L3 75.0L3 100z": ["area", "c1"],
        "M3 75.0h.01": ["c1", "lone"],
    }
    assert [span.text for span in found.select(".y span")] == ["8", "6", "4", "2", "0"]
    assert found.select_one(".key li").get_text(" ", strip=True) == "succeeded 2/s"  # type: ignore[union-attr]


def test_a_unit_that_is_a_word_stands_at_the_top_of_its_axis() -> None:
    """The key and the highest label have the unit, the others are numbers alone, and nothing known has no unit."""
    found = drawn(Series("c1", "wait", [None, 30.0], " ms", look="dash"), Series("c2", "run", [None, None], " ms"))
    assert [span.text for span in found.select(".y span")] == ["40 ms", "30", "20", "10", "0"]
    assert [one.get_text(" ", strip=True) for one in found.select(".key li")] == ["wait 30 ms", f"run {UNKNOWN}"]
    first, second = found.select(".key li")
    assert (first["class"], first["data-v"], second["class"]) == (["c1", "dash"], ",30", ["c2"])
    assert found.select_one("svg")["aria-label"] == "it flows"  # type: ignore[index]


@pytest.mark.parametrize(
    ("hours", "labels"),
    [
        (4, ["12:00", "13:00", "14:00", "15:00", "16:00"]),
        (48, ["27 Nov 12:00", "28 Nov 00:00", "28 Nov 12:00", "29 Nov 00:00", "29 Nov 12:00"]),
        (96 * 2, ["27 Nov", "29 Nov", "01 Dec", "03 Dec", "05 Dec"]),
    ],
)
def test_an_axis_of_time_names_days_where_there_are_several(hours: float, labels: list[str]) -> None:
    """Labels are times of one day, times with their day, or days alone, as the length of the axis asks for."""
    assert [one.text for one in drawn(Series("c1", "", [1.0], ""), hours=hours).select(".x time")] == labels


def test_a_gap_is_shaded_from_top_to_bottom() -> None:
    """A time of which something is missing is shaded at its place and says why."""
    found = drawn(Series("c1", "", [1.0], ""), gaps=(Gap(begin=1.5, width=0.5, title="<lost>"),))
    (rect,) = found.select("rect.gap")
    assert (rect["x"], rect["width"], rect["height"], rect.text) == ("1.5", "0.5", "100", "<lost>")


def test_a_spark_fills_its_box() -> None:
    """A small line goes from edge to edge, its highest value at the top; one value makes none, and zeros are flat."""
    assert spark([3.0]) == ""
    assert 'd="M0.0 19.0L36.0 1.0L72.0 10.0"' in spark([0.0, 2.0, 1.0])
    assert 'd="M0.0 19.0L72.0 19.0"' in spark([0.0, 0.0])


def test_a_bar_shows_its_wait_and_its_run() -> None:
    """An attempt waits from when it is ready and runs from its start to its end, with a mark of how it ended."""
    bars = [Bar(1, 0.0, 2.0, 5.0, "err"), Bar(2, 6.0, 8.0, 8.0, "")]
    found = BeautifulSoup(gantt(bars, NOON, 10.0, say="two"), "html.parser")
    waits, runs = found.select("rect.wait"), found.select("rect.run")
    assert [(one["x"], one["width"]) for one in waits] == [("0", "2"), ("6", "2")]
    assert [(one["x"], one["width"]) for one in runs] == [("2", "3"), ("8", "0.02")]
    assert [one["d"] for one in found.select("path.back")] == ["M0 6H0", "M5 6H6"]
    assert [(one["class"], one["d"]) for one in found.select("path:not(.back)")] == [(["err"], "M5 0V12")]
    assert [one["viewbox"] for one in found.select("svg")] == ["0 0 10 12"] * 2
    assert re.sub(r"\s+", " ", found.select_one(".x").get_text(" ")) == "12:00:00 2.5 s 5.0 s 7.5 s 10 s"  # type: ignore[union-attr]


def test_a_mark_stands_at_its_moment() -> None:
    """A mark is a line across the chart with a title that is inert, and a screen reader hears it too."""
    found = drawn(Series("c1", "", [1.0, 2.0], ""), marks=(Mark(at=1.5, title="Release <2> at 13:38 UTC"),))
    [mark] = found.select("path.mark")
    assert mark["d"] == "M1.5 0V100"
    assert mark.text == "Release <2> at 13:38 UTC"
    assert found.svg["aria-label"] == "it flows. Release <2> at 13:38 UTC"
