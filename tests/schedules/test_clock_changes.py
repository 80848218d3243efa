"""Schedules at changes of the clock, against an oracle that walks through the minutes."""

import os
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest
from schedules.clock_walks import MINUTE, TEN_YEARS, ClockWalk, changes_of

from millstream_contracts import ScheduleRules
from millstream_schedules import clock_change, timing_of, zone_names, zone_of

SEVERAL = [
    "Africa/Cairo", "Africa/Casablanca", "Africa/Juba", "Africa/Sao_Tome", "America/Caracas", "America/Havana",
    "America/New_York", "America/Nuuk", "America/Santiago", "America/St_Johns", "Antarctica/Troll", "Asia/Amman",
    "Asia/Beirut", "Asia/Gaza", "Asia/Pyongyang", "Asia/Tehran", "Australia/Lord_Howe", "Europe/Dublin", "Europe/Paris",
    "Europe/Volgograd", "Pacific/Apia", "Pacific/Chatham", "Pacific/Easter",
]  # fmt: skip
"""Zones that differ in when and by how much they change their clocks."""


def different_zones() -> list[str]:
    """Return a name of each zone; many have several."""
    folder = files("tzdata").joinpath("zoneinfo")
    return sorted({folder.joinpath(*name.split("/")).read_bytes(): name for name in sorted(zone_names())}.values())


ZONES = different_zones() if os.environ.get("MILLSTREAM_TEST_EVERYWHERE") else SEVERAL
QUARTERS = {0, 15, 30, 45}
ALL_HOURS = set(range(24))


def expressions(walk: ClockWalk) -> list[tuple[str, list[datetime]]]:
    """Return expressions around a change of the clock, each with when it is due."""
    cases = [("*/15 * * * *", walk.following(QUARTERS, ALL_HOURS)), ("10 * * * *", walk.following({10}, ALL_HOURS))]
    cases.append(("5 */2 * * *", walk.following({5}, set(range(0, 24, 2)))))
    cases.append(("20,50 0-23 * * *", walk.once({20, 50}, ALL_HOURS)))
    for hour in walk.hours():
        cases.append((f"*/15 {hour} * * *", walk.following(QUARTERS, {hour})))
        cases.append((f"0,15,30,45 {hour} * * *", walk.once(QUARTERS, {hour})))
    return cases


@pytest.mark.parametrize("zone_name", ZONES)
def test_occasions_are_those_of_a_walk_through_the_minutes(zone_name: str) -> None:
    """Fixed times are due once at each change of the clock, those with a wildcard as often as the clock shows them."""
    zone = zone_of(zone_name)
    for change in changes_of(zone, *TEN_YEARS):
        walk = ClockWalk(change, zone)
        for cron, due in expressions(walk):
            timing = timing_of(ScheduleRules(cron=cron, tz=zone_name), "name")
            found = [occasion.nominal for occasion in timing.between(walk.start, walk.end, 10_000)]
            assert found == due, f"{cron} in {zone_name} at {change}"
            for minutes in range(13, 480, 61):
                moment = walk.start + minutes * MINUTE
                after = timing.next_after(moment)
                assert after is not None
                assert after.nominal > moment
                expected = next((time for time in due if time > moment), after.nominal)
                assert after.nominal == expected, f"{cron} after {moment}"


def occasions(cron: str, tz: str, start: datetime, days: float = 1, *, seconds: bool = False) -> list[str]:
    """Return when an expression is due from a moment on, as day and time in UTC."""
    timing = timing_of(ScheduleRules(cron=cron, tz=tz, seconds=seconds), "name")
    return [f"{occasion.nominal:%d %H:%M:%S}" for occasion in timing.between(start, start + timedelta(days=days), 100)]


def test_a_fixed_time_in_a_gap_is_due_once_at_its_end() -> None:
    """A time that the clock passes over is due when the clock goes on, once however many such times there are."""
    before = datetime(2026, 3, 8, 6, tzinfo=UTC)
    assert occasions("30 2 * * *", "America/New_York", before) == ["08 07:00:00"]
    assert occasions("10,40 2 * * *", "America/New_York", before) == ["08 07:00:00"]
    assert occasions("*/30 2 * * *", "America/New_York", before) == []


def test_a_fixed_time_in_a_repeat_is_due_at_its_first_showing() -> None:
    """A time that the clock shows twice is due at the first showing, and with a wildcard at both."""
    before = datetime(2026, 11, 1, 4, tzinfo=UTC)
    assert occasions("30 1 * * *", "America/New_York", before) == ["01 05:30:00"]
    assert occasions("*/30 1 * * *", "America/New_York", before) == [
        "01 05:00:00",
        "01 05:30:00",
        "01 06:00:00",
        "01 06:30:00",
    ]


def test_an_occasion_is_never_before_the_moment_it_was_asked_for() -> None:
    """Between two showings of a time the next occasion is that of the next day."""
    moment = datetime(2026, 11, 1, 6, 10, tzinfo=UTC)
    after = timing_of(ScheduleRules(cron="50 1 * * *", tz="America/New_York"), "name").next_after(moment)
    assert after is not None
    assert after.nominal == datetime(2026, 11, 2, 6, 50, tzinfo=UTC)


def test_a_day_that_a_zone_leaves_out_is_due_at_its_end() -> None:
    """On a day that does not exist a fixed time is due when the next day begins."""
    before = datetime(2011, 12, 30, 0, tzinfo=UTC)
    assert occasions("0 12 * * *", "Pacific/Apia", before, days=1.5) == ["30 10:00:00", "30 22:00:00"]


def test_expressions_with_seconds_keep_the_same_rules() -> None:
    """A fixed time with seconds is due once in a gap and in a repeat, too."""
    assert occasions("20 30 2 * * *", "America/New_York", datetime(2026, 3, 8, 6, tzinfo=UTC), seconds=True) == [
        "08 07:00:00"
    ]
    assert occasions("20 30 1 * * *", "America/New_York", datetime(2026, 11, 1, 4, tzinfo=UTC), seconds=True) == [
        "01 05:30:20"
    ]


def test_a_remark_says_which_occasions_a_change_of_the_clock_moves() -> None:
    """People are told beforehand of an occasion in a gap or a repeat, and of no other."""
    rules = ScheduleRules(cron="30 2 * * *", tz="Europe/Paris")
    assert clock_change(rules, datetime(2026, 3, 29, 1, 0, tzinfo=UTC)) == "gap"
    assert clock_change(rules, datetime(2026, 10, 25, 0, 30, tzinfo=UTC)) == "repeat"
    assert clock_change(rules, datetime(2026, 10, 26, 1, 30, tzinfo=UTC)) is None
    assert (
        clock_change(ScheduleRules(cron="*/30 * * * *", tz="Europe/Paris"), datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
        is None
    )
