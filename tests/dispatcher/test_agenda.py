"""The agenda of a duty: which queue to look at, for want of a hint, an answer or a look of anybody."""

import time

import pytest

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_dispatcher.agenda import AHEAD, Agenda
from millstream_streams import Broker, StoreError

INTERVAL_S = 600.0


@pytest.fixture
def agenda(broker: Broker) -> Agenda:
    """Return an agenda whose interval does not pass within a test."""
    return Agenda(broker.registry, INTERVAL_S)


def note_all(agenda: Agenda, queues: list[Queue], ago_s: float = 0.0) -> None:
    """Note that the queues were asked so long ago, and that nothing waits in them."""
    for queue in queues:
        agenda.note(queue, asked_at=time.monotonic() - ago_s, next_in_ms=None)


async def test_every_queue_is_due_until_it_was_asked(agenda: Agenda, queues: list[Queue]) -> None:
    """A duty that starts knows nothing."""
    assert await agenda.due() == queues
    note_all(agenda, queues[:2])
    assert await agenda.due() == queues[2:]


async def test_a_queue_is_due_again_an_interval_after_it_was_asked(agenda: Agenda, queues: list[Queue]) -> None:
    """Whoever asked it: a lost hint costs an interval, and no more."""
    note_all(agenda, queues[:1], ago_s=INTERVAL_S)
    note_all(agenda, queues[1:])
    assert await agenda.due() == queues[:1]
    # An answer that took longer than a later one says nothing new.
    note_all(agenda, queues[:1])
    note_all(agenda, queues[:1], ago_s=INTERVAL_S)
    assert await agenda.due() == []


async def test_the_duty_is_back_before_an_interval_has_passed_since_the_first_was_asked(
    agenda: Agenda, queues: list[Queue]
) -> None:
    """Each queue has its own interval: the first to have waited for one decides."""
    note_all(agenda, queues[:1], ago_s=INTERVAL_S / 2)
    note_all(agenda, queues[1:])
    assert await agenda.due() == []
    assert agenda.sleep_s() == pytest.approx(INTERVAL_S / 2, abs=5)


async def test_looks_that_are_soon_to_be_made_are_made_together(agenda: Agenda, queues: list[Queue]) -> None:
    """Queues that were asked one by one would otherwise be surveyed one by one; but never too late."""
    note_all(agenda, queues[:2], ago_s=INTERVAL_S * (1 - AHEAD / 2))
    note_all(agenda, queues[2:], ago_s=INTERVAL_S * (1 - AHEAD * 2))
    assert await agenda.due() == queues[:2]
    note_all(agenda, queues[:2])
    # What was left for the next time must not have to wait for longer than its interval.
    assert agenda.sleep_s() == pytest.approx(INTERVAL_S * AHEAD * 2, abs=5)


async def test_after_a_gap_only_a_later_answer_counts(agenda: Agenda, queues: list[Queue]) -> None:
    """A hint may have been missed after a queue was asked, although the answer comes after the gap."""
    note_all(agenda, queues)
    assert await agenda.due() == []
    before = time.monotonic()
    agenda.look_at_all()
    agenda.note(queues[0], asked_at=before, next_in_ms=None)
    agenda.note(queues[1], asked_at=time.monotonic(), next_in_ms=None)
    assert await agenda.due() == [queues[0], queues[2]]


async def test_a_gap_that_comes_while_the_duty_looks_brings_it_back_at_once(
    agenda: Agenda, queues: list[Queue]
) -> None:
    """What it has just been told may be older than what was missed."""
    for queue in await agenda.due():
        with agenda.look(queue) as asked_at:
            agenda.look_at_all()
        agenda.note(queue, asked_at=asked_at, next_in_ms=None)
    assert agenda.sleep_s() == 0.0
    assert await agenda.due() == queues
    note_all(agenda, queues)
    assert agenda.sleep_s() == pytest.approx(INTERVAL_S, abs=5)


async def test_a_hint_outlives_an_answer_that_it_has_overtaken(agenda: Agenda, queues: list[Queue]) -> None:
    """What was asked before the hint came knows nothing of it."""
    asked_at = time.monotonic()
    agenda.look_at(queues[0])
    for queue, next_in_ms in zip(queues, (None, 600_000, 0), strict=True):
        agenda.note(queue, asked_at=asked_at, next_in_ms=next_in_ms)
    assert await agenda.due() == [queues[0], queues[2]]


async def test_a_look_that_fails_is_made_again(agenda: Agenda, queues: list[Queue]) -> None:
    """Without an answer nothing is known; with one there is nothing to do."""
    note_all(agenda, queues)
    for queue in queues:
        agenda.look_at(queue)
    with agenda.look(queues[0]) as asked_at:
        pass
    agenda.note(queues[0], asked_at=asked_at, next_in_ms=None)
    with pytest.raises(StoreError), agenda.look(queues[1]):
        raise StoreError("broken")
    assert await agenda.due() == queues[1:]


async def test_what_falls_due_sooner_than_the_duty_comes_back_wakes_it(agenda: Agenda, queues: list[Queue]) -> None:
    """An answer that somebody else got may tell of a job of which no hint came."""
    note_all(agenda, queues)
    agenda.sleep_s()
    agenda.note(queues[0], asked_at=time.monotonic(), next_in_ms=2 * round(INTERVAL_S * 1000))
    assert not await agenda.wake.wait(0.0)
    agenda.note(queues[1], asked_at=time.monotonic(), next_in_ms=60_000)
    assert await agenda.wake.wait(0.0)
    assert agenda.sleep_s() == pytest.approx(60, abs=5)
    agenda.note(queues[1], asked_at=time.monotonic(), next_in_ms=120_000)
    assert not await agenda.wake.wait(0.0)


async def test_a_queue_that_nobody_has_registered_is_looked_at_when_a_hint_names_it(
    broker: Broker, agenda: Agenda, queues: list[Queue]
) -> None:
    """Hints may be faster than the registry; and what is taken off the registry is forgotten."""
    new = Queue(DEFAULT_TENANT, JobType("new"))
    note_all(agenda, queues)
    agenda.look_at(new)
    assert await agenda.due() == [new]
    await broker.client.srem(broker.keys.queues, queues[0].tag)
    agenda.look_at_all()
    assert await agenda.due() == sorted([new, *queues[1:]])


async def test_a_hint_and_a_gap_wake_the_duty(agenda: Agenda, queues: list[Queue]) -> None:
    """What is heard is looked at now; the duty would otherwise sleep until it comes back by itself."""
    note_all(agenda, queues)
    agenda.sleep_s()
    for hear in (lambda: agenda.look_at(queues[0]), agenda.look_at_all):
        assert not await agenda.wake.wait(0.0)
        hear()
        assert await agenda.wake.wait(0.0)


async def test_a_gap_brings_every_queue_up_again_also_when_a_survey_is_far(agenda: Agenda, queues: list[Queue]) -> None:
    """Each queue that was asked before the gap is due, whatever else has been planned."""
    note_all(agenda, queues)
    assert await agenda.due() == []
    assert agenda.sleep_s() == pytest.approx(INTERVAL_S, abs=5)
    agenda.look_at_all()
    assert await agenda.due() == queues


async def test_without_any_queue_the_next_survey_is_an_interval_away(agenda: Agenda) -> None:
    """A system in which nothing was submitted yet is not asked again and again."""
    assert await agenda.due() == []
    assert agenda.sleep_s() == pytest.approx(INTERVAL_S, abs=5)


async def test_the_first_of_several_times_brings_the_duty_back(agenda: Agenda, queues: list[Queue]) -> None:
    """Whichever queue it is in."""
    note_all(agenda, queues)
    assert await agenda.due() == []
    now = time.monotonic()
    for queue, in_s in zip(queues, (300, 100, 200), strict=True):
        agenda.note(queue, asked_at=now, next_in_ms=in_s * 1000)
    assert agenda.sleep_s() == pytest.approx(100, abs=5)


async def test_a_hint_that_comes_while_its_queue_is_looked_at_stays(agenda: Agenda, queues: list[Queue]) -> None:
    """The look that is under way may have missed what the hint tells of."""
    note_all(agenda, queues)
    agenda.look_at(queues[0])
    with agenda.look(queues[0]) as asked_at:
        agenda.look_at(queues[0])
    agenda.note(queues[0], asked_at=asked_at, next_in_ms=None)
    assert await agenda.due() == queues[:1]


async def test_a_look_is_timed_at_its_beginning(agenda: Agenda, queues: list[Queue]) -> None:
    """A job that is stored while the answer is on its way is not in it, and has to be found an interval later."""
    before = time.monotonic()
    with agenda.look(queues[0]) as asked_at:
        assert before <= asked_at <= time.monotonic()
        agenda.look_at_all()
    agenda.note(queues[0], asked_at=asked_at, next_in_ms=None)
    note_all(agenda, queues[1:])
    assert await agenda.due() == queues[:1]


async def test_a_queue_that_is_gone_does_not_bring_the_duty_back(
    broker: Broker, agenda: Agenda, queues: list[Queue]
) -> None:
    """Its last look would otherwise grow older for ever, and each survey look for it in vain."""
    note_all(agenda, queues[:1], ago_s=INTERVAL_S / 2)
    note_all(agenda, queues[1:])
    await broker.client.srem(broker.keys.queues, queues[0].tag)
    assert await agenda.due() == []
    assert agenda.sleep_s() == pytest.approx(INTERVAL_S, abs=5)


async def test_a_queue_that_gives_no_answer_is_not_surveyed_without_a_pause(
    agenda: Agenda, queues: list[Queue]
) -> None:
    """The looks that a survey puts together are as far from the next survey."""
    note_all(agenda, queues, ago_s=INTERVAL_S * (1 - AHEAD / 2))
    assert await agenda.due() == queues
    assert agenda.sleep_s() == pytest.approx(INTERVAL_S * AHEAD, abs=5)
