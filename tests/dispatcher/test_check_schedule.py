"""The schedule of a duty: a queue is checked after a hint, when a job falls due, and when its last check is too old."""

import time

import pytest

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_dispatcher.check_schedule import AHEAD, CheckSchedule
from millstream_streams import Broker, StoreError

INTERVAL_S = 600.0


@pytest.fixture
def schedule(broker: Broker) -> CheckSchedule:
    """Return an schedule whose interval does not pass within a test."""
    return CheckSchedule(broker.registry, INTERVAL_S)


def note_all(schedule: CheckSchedule, queues: list[Queue], ago_s: float = 0.0) -> None:
    """Note that the queues were asked so long ago, and that nothing waits in them."""
    for queue in queues:
        schedule.record(queue, checked_at=time.monotonic() - ago_s, next_in_ms=None)


async def test_every_queue_is_due_until_it_was_asked(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """A duty that starts knows nothing."""
    assert await schedule.due() == queues
    note_all(schedule, queues[:2])
    assert await schedule.due() == queues[2:]


async def test_a_queue_is_due_again_an_interval_after_it_was_asked(
    schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """A lost hint costs one interval, whichever duty made the last check."""
    note_all(schedule, queues[:1], ago_s=INTERVAL_S)
    note_all(schedule, queues[1:])
    assert await schedule.due() == queues[:1]
    # An answer that took longer than a later one says nothing new.
    note_all(schedule, queues[:1])
    note_all(schedule, queues[:1], ago_s=INTERVAL_S)
    assert await schedule.due() == []


async def test_the_duty_is_back_before_an_interval_has_passed_since_the_first_was_asked(
    schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """Each queue has its own interval: the first to have waited for one decides."""
    note_all(schedule, queues[:1], ago_s=INTERVAL_S / 2)
    note_all(schedule, queues[1:])
    assert await schedule.due() == []
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S / 2, abs=5)


async def test_looks_that_are_soon_to_be_made_are_made_together(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """Queues that were asked one by one would otherwise be surveyed one by one; but never too late."""
    note_all(schedule, queues[:2], ago_s=INTERVAL_S * (1 - AHEAD / 2))
    note_all(schedule, queues[2:], ago_s=INTERVAL_S * (1 - AHEAD * 2))
    assert await schedule.due() == queues[:2]
    note_all(schedule, queues[:2])
    # What was left for the next time must not have to wait for longer than its interval.
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S * AHEAD * 2, abs=5)


async def test_after_a_gap_only_a_later_answer_counts(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """A hint may have been missed after a queue was asked, although the answer comes after the gap."""
    note_all(schedule, queues)
    assert await schedule.due() == []
    before = time.monotonic()
    schedule.check_all_now()
    schedule.record(queues[0], checked_at=before, next_in_ms=None)
    schedule.record(queues[1], checked_at=time.monotonic(), next_in_ms=None)
    assert await schedule.due() == [queues[0], queues[2]]


async def test_a_gap_that_comes_while_the_duty_looks_brings_it_back_at_once(
    schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """What it has just been told may be older than what was missed."""
    for queue in await schedule.due():
        with schedule.checking(queue) as checked_at:
            schedule.check_all_now()
        schedule.record(queue, checked_at=checked_at, next_in_ms=None)
    assert schedule.sleep_s() == 0.0
    assert await schedule.due() == queues
    note_all(schedule, queues)
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S, abs=5)


async def test_a_hint_outlives_an_answer_that_it_has_overtaken(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """What was asked before the hint came knows nothing of it."""
    checked_at = time.monotonic()
    schedule.check_now(queues[0])
    for queue, next_in_ms in zip(queues, (None, 600_000, 0), strict=True):
        schedule.record(queue, checked_at=checked_at, next_in_ms=next_in_ms)
    assert await schedule.due() == [queues[0], queues[2]]


async def test_a_look_that_fails_is_made_again(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """Without an answer nothing is known; with one there is nothing to do."""
    note_all(schedule, queues)
    for queue in queues:
        schedule.check_now(queue)
    with schedule.checking(queues[0]) as checked_at:
        pass
    schedule.record(queues[0], checked_at=checked_at, next_in_ms=None)
    with pytest.raises(StoreError), schedule.checking(queues[1]):
        raise StoreError("broken")
    assert await schedule.due() == queues[1:]


async def test_what_falls_due_sooner_than_the_duty_comes_back_wakes_it(
    schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """The answer to another duty may tell of a job whose hint was lost."""
    note_all(schedule, queues)
    schedule.sleep_s()
    schedule.record(queues[0], checked_at=time.monotonic(), next_in_ms=2 * round(INTERVAL_S * 1000))
    assert not await schedule.wake.wait(0.0)
    schedule.record(queues[1], checked_at=time.monotonic(), next_in_ms=60_000)
    assert await schedule.wake.wait(0.0)
    assert schedule.sleep_s() == pytest.approx(60, abs=5)
    schedule.record(queues[1], checked_at=time.monotonic(), next_in_ms=120_000)
    assert not await schedule.wake.wait(0.0)


async def test_a_queue_that_nobody_has_registered_is_looked_at_when_a_hint_names_it(
    broker: Broker, schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """Hints may be faster than the registry; and what is taken off the registry is forgotten."""
    new = Queue(DEFAULT_TENANT, JobType("new"))
    note_all(schedule, queues)
    schedule.check_now(new)
    assert await schedule.due() == [new]
    await broker.client.srem(broker.keys.queues, queues[0].tag)
    schedule.check_all_now()
    assert await schedule.due() == sorted([new, *queues[1:]])


async def test_a_hint_and_a_gap_wake_the_duty(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """What is heard is looked at now; the duty would otherwise sleep until it comes back by itself."""
    note_all(schedule, queues)
    schedule.sleep_s()
    for hear in (lambda: schedule.check_now(queues[0]), schedule.check_all_now):
        assert not await schedule.wake.wait(0.0)
        hear()
        assert await schedule.wake.wait(0.0)


async def test_a_gap_brings_every_queue_up_again_also_when_a_survey_is_far(
    schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """Each queue that was asked before the gap is due, whatever else has been planned."""
    note_all(schedule, queues)
    assert await schedule.due() == []
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S, abs=5)
    schedule.check_all_now()
    assert await schedule.due() == queues


async def test_without_any_queue_the_next_survey_is_an_interval_away(schedule: CheckSchedule) -> None:
    """A system in which nothing was submitted yet is not asked again and again."""
    assert await schedule.due() == []
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S, abs=5)


async def test_the_first_of_several_times_brings_the_duty_back(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """Whichever queue it is in."""
    note_all(schedule, queues)
    assert await schedule.due() == []
    now = time.monotonic()
    for queue, in_s in zip(queues, (300, 100, 200), strict=True):
        schedule.record(queue, checked_at=now, next_in_ms=in_s * 1000)
    assert schedule.sleep_s() == pytest.approx(100, abs=5)


async def test_a_hint_that_comes_while_its_queue_is_looked_at_stays(
    schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """The look that is under way may have missed what the hint tells of."""
    note_all(schedule, queues)
    schedule.check_now(queues[0])
    with schedule.checking(queues[0]) as checked_at:
        schedule.check_now(queues[0])
    schedule.record(queues[0], checked_at=checked_at, next_in_ms=None)
    assert await schedule.due() == queues[:1]


async def test_a_look_is_timed_at_its_beginning(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """A job that is stored while the answer is on its way is not in it, and has to be found an interval later."""
    before = time.monotonic()
    with schedule.checking(queues[0]) as checked_at:
        assert before <= checked_at <= time.monotonic()
        schedule.check_all_now()
    schedule.record(queues[0], checked_at=checked_at, next_in_ms=None)
    note_all(schedule, queues[1:])
    assert await schedule.due() == queues[:1]


async def test_a_queue_that_is_gone_does_not_bring_the_duty_back(
    broker: Broker, schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """Its last look would otherwise grow older for ever, and each survey look for it in vain."""
    note_all(schedule, queues[:1], ago_s=INTERVAL_S / 2)
    note_all(schedule, queues[1:])
    await broker.client.srem(broker.keys.queues, queues[0].tag)
    assert await schedule.due() == []
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S, abs=5)


async def test_a_queue_that_gives_no_answer_is_not_surveyed_without_a_pause(
    schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """The looks that a survey puts together are as far from the next survey."""
    note_all(schedule, queues, ago_s=INTERVAL_S * (1 - AHEAD / 2))
    assert await schedule.due() == queues
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S * AHEAD, abs=5)
