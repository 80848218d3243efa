"""What is decided about a due schedule or backfill: which jobs start, what is counted, when it is looked at next."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from millstream_contracts import (
    DEFAULT_TENANT,
    JobId,
    JobType,
    Queue,
    ScheduleRules,
    limits,
    ms_of,
    new_job_id,
    queue_of,
)
from millstream_dispatcher.schedules.backfill_decider import decide_backfill
from millstream_dispatcher.schedules.decision import (
    ERROR_AGAIN_MS,
    LOOK_AGAIN_MS,
    MAX_STARTS,
    NOTHING,
    Decision,
    job_id_of,
    postponed,
)
from millstream_dispatcher.schedules.occasion_decider import Due, decide
from millstream_schedules import timing_of
from millstream_streams import StoredSchedule, next_turn
from millstream_submission import Placing

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NAME = "nightly"
LAST = new_job_id(Queue(DEFAULT_TENANT, JobType("email.send")))


def stored_of(rules: ScheduleRules, next_at: datetime | None, name: str = NAME, **fields: Any) -> StoredSchedule:
    """Return an active schedule whose next occasion is this one."""
    fires_at = timing_of(rules, NAME).occasion(next_at).fires_at if next_at else None
    due = {"next_ms": ms_of(next_at), "fires_ms": ms_of(fires_at)} if next_at and fires_at else {}
    return StoredSchedule(**{"name": name, "turn": "7", "type": "email.send", "state": "active", **due, **fields})


def decided(
    rules: ScheduleRules, now: datetime, next_at: datetime | None, *, is_under_way: bool = False, **fields: Any
) -> Decision:
    """Return what is decided about a schedule."""
    stored = stored_of(rules, next_at, **fields)
    return decide(Due(DEFAULT_TENANT, stored, rules, timing_of(rules, NAME), now, is_under_way))


def written(decision: Decision, *names: str) -> list[int]:
    """Return numbers that the schedule has after a decision."""
    return [int(str(decision.changes[-1].fields[name])) for name in names]


HOURLY = ScheduleRules(cron="@hourly")


def test_an_occasion_in_time_is_written_down_with_the_next_one() -> None:
    """The schedule shows its last and its next occasion and its job, and is looked at when the next one fires."""
    decision = decided(HOURLY, NOON + MINUTE / 2, NOON, fired=3)
    (change,) = decision.changes
    assert (decision.started, decision.skipped, decision.missed) == ((ms_of(NOON),), 0, 0)
    assert (change.turn, change.nominal_ms, change.fields["state"]) == ("7", ms_of(NOON), "active")
    assert change.tick_ms == ms_of(NOON + HOUR)
    assert written(decision, "next_ms", "fires_ms") == [ms_of(NOON + HOUR)] * 2
    assert written(decision, "last_ms", "last_fired_ms") == [ms_of(NOON)] * 2
    assert written(decision, "fired", "waiting_ms", "skipped", "missed") == [4, 0, 0, 0]
    assert change.fields["jobs"] == change.job_id


def test_with_jitter_a_schedule_is_due_when_it_fires() -> None:
    """An occasion starts its job not before its offset is over, keeps its nominal time, and so does the next."""
    rules = ScheduleRules(cron="@hourly", jitter_s=1800.0)
    fires_at = timing_of(rules, NAME).occasion(NOON).fires_at
    assert fires_at > NOON
    assert decided(rules, fires_at - timedelta(milliseconds=1), NOON) == NOTHING
    decision = decided(rules, fires_at, NOON)
    assert decision.started == (ms_of(NOON),)
    assert decision.changes[0].tick_ms == ms_of(fires_at + HOUR)
    assert written(decision, "next_ms", "fires_ms") == [ms_of(NOON + HOUR), ms_of(fires_at + HOUR)]


@pytest.mark.parametrize("late_s", [59.0, 61.0])
def test_an_occasion_is_missed_once_it_is_late_by_more_than_its_rules_allow(late_s: float) -> None:
    """Lateness counts from when an occasion fires, also for the only one that is due."""
    rules = ScheduleRules(cron="@daily", missed="skip", late_s=60.0, jitter_s=3600.0)
    midnight = NOON - 12 * HOUR
    fires_at = timing_of(rules, NAME).occasion(midnight).fires_at
    decision = decided(rules, fires_at + timedelta(seconds=late_s), midnight, missed=5)
    is_missed = late_s > rules.late_s
    assert (len(decision.started), decision.missed) == ((0, 1) if is_missed else (1, 0))
    assert written(decision, "missed", "last_ms", "next_ms") == [
        5 + is_missed, ms_of(midnight), ms_of(midnight + 24 * HOUR),
    ]  # fmt: skip


def test_each_of_several_occasions_is_a_change_that_follows_the_one_before() -> None:
    """Jobs start oldest first, each counted once, and all changes leave the schedule as it is after the last."""
    decision = decided(ScheduleRules(cron="@hourly", late_s=7200.0), NOON + HOUR, NOON - HOUR, fired=1)
    nominals = [ms_of(NOON + number * HOUR) for number in (-1, 0, 1)]
    assert list(decision.started) == nominals == [change.nominal_ms for change in decision.changes]
    turns = ["7", next_turn("7"), next_turn(next_turn("7"))]
    assert [change.turn for change in decision.changes] == turns
    assert [change.fields["fired"] for change in decision.changes] == ["2", "3", "4"]
    assert [change.fields["last_fired_ms"] for change in decision.changes] == [str(one) for one in nominals]
    assert len({change.job_id for change in decision.changes}) == 3
    assert {change.fields["next_ms"] for change in decision.changes} == {str(ms_of(NOON + 2 * HOUR))}
    assert written(decision, "last_ms") == [nominals[-1]]


@pytest.mark.parametrize("waiting", [False, True])
def test_what_one_decision_does_not_start_is_due_at_once(waiting: bool) -> None:
    """A long catch-up is done by parts, none of which is left out, and the next part is due already."""
    rules = ScheduleRules(every_s=60.0, late_s=7200.0)
    extra = {"waiting_ms": ms_of(NOON - HOUR)} if waiting else {}
    decision = decided(rules, NOON + 90 * MINUTE, NOON, **extra)
    expected = [*extra.values(), *(ms_of(NOON + number * MINUTE) for number in range(MAX_STARTS))]
    assert list(decision.started) == expected
    assert written(decision, "next_ms", "fires_ms") == [ms_of(NOON + MAX_STARTS * MINUTE)] * 2
    assert decision.changes[-1].tick_ms == ms_of(NOON + MAX_STARTS * MINUTE)


def test_with_queue_the_newest_waits_and_the_others_are_skipped() -> None:
    """Of occasions that come while a job is under way the newest waits; the end of the job is looked for soon."""
    rules = ScheduleRules(cron="@hourly", overlap="queue", late_s=7200.0)
    now = NOON + MINUTE
    decision = decided(
        rules, now, NOON - HOUR, is_under_way=True, waiting_ms=ms_of(NOON - 2 * HOUR), skipped=4, jobs=(LAST,)
    )
    assert (decision.started, decision.skipped, decision.cancel) == ((), 2, None)
    assert written(decision, "waiting_ms", "skipped", "last_ms") == [ms_of(NOON), 6, ms_of(NOON)]
    assert decision.changes[-1].tick_ms == ms_of(now) + LOOK_AGAIN_MS
    assert "jobs" not in decision.changes[-1].fields


def test_what_waits_does_not_put_off_the_next_occasion() -> None:
    """A schedule of which an occasion waits is looked at when its next one fires, if that is sooner."""
    rules = ScheduleRules(every_s=1.0, overlap="queue")
    now = NOON + timedelta(milliseconds=600)
    decision = decided(rules, now, NOON, is_under_way=True)
    assert decision.changes[-1].tick_ms == ms_of(NOON) + 1000 < ms_of(now) + LOOK_AGAIN_MS


def test_what_waits_starts_when_the_last_job_has_ended_although_nothing_is_due() -> None:
    """The occasion that waited starts its job under its own nominal time, and the next one stays as it was."""
    rules = ScheduleRules(cron="@hourly", overlap="queue")
    now, next_at = NOON + MINUTE, NOON + HOUR
    waiting = {"waiting_ms": ms_of(NOON), "last_ms": ms_of(NOON)}
    still = decided(rules, now, next_at, is_under_way=True, **waiting)
    assert (still.started, written(still, "waiting_ms", "skipped")) == ((), [ms_of(NOON), 0])
    assert still.changes[-1].tick_ms == ms_of(now) + LOOK_AGAIN_MS
    decision = decided(rules, now, next_at, **waiting)
    assert decision.started == (ms_of(NOON),)
    assert written(decision, "waiting_ms", "next_ms", "fires_ms") == [0, ms_of(next_at), ms_of(next_at)]
    assert decision.changes[-1].tick_ms == ms_of(next_at)


def test_an_occasion_that_waited_goes_before_one_that_is_due() -> None:
    """When the last job has ended, the occasion that waited starts and the one that is due waits for it."""
    decision = decided(ScheduleRules(cron="@hourly", overlap="queue"), NOON, NOON, waiting_ms=ms_of(NOON - HOUR))
    assert (decision.started, decision.skipped) == ((ms_of(NOON - HOUR),), 0)
    assert written(decision, "waiting_ms") == [ms_of(NOON)]


@pytest.mark.parametrize("overlap", ["allow", "skip", "queue", "cancel-running"])
def test_an_occasion_that_waits_starts_under_every_rule_that_comes_after(overlap: Any) -> None:
    """A schedule whose rule for overlaps is changed while an occasion waits does not forget that occasion."""
    rules = ScheduleRules(cron="@hourly", overlap=overlap)
    decision = decided(rules, NOON + MINUTE, NOON + HOUR, waiting_ms=ms_of(NOON))
    assert decision.started == (ms_of(NOON),)
    assert written(decision, "waiting_ms", "next_ms") == [0, ms_of(NOON + HOUR)]


@pytest.mark.parametrize("is_under_way", [False, True])
def test_only_with_cancel_running_a_job_under_way_is_cancelled(is_under_way: bool) -> None:
    """`cancel-running` names the last job of the schedule where one is under way, and an occasion waits for its end."""
    for overlap in ("skip", "queue", "cancel-running"):
        rules = ScheduleRules(cron="@hourly", overlap=overlap)  # type: ignore[arg-type]
        decision = decided(rules, NOON, NOON, is_under_way=is_under_way, jobs=(LAST,))
        assert decision.cancel == (LAST if is_under_way and overlap == "cancel-running" else None)
        assert bool(decision.started) is not is_under_way


def test_with_skip_occasions_of_a_busy_schedule_are_counted() -> None:
    """Each occasion that finds the last job under way is skipped, and the next one is due as ever."""
    rules = ScheduleRules(cron="@hourly", overlap="skip", late_s=7200.0)
    decision = decided(rules, NOON + HOUR, NOON, is_under_way=True, skipped=1)
    assert (decision.started, decision.skipped) == ((), 2)
    assert written(decision, "skipped", "waiting_ms", "next_ms") == [3, 0, ms_of(NOON + 2 * HOUR)]


def test_a_schedule_without_another_occasion_is_done_once_nothing_waits() -> None:
    """After its only moment a schedule is done and kept for a while; it is active as long as that moment waits."""
    rules = ScheduleRules(at=NOON, overlap="queue")
    done = decided(rules, NOON, NOON)
    assert done.changes[-1].fields["state"] == "done"
    assert done.changes[-1].tick_ms == ms_of(NOON) + limits.DONE_SCHEDULE_TTL_S * 1000
    assert written(done, "next_ms", "fires_ms") == [0, 0]
    waits = decided(rules, NOON, NOON, is_under_way=True)
    assert waits.changes[-1].fields["state"] == "active"
    assert waits.changes[-1].tick_ms == ms_of(NOON) + LOOK_AGAIN_MS


def test_the_last_occasion_of_a_schedule_that_waited_starts_alone() -> None:
    """A schedule without another occasion starts the one that waited, and nothing else, and is done then."""
    rules = ScheduleRules(at=NOON, overlap="queue")
    decision = decided(rules, NOON + HOUR, None, waiting_ms=ms_of(NOON), last_ms=ms_of(NOON))
    assert (decision.started, decision.missed) == ((ms_of(NOON),), 0)
    assert decision.changes[-1].fields["state"] == "done"
    assert written(decision, "next_ms", "waiting_ms", "last_ms") == [0, 0, ms_of(NOON)]


def test_the_job_of_an_occasion_has_an_id_of_its_own() -> None:
    """Equal occasions have equal ids in every dispatcher; other ones have others, and all partitions are used."""
    stored = stored_of(HOURLY, NOON, created_ms=1)

    def made(one: StoredSchedule = stored, nominal_ms: int = 60_000, partitions: int = 1, tenant: str = "t") -> JobId:
        return job_id_of(tenant, one, nominal_ms, nominal_ms, Placing(partitions))  # type: ignore[arg-type]

    assert made() == made(stored_of(HOURLY, NOON + HOUR, created_ms=1, turn="8"))
    replaced = [{"name": "other"}, {"created_ms": 2}]
    others = [made(msgspec.structs.replace(stored, **fields)) for fields in replaced]
    assert len({made(), *others, made(nominal_ms=120_000), made(tenant="u")}) == 5
    queues = [queue_of(DEFAULT_TENANT, made(nominal_ms=number * 1000, partitions=4)) for number in range(100)]
    assert {queue.partition for queue in queues if queue} == set(range(4))


def test_what_cannot_be_carried_out_says_so_and_is_looked_at_again() -> None:
    """A schedule in which something is broken keeps its state, shows the error, and is looked at within a minute."""
    (change,) = postponed(stored_of(HOURLY, NOON), ms_of(NOON), "no such zone").changes
    assert (change.fields, change.turn) == ({"error": "no such zone", "state": "active"}, "7")
    assert change.tick_ms == ms_of(NOON) + ERROR_AGAIN_MS


# Backfills

RANGE = {"from_ms": ms_of(NOON - 5 * HOUR), "to_ms": ms_of(NOON), "occasions": 5, "state": "running"}


def backfilled(under_way: list[JobId], next_at: datetime | None, parallel: int = 2, **fields: Any) -> Decision:
    """Return what is decided about a backfill of five hours."""
    stored = stored_of(HOURLY, next_at, f"{NAME} bf", parallel=parallel, **RANGE, **fields)
    return decide_backfill(DEFAULT_TENANT, stored, timing_of(HOURLY, NAME), under_way, NOON, Placing())


def test_a_backfill_fills_the_room_that_its_jobs_leave() -> None:
    """As many occasions start as jobs may be under way besides those that are, and the rest is looked for soon."""
    decision = backfilled([LAST], NOON - 4 * HOUR, parallel=3, fired=1)
    assert decision.started == (ms_of(NOON - 4 * HOUR), ms_of(NOON - 3 * HOUR))
    first, second = decision.changes
    assert [change.nominal_ms for change in decision.changes] == list(decision.started)
    assert (first.turn, second.turn) == ("7", next_turn("7"))
    assert [change.fields["fired"] for change in decision.changes] == ["2", "3"]
    jobs = f"{LAST} {first.job_id} {second.job_id}"
    assert [change.fields["jobs"] for change in decision.changes] == [jobs] * 2
    assert written(decision, "next_ms") == [ms_of(NOON - 2 * HOUR)]
    assert {(change.tick_ms, change.fields["state"]) for change in decision.changes} == {
        (ms_of(NOON) + LOOK_AGAIN_MS, "running")
    }


def test_a_backfill_without_room_waits_for_its_jobs() -> None:
    """With as many jobs under way as there may be nothing starts, and those that have ended are forgotten."""
    decision = backfilled([LAST], NOON - 4 * HOUR, parallel=1)
    (change,) = decision.changes
    assert (decision.started, change.tick_ms) == ((), ms_of(NOON) + LOOK_AGAIN_MS)
    assert change.fields == {"jobs": LAST, "state": "running"}


def test_the_last_occasion_of_a_backfill_is_the_last_of_its_range() -> None:
    """A backfill takes no occasion at or after the end of its range, and runs until its last job has ended."""
    last = backfilled([], NOON - HOUR)
    assert (last.started, written(last, "next_ms")) == ((ms_of(NOON - HOUR),), [0])
    assert last.changes[0].fields["state"] == "running"
    assert written(backfilled([], NOON - HOUR, parallel=1), "next_ms") == [0]
    assert backfilled([LAST], None).changes[0].fields == {"jobs": LAST, "state": "running"}
    (done,) = backfilled([], None).changes
    assert done.fields == {"jobs": "", "next_ms": "0", "finished_ms": str(ms_of(NOON)), "state": "done"}
    assert done.tick_ms == ms_of(NOON) + limits.DONE_SCHEDULE_TTL_S * 1000


def test_a_backfill_starts_no_more_than_one_decision_may() -> None:
    """However many jobs of a backfill may be under way, one decision is bounded."""
    rules = ScheduleRules(every_s=60.0)
    wide = {**RANGE, "parallel": MAX_STARTS + 50}
    stored = stored_of(rules, NOON - 5 * HOUR, f"{NAME} bf", **wide)
    decision = decide_backfill(DEFAULT_TENANT, stored, timing_of(rules, NAME), [], NOON, Placing())
    assert len(decision.started) == MAX_STARTS
    assert written(decision, "next_ms") == [ms_of(NOON - 5 * HOUR + MAX_STARTS * MINUTE)]
