"""Numbers, sizes, shares, rates and lengths of time as people read them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from millstream_console.drawing.moments import absolute, ago, at, clock, long_ago
from millstream_console.drawing.numbers import UNKNOWN, brief, grouped, length, milliseconds, rate, share, size
from millstream_console.drawing.rates import pace_for, paced
from millstream_console.drawing.sentence import counted

GROUPED = {0: "0", 1204: "1,204", 1_284_000: "1,284,000", 12.0: "12", 0.25: "0.250", 0.00421: "0.00421", 12.5: "12.5",
           1234.5: "1,234", -3.25: "-3.25"}  # fmt: skip
BRIEF = {0: "0", 1.5: "1.5", 0.0312: "0.0312", 99.94: "99.9", 100.4: "100", 1203.7: "1,204", -250.0: "-250"}
RATES = {0: "0", 0.254: "0.25", 9.94: "9.9", 10: "10", 1212.4: "1,212"}
LENGTHS = {
    0: "0 s", 0.0004: "0.4 ms", 0.042: "42 ms", 0.0996: "0.10 s", 0.42: "0.42 s", 1.0: "1.0 s", 9.94: "9.9 s",
    9.96: "10 s", 59.4: "59 s", 59.6: "1 m", 252: "4 m 12 s", 3599.4: "59 m 59 s", 3599.6: "1 h", 7500: "2 h 5 m",
    86_399: "23 h 59 m", 86_400: "1 d", 90_000: "1 d 1 h", 3 * 86_400 - 1: "2 d 23 h", 6.5 * 86_400: "6 d",
    1500 * 86_400: "1,500 d",
}  # fmt: skip
SIZES = {
    0: "0 bytes", 840: "840 bytes", 1024: "1.0 KiB", 1536: "1.5 KiB", 150 * 1024: "150 KiB", 1.5 * 1024**2: "1.5 MiB",
    1024**5 * 3: "3.0 PiB", 1024**6 * 5: "5,120 PiB",
}  # fmt: skip


@pytest.mark.parametrize(
    ("write", "expected"),
    [(grouped, GROUPED), (brief, BRIEF), (rate, RATES), (length, LENGTHS), (size, SIZES)],
    ids=["grouped", "brief", "rate", "length", "size"],
)
def test_a_number_is_written_as_people_read_it(
    write: Callable[[float | None], str], expected: dict[float, str]
) -> None:
    """Figures that say nothing are left out, units suit the value, and what is not known is a dash."""
    assert {value: write(value) for value in expected} == expected
    assert write(None) == UNKNOWN


def test_milliseconds_are_a_length() -> None:
    """A length that is known in milliseconds is written as one in seconds."""
    assert (milliseconds(None), milliseconds(250), milliseconds(90_000)) == (UNKNOWN, "0.25 s", "1 m 30 s")


SHARES = {(0, 4): "0 %", (1, 1): "100 %", (21, 25): "84 %", (96, 1000): "10 %", (94, 1000): "9 %", (3, 1000): "0.3 %",
          (1, 10_000): "0.01 %", (1, 8_000_000): "< 0.01 %", (5, 0): UNKNOWN}  # fmt: skip


@pytest.mark.parametrize(("part", "whole"), SHARES)
def test_a_share_is_written_in_per_cent(part: int, whole: int) -> None:
    """A share has two figures, or one below ten; a small one is none of nothing, and there is none of nothing."""
    assert share(part, whole) == SHARES[part, whole]


PACED = {
    0: "0", 212: "212/s", 1.0: "1/s", 0.996: "1/s", 0.99: "59/min", 4 / 60: "4/min", 1.5 / 60: "1.5/min",
    1 / 120: "30/h", 0.5 / 3600: "0.5/h",
}  # fmt: skip


@pytest.mark.parametrize("per_s", PACED)
def test_a_rate_is_told_in_the_unit_in_which_it_is_one_at_least(per_s: float) -> None:
    """What happens seldom is told by the minute or the hour, and nothing has no unit."""
    assert paced(per_s) == PACED[per_s]
    assert paced(None) == UNKNOWN


def test_the_unit_of_several_rates_suits_the_largest() -> None:
    """Rates in the unit of the largest keep two figures below ten, and are whole above."""
    pace = pace_for(0.5)
    assert (pace.unit, pace.of(0.5), pace.of(0.0123), pace.of(None)) == ("/min", 30, 0.74, None)
    assert pace_for(0).unit == "/s"


def test_a_number_has_its_noun() -> None:
    """One is singular, and a noun with a plural of its own has that."""
    assert [counted(number, "job") for number in (0, 1, 1284)] == ["0 jobs", "1 job", "1,284 jobs"]
    assert [counted(number, "is", "are") for number in (1, 2)] == ["1 is", "2 are"]


NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
AGES = {0.4: "now", 1: "1 s", 59.9: "59 s", 60: "1 m", 3599: "59 m", 3600: "1 h", 86_399: "23 h", 86_400: "1 d",
        1500 * 86_400: "1,500 d", -0.5: "now", -61: "in 1 m", -7200: "in 2 h"}  # fmt: skip


@pytest.mark.parametrize("seconds", AGES)
def test_a_moment_is_told_by_its_distance_with_the_moment_beside_it(seconds: float) -> None:
    """The past and the future are told in one unit, the element has the moment in UTC, and `now` is no length."""
    moment = NOW - timedelta(seconds=seconds)
    shown = ago(moment.astimezone(timezone(timedelta(hours=5))), NOW)
    assert shown.striptags() == AGES[seconds]
    assert f'title="{absolute(moment)} UTC"' in shown
    assert f'datetime="{moment.isoformat(timespec="milliseconds")}"' in shown
    expected = "just now" if abs(seconds) < 1 else f"{AGES[seconds]} ago"
    assert long_ago(moment, NOW).striptags() == expected


def test_a_moment_that_is_not_known_is_a_dash() -> None:
    """Each way to show a moment has a word for none."""
    assert {ago(None), long_ago(None), at(None)} == {UNKNOWN}


def test_a_clock_has_the_look_that_suits_its_place() -> None:
    """A clock shows UTC whatever the zone of the moment, and the date where a time alone would mislead."""
    moment = datetime(2026, 3, 5, 23, 4, 9, tzinfo=timezone(timedelta(hours=-2)))
    looks = {
        "time": "01:04:09",
        "minute": "01:04",
        "day": "06 Mar",
        "day-minute": "06 Mar 01:04",
        "at": "2026-03-06 01:04:09",
    }
    assert {look: clock(moment, look).striptags() for look in looks} == looks  # type: ignore[arg-type]
    today = datetime.now(UTC)
    assert at(today).striptags() == f"{today:%H:%M:%S}"
