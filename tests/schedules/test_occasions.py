"""Intervals, single moments, jitter, and what is made up for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import ScheduleRules, ms_of
from millstream_contracts import moment as moment_of_ms
from millstream_schedules import MAX_COUNTED, MAX_FIRED, missed, offset_of, timing_of

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def times(rules: ScheduleRules, after: datetime, limit: int = 3) -> list[datetime]:
    """Return the next nominal times after a moment."""
    return [occasion.nominal for occasion in timing_of(rules, "name").following(after, limit)]


def test_intervals_are_whole_multiples_from_1970_on() -> None:
    """Two schedules of one interval are due at the same moments, whenever they were made."""
    assert times(ScheduleRules(every_s=600.0), NOON + MINUTE) == [
        NOON + 10 * MINUTE,
        NOON + 20 * MINUTE,
        NOON + 30 * MINUTE,
    ]


def test_intervals_with_an_anchor_are_counted_from_it() -> None:
    """An anchor is the first occasion of its interval, and there is none before it."""
    anchor = NOON + 7 * MINUTE
    rules = ScheduleRules(every_s=3600.0, anchor=anchor)
    assert times(rules, NOON - 30 * DAY, 2) == [anchor, anchor + HOUR]
    assert times(rules, anchor + 90 * MINUTE, 1) == [anchor + 2 * HOUR]


def test_a_single_moment_has_no_occasion_after_it() -> None:
    """`at` is due once."""
    rules = ScheduleRules(at=NOON)
    assert times(rules, NOON - MINUTE) == [NOON]
    assert times(rules, NOON) == []


MICROSECONDS = [123_400, 123_600]


@pytest.mark.parametrize("microseconds", MICROSECONDS)
@pytest.mark.parametrize("field", ["at", "anchor"])
def test_an_occasion_is_found_again_by_its_milliseconds(field: str, microseconds: int) -> None:
    """What is stored of an occasion is its Unix ms, by which it is caught up on once, not passed over or repeated."""
    moment = NOON + timedelta(microseconds=microseconds)
    rules = ScheduleRules(**{field: moment, **({"every_s": 86_400.0} if field == "anchor" else {})})
    timing = timing_of(rules, "name")
    first = timing.next_after(NOON)
    assert first is not None
    assert abs(first.nominal - moment) < timedelta(milliseconds=1)
    due = moment_of_ms(ms_of(first.nominal))
    assert due == first.nominal
    caught = missed(timing, due, NOON + HOUR, rules)
    assert ([one.nominal for one in caught.fire], caught.dropped) == ([first.nominal], 0)
    following = timing.next_after(due)
    assert following is None if field == "at" else following and following.nominal == due + DAY


def test_between_takes_its_start_and_leaves_its_end() -> None:
    """Ranges that follow each other have each occasion in one of them."""
    timing = timing_of(ScheduleRules(cron="0 * * * *"), "name")
    assert [found.nominal for found in timing.between(NOON, NOON + 2 * HOUR, 10)] == [NOON, NOON + HOUR]
    assert [found.nominal for found in timing.between(NOON, NOON + 2 * HOUR, 1)] == [NOON]


@given(st.text(max_size=20), st.floats(0.0, 86_400.0))
def test_jitter_is_an_offset_that_follows_from_the_name(name: str, jitter_s: float) -> None:
    """Each occasion of a schedule fires later by the same time, which its jitter bounds and restarts do not change."""
    offset = offset_of(name, jitter_s)
    assert timedelta() <= offset <= timedelta(seconds=jitter_s)
    assert offset == offset_of(name, jitter_s)


def test_jitter_moves_when_an_occasion_fires_and_not_what_it_is() -> None:
    """The nominal time of an occasion is the same with and without jitter."""
    timing = timing_of(ScheduleRules(cron="@hourly", jitter_s=600.0), "nightly")
    occasion = timing.next_after(NOON)
    assert occasion is not None
    assert occasion.nominal == NOON + HOUR
    assert occasion.fires_at == occasion.nominal + offset_of("nightly", 600.0) > occasion.nominal
    assert offset_of("nightly", 600.0) != offset_of("weekly", 600.0)


# From 12:00 to 17:00:30 six occasions are due, and the last of them is late by 30 seconds only.
LATE = [
    ({"missed": "skip"}, [17], 5),
    ({"missed": "latest"}, [17], 5),
    ({"missed": "all"}, [12, 13, 14, 15, 16, 17], 0),
    ({"missed": "all", "max_missed": 2}, [15, 16, 17], 3),
    ({"missed": "all", "catch_up_s": 2.5 * 3600}, [15, 16, 17], 3),
    ({"missed": "skip", "late_s": 10.0}, [], 6),
    ({"missed": "latest", "late_s": 10.0}, [17], 5),
    ({"missed": "latest", "late_s": 10.0, "catch_up_s": 20.0}, [], 6),
    ({"missed": "skip", "late_s": 2 * 3600.0}, [16, 17], 4),
]


@pytest.mark.parametrize(("options", "hours", "dropped"), LATE, ids=[str(options) for options, *_ in LATE])
def test_missed_occasions_are_made_up_for_as_their_rules_say(
    options: dict[str, Any], hours: list[int], dropped: int
) -> None:
    """Each occasion starts a job or is counted as missed, and the next one is after all of them."""
    rules = ScheduleRules(cron="@hourly", **options)
    caught = missed(timing_of(rules, "name"), NOON, NOON + 5 * HOUR + MINUTE / 2, rules)
    assert [occasion.nominal.hour for occasion in caught.fire] == hours
    assert caught.dropped == dropped
    assert caught.next is not None
    assert caught.next.nominal == NOON + 6 * HOUR


def test_nothing_is_due_before_its_time() -> None:
    """An occasion that is still to come stays the next one."""
    rules = ScheduleRules(cron="@hourly")
    caught = missed(timing_of(rules, "name"), NOON, NOON - MINUTE, rules)
    assert (caught.fire, caught.dropped) == ([], 0)
    assert caught.next is not None
    assert caught.next.nominal == NOON


def test_an_occasion_is_due_when_it_fires() -> None:
    """Jitter counts for whether an occasion is due and late: it is on time until `late_s` after it fires."""
    rules = ScheduleRules(cron="@daily", jitter_s=86_400.0, missed="skip")
    timing = timing_of(rules, "name")
    midnight = NOON + DAY / 2
    fires_at = timing.occasion(midnight).fires_at
    assert missed(timing, midnight, fires_at - MINUTE / 60, rules).fire == []
    assert [occasion.nominal for occasion in missed(timing, midnight, fires_at, rules).fire] == [midnight]
    assert [occasion.nominal for occasion in missed(timing, midnight, fires_at + MINUTE, rules).fire] == [midnight]
    assert missed(timing, midnight, fires_at + 2 * MINUTE, rules).dropped == 1


def test_the_last_of_an_exhausted_schedule_has_no_next() -> None:
    """A single moment that was missed and made up for is the last one."""
    rules = ScheduleRules(at=NOON)
    caught = missed(timing_of(rules, "name"), NOON, NOON + HOUR, rules)
    assert [occasion.nominal for occasion in caught.fire] == [NOON]
    assert caught.next is None


def test_a_long_outage_of_a_frequent_schedule_is_bounded() -> None:
    """What is returned and counted at a time has bounds, so that one schedule does not hold up all others."""
    rules = ScheduleRules(every_s=1.0, missed="all", max_missed=100)
    caught = missed(timing_of(rules, "name"), NOON - 90 * DAY, NOON, rules)
    assert caught.dropped == MAX_COUNTED
    assert len(caught.fire) == 100 + 61
    patient = ScheduleRules(every_s=1.0, late_s=86_400.0)
    caught = missed(timing_of(patient, "name"), NOON - DAY, NOON, patient)
    assert len(caught.fire) == MAX_FIRED
    assert caught.next is not None
    assert caught.next.nominal == caught.fire[-1].nominal + MINUTE / 60
