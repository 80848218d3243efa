"""The schedule of a duty names a queue after a hint, when a job falls due, and when its last check is too old."""

import time

import pytest

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_dispatcher.check_schedule import AHEAD, CheckSchedule
from millstream_streams import Broker, StoreError

INTERVAL_S = 600.0


@pytest.fixture
def schedule(broker: Broker) -> CheckSchedule:
    """Return a schedule whose interval does not pass within a test."""
    return CheckSchedule(broker.registry, INTERVAL_S)


def note_all(schedule: CheckSchedule, queues: list[Queue], ago_s: float = 0.0) -> None:
    """Record a check of these queues so long ago, which found that nothing waits."""
    for queue in queues:
        schedule.record(queue, checked_at=time.monotonic() - ago_s, next_in_ms=None)


async def test_every_queue_is_due_until_it_was_asked(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """Every queue is due until its first check."""
    assert await schedule.due() == queues
    note_all(schedule, queues[:2])
    assert await schedule.due() == queues[2:]


async def test_a_queue_is_due_again_an_interval_after_it_was_asked(
    schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """A queue is due an interval after its last check, whichever duty made it."""
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
    """The duty sleeps until an interval after the oldest check of any queue."""
    note_all(schedule, queues[:1], ago_s=INTERVAL_S / 2)
    note_all(schedule, queues[1:])
    assert await schedule.due() == []
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S / 2, abs=5)


async def test_looks_that_are_soon_to_be_made_are_made_together(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """Checks that are due soon are made together, and each is made within its interval."""
    note_all(schedule, queues[:2], ago_s=INTERVAL_S * (1 - AHEAD / 2))
    note_all(schedule, queues[2:], ago_s=INTERVAL_S * (1 - AHEAD * 2))
    assert await schedule.due() == queues[:2]
    note_all(schedule, queues[:2])
    # What was left for the next time must not have to wait for longer than its interval.
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S * AHEAD * 2, abs=5)


async def test_after_a_gap_only_a_later_answer_counts(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """After a gap in the hints only a check that began after it counts."""
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
    """A gap during the checks of a duty makes every queue due again at once."""
    for queue in await schedule.due():
        with schedule.checking(queue) as checked_at:
            schedule.check_all_now()
        schedule.record(queue, checked_at=checked_at, next_in_ms=None)
    assert schedule.sleep_s() == 0.0
    assert await schedule.due() == queues
    note_all(schedule, queues)
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S, abs=5)


async def test_a_hint_outlives_an_answer_that_it_has_overtaken(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """A hint stays when a check that began before it returns."""
    checked_at = time.monotonic()
    schedule.check_now(queues[0])
    for queue, next_in_ms in zip(queues, (None, 600_000, 0), strict=True):
        schedule.record(queue, checked_at=checked_at, next_in_ms=next_in_ms)
    assert await schedule.due() == [queues[0], queues[2]]


async def test_a_look_that_fails_is_made_again(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """A check that fails is made again, and one that succeeds settles the hint."""
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
    """A duty is woken when the check of another duty finds a job that falls due before it would return."""
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
    """A hint makes a queue due that the registry does not list yet, and a queue that left the registry is forgotten."""
    new = Queue(DEFAULT_TENANT, JobType("new"))
    note_all(schedule, queues)
    schedule.check_now(new)
    assert await schedule.due() == [new]
    await broker.client.srem(broker.keys.queues, queues[0].tag)
    schedule.check_all_now()
    assert await schedule.due() == sorted([new, *queues[1:]])


async def test_a_hint_and_a_gap_wake_the_duty(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """A hint and a gap both wake the duty."""
    note_all(schedule, queues)
    schedule.sleep_s()
    for hear in (lambda: schedule.check_now(queues[0]), schedule.check_all_now):
        assert not await schedule.wake.wait(0.0)
        hear()
        assert await schedule.wake.wait(0.0)


async def test_a_gap_brings_every_queue_up_again_also_when_a_survey_is_far(
    schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """A gap makes every queue due, however far the next full check is."""
    note_all(schedule, queues)
    assert await schedule.due() == []
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S, abs=5)
    schedule.check_all_now()
    assert await schedule.due() == queues


async def test_without_any_queue_the_next_survey_is_an_interval_away(schedule: CheckSchedule) -> None:
    """Without any queue the duty sleeps for an interval."""
    assert await schedule.due() == []
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S, abs=5)


async def test_the_first_of_several_times_brings_the_duty_back(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """The duty sleeps until the earliest due time of all queues."""
    note_all(schedule, queues)
    assert await schedule.due() == []
    now = time.monotonic()
    for queue, in_s in zip(queues, (300, 100, 200), strict=True):
        schedule.record(queue, checked_at=now, next_in_ms=in_s * 1000)
    assert schedule.sleep_s() == pytest.approx(100, abs=5)


async def test_a_hint_that_comes_while_its_queue_is_looked_at_stays(
    schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """A hint that arrives during the check of its queue stays, because the check may have missed its job."""
    note_all(schedule, queues)
    schedule.check_now(queues[0])
    with schedule.checking(queues[0]) as checked_at:
        schedule.check_now(queues[0])
    schedule.record(queues[0], checked_at=checked_at, next_in_ms=None)
    assert await schedule.due() == queues[:1]


async def test_a_look_is_timed_at_its_beginning(schedule: CheckSchedule, queues: list[Queue]) -> None:
    """A check counts from its beginning, because it may miss a job that is stored before it returns."""
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
    """A queue that left the registry does not shorten the sleep of the duty."""
    note_all(schedule, queues[:1], ago_s=INTERVAL_S / 2)
    note_all(schedule, queues[1:])
    await broker.client.srem(broker.keys.queues, queues[0].tag)
    assert await schedule.due() == []
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S, abs=5)


async def test_a_queue_that_gives_no_answer_is_not_surveyed_without_a_pause(
    schedule: CheckSchedule, queues: list[Queue]
) -> None:
    """A queue whose checks return nothing is checked again after a pause."""
    note_all(schedule, queues, ago_s=INTERVAL_S * (1 - AHEAD / 2))
    assert await schedule.due() == queues
    assert schedule.sleep_s() == pytest.approx(INTERVAL_S * AHEAD, abs=5)
