"""mark_isolated.lua spares a job whose handler has not begun the crash of its worker."""

from streams.audit import audit
from streams.seeds import recover_all, seed, seed_running, take_one

from millstream_contracts import JobState, Queue
from millstream_streams import Broker


async def test_a_job_that_waits_to_run_alone_is_charged_no_crash(broker: Broker, queue: Queue) -> None:
    """A job that waits to run alone is charged no crash when its worker is lost."""
    running = await seed_running(broker, queue)
    assert await broker.store.mark_isolated(queue, [(running.id, running.token)], waits=True) == [True]
    recovery = await broker.store.recover(queue, lease_ms=0, max_crashes=1)
    assert [(one.id, one.crash_charged) for one in recovery.requeued] == [(running.id, False)]
    assert (await take_one(broker, queue, "w2")).crashes == 0
    await audit(broker, queue)


async def test_a_job_whose_turn_has_come_is_charged_again(broker: Broker, queue: Queue) -> None:
    """A job that has started after its wait is charged the crash of its worker."""
    running = await seed_running(broker, queue)
    for waits in (True, False):
        await broker.store.mark_isolated(queue, [(running.id, running.token)], waits=waits)
    recovery = await broker.store.recover(queue, lease_ms=0, max_crashes=1)
    assert [one.id for one in recovery.buried] == [running.id]


async def test_a_note_of_an_earlier_delivery_means_nothing_for_the_next(broker: Broker, queue: Queue) -> None:
    """The mark holds for its own delivery, and a later delivery is charged."""
    first = await seed_running(broker, queue)
    await broker.store.mark_isolated(queue, [(first.id, first.token)], waits=True)
    assert await recover_all(broker, queue) == [first.id]
    second = await take_one(broker, queue, "w2")
    recovery = await broker.store.recover(queue, lease_ms=0, max_crashes=1)
    assert [one.id for one in recovery.buried] == [second.id]


async def test_mark_isolated_refuses_a_zombie_and_what_is_gone(broker: Broker, queue: Queue) -> None:
    """The mark of a lost delivery is refused, because it could hide a crash of the new worker."""
    zombie = await seed_running(broker, queue)
    await recover_all(broker, queue)
    current = await take_one(broker, queue, "w2")
    (waiting,) = await seed(broker, queue)
    wishes = [(zombie.id, zombie.token), (waiting, ""), (waiting, "1:x"), (current.id, current.token)]
    assert await broker.store.mark_isolated(queue, wishes, waits=True) == [False, False, False, True]
    assert (await audit(broker, queue)).jobs[waiting]["state"].decode() == JobState.QUEUED
