"""Which rules of a schedule are accepted, and what is said of others."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import ScheduleRules
from millstream_schedules import ScheduleError, described, timing_of

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)

REFUSED = [
    (ScheduleRules(), "cron", "exactly one of"),
    (ScheduleRules(cron="@daily", every_s=5.0), "every_s", "exactly one of"),
    (ScheduleRules(cron="0 3 * * *", tz="Europe/Pariss"), "tz", "did you mean `Europe/Paris`?"),
    (ScheduleRules(every_s=5.0, tz="nowhere"), "tz", "`nowhere` is no time zone"),
    (ScheduleRules(cron="0 3 * *"), "cron", "has 4 fields and needs 5"),
    (ScheduleRules(cron="0 0 3 * * *"), "cron", "six fields: with `seconds`"),
    (ScheduleRules(cron="0 3 * * *", seconds=True), "cron", "has 5 fields and needs 6"),
    (ScheduleRules(cron="61 * * * *"), "cron", "the minute of `61 * * * *` cannot be read"),
    (ScheduleRules(cron="0 25 * * *"), "cron", "the hour of `0 25 * * *` cannot be read"),
    (ScheduleRules(cron="0 0 31 2 *"), "cron", "is never due: no such month has a day 31"),
    (ScheduleRules(cron="0 0 */31 2 MON#5"), "cron", "is never due"),
    (ScheduleRules(cron="@dayly"), "cron", "did you mean `@daily`?"),
    (ScheduleRules(cron="R * * * *"), "cron", "minute"),
    (ScheduleRules(every_s=5.0, seconds=True), "seconds", "belongs to `cron`"),
    (ScheduleRules(cron="@daily", anchor=NOON), "anchor", "belongs to `every_s`"),
    (ScheduleRules(at=datetime(9999, 12, 31, 23, tzinfo=UTC)), "at", "is not in the years 1970 to 8999"),
    (ScheduleRules(at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=12)))), "at", "is not in the years 1970"),
    (ScheduleRules(every_s=60.0, anchor=datetime(9000, 1, 1, tzinfo=UTC)), "anchor", "to 8999"),
]


@pytest.mark.parametrize(("rules", "field", "words"), REFUSED, ids=[f"{field} {words}" for _, field, words in REFUSED])
def test_timing_of_names_the_field_that_is_wrong(rules: ScheduleRules, field: str, words: str) -> None:
    """Rules that say no time are refused with the name of the field and a sentence."""
    with pytest.raises(ScheduleError) as refused:
        timing_of(rules, "name")
    assert refused.value.field == field
    assert words in refused.value.detail


NAMES = {
    "@hourly": timedelta(hours=1), "@daily": timedelta(hours=12), "@weekly": timedelta(days=1, hours=12),
    "@monthly": timedelta(days=3, hours=12), "@Yearly": timedelta(days=34, hours=12),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_of_expressions_are_understood(name: str) -> None:
    """`@daily` and its like are due at the first minute of what they name."""
    occasion = timing_of(ScheduleRules(cron=name), "name").next_after(NOON)
    assert occasion is not None
    assert occasion.nominal == NOON + NAMES[name]


@given(st.text(alphabet="0123456789*/,-#LWMONJANSUNR@ ", max_size=40), st.booleans())
def test_any_text_is_an_expression_or_refused(cron: str, seconds: bool) -> None:
    """Each text either has a next time or is refused by the error of schedules, and has words for people."""
    rules = ScheduleRules(cron=cron, seconds=seconds)
    assert described(rules)
    with suppress(ScheduleError):
        assert timing_of(rules, "name").next_after(NOON) is not None


def field(low: int, high: int) -> st.SearchStrategy[str]:
    """Draw a field of an expression."""
    numbers = st.integers(low, high)
    ranges = st.tuples(numbers, numbers).map(lambda ends: f"{min(ends)}-{max(ends)}")
    steps = st.tuples(st.just("*") | ranges, st.integers(1, high)).map(lambda parts: f"{parts[0]}/{parts[1]}")
    term = numbers.map(str) | ranges | steps
    return st.just("*") | term | st.lists(term, min_size=1, max_size=3).map(",".join)


FIVE = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7)).map(" ".join)


@given(FIVE)
def test_each_expression_that_is_read_has_words_and_a_next_time(cron: str) -> None:
    """An expression of any valid fields has a next occasion, and a text for people."""
    rules = ScheduleRules(cron=cron, tz="Europe/Paris")
    occasion = timing_of(rules, "name").next_after(NOON)
    assert occasion is not None
    assert occasion.nominal > NOON
    assert described(rules).endswith("Paris time")


WORDS = {
    "0 3 * * *": "Every day at 03:00",
    "30 6 * * 1": "Mondays at 06:30",
    "0 9 * * MON-FRI": "Monday to Friday at 09:00",
    "0 4 1 * *": "Day 1 of the month at 04:00",
    "0 0 22 * *": "Day 22 of the month at 00:00",
    "0 0 L * *": "Last day of the month at 00:00",
    "0 * * * *": "Every hour",
    "@hourly": "Every hour",
    "5 */6 * * *": "Every 6 hours at 5 minutes past",
    "*/5 * * * *": "Every 5 minutes",
    "* * * * *": "Every minute",
    "*/15 8-19 * * 1-5": "Every 15 minutes from 08:00 to 19:59, Monday to Friday",
    "*/7 * * * *": "Every seventh minute of every hour",
    "0 0 * * 5#2": "At 00:00 on the second Friday of the month",
    "no cron": "no cron",
}


@pytest.mark.parametrize("cron", WORDS)
def test_an_expression_is_said_in_words(cron: str) -> None:
    """People read when a schedule is due without knowing cron; what cannot be said stays as it is."""
    assert described(ScheduleRules(cron=cron)) == f"{WORDS[cron]}, UTC"


def test_words_name_the_clock_that_they_mean() -> None:
    """A time without its zone says nothing, and an interval has none."""
    assert described(ScheduleRules(cron="0 3 * * *", tz="America/New_York")) == "Every day at 03:00, New York time"
    assert described(ScheduleRules(every_s=90.0)) == "Every 90 seconds"
    assert described(ScheduleRules(every_s=7200.0)) == "Every 2 hours"
    at = ScheduleRules(at=datetime(2026, 12, 24, 17, tzinfo=UTC), tz="Europe/Vienna")
    assert described(at) == "Once, at 2026-12-24 18:00, Vienna time"
