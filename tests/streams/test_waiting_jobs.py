"""run_now.lua makes jobs ready before their time; set_priority.lua has waiting ones go earlier or later."""

import pytest
from streams.audit import audit
from streams.gate_audit import audit_gate
from streams.seeds import (
    ERROR,
    FAR_MS,
    commit,
    events,
    job_of,
    make_due,
    seed,
    seed_dead,
    seed_running,
    take,
    take_one,
)

from millstream_contracts import JobId, JobState, Priority, Queue, RetryAt
from millstream_streams import ActionCode, Broker

HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW


async def ids_taken(broker: Broker, queue: Queue) -> list[JobId]:
    """Claim all that is ready, and return the ids in their order."""
    return [one.id for one in await take(broker, queue)]


async def test_a_scheduled_job_is_ready_at_once(broker: Broker, queue: Queue) -> None:
    """A job that was to run later starts now, and is shown without the time that it does not wait for."""
    (job_id,) = await seed(broker, queue, delay_ms=FAR_MS)
    assert await broker.store.run_now(queue, [job_id]) == [ActionCode.DONE]
    await audit(broker, queue)
    job = await job_of(broker, queue, job_id)
    assert (job.state, job.run_at) == (JobState.QUEUED, None)
    told = (await events(broker, queue))[-1]
    assert (told.kind, [(one.id, one.version, one.detail) for one in told.jobs]) == ("released", [(job_id, 2, "asked")])
    assert await ids_taken(broker, queue) == [job_id]


async def test_a_retry_is_ready_at_once(broker: Broker, queue: Queue) -> None:
    """A failed job that waits for its next attempt has it now, and the attempt counts as ever."""
    running = await seed_running(broker, queue)
    await commit(broker, running, RetryAt(FAR_MS, ERROR))
    assert await broker.store.run_now(queue, [running.id]) == [ActionCode.DONE]
    again = await take_one(broker, queue)
    assert (again.id, again.attempts) == (running.id, 1)


async def test_only_what_waits_for_a_time_can_be_run_now(broker: Broker, queue: Queue) -> None:
    """What is ready or runs stays as it is; what is dead, has ended or was never there is refused."""
    running = await seed_running(broker, queue)
    dead = await seed_dead(broker, queue)
    (waiting, cancelled) = await seed(broker, queue, 2)
    await broker.store.cancel(queue, [cancelled])
    before = len(await events(broker, queue))
    codes = await broker.store.run_now(queue, [waiting, running.id, dead, cancelled, JobId("none")])
    same, wrong = ActionCode.DONE_BEFORE, ActionCode.WRONG_STATE
    assert codes == [same, same, wrong, wrong, ActionCode.UNKNOWN_JOB]
    assert len(await events(broker, queue)) == before
    await audit(broker, queue)


async def test_a_job_that_is_too_late_expires_in_place_of_running_now(broker: Broker, queue: Queue) -> None:
    """A job whose expiry has passed does not start because a person wishes it."""
    (job_id,) = await seed(broker, queue, delay_ms=FAR_MS, expires_in_ms=2 * FAR_MS)
    await broker.client.hset(broker.keys.of(queue).job(job_id), "expires_at", 1)
    assert await broker.store.run_now(queue, [job_id]) == [ActionCode.DONE]
    assert (await job_of(broker, queue, job_id)).state is JobState.EXPIRED


async def test_a_job_that_is_run_now_passes_no_limit_and_goes_first(broker: Broker, queue: Queue) -> None:
    """In a queue with limits a job that is run now waits like all others."""
    await broker.settings.tune(queue, {"c": 1})
    first, second = await seed(broker, queue, 2)
    (late,) = await seed(broker, queue, delay_ms=FAR_MS)
    assert await ids_taken(broker, queue) == [first]
    await broker.store.run_now(queue, [late])
    await audit_gate(broker, queue, await audit(broker, queue))
    assert await ids_taken(broker, queue) == []
    await broker.store.cancel(queue, [second])


@pytest.mark.parametrize("limits", [{}, {"c": 100}, {"kc": 2}], ids=str)
async def test_a_ready_job_moves_behind_those_of_its_new_priority(broker: Broker, queue: Queue, limits: dict) -> None:
    """A job starts after those that had its new priority before it, and before those of the one that it had."""
    await broker.settings.tune(queue, limits)
    (low,) = await seed(broker, queue, priority=LOW)
    (high,) = await seed(broker, queue, priority=HIGH)
    (normal,) = await seed(broker, queue)
    assert await broker.store.set_priority(queue, [low], HIGH) == [ActionCode.DONE]
    await audit_gate(broker, queue, await audit(broker, queue))
    assert (await job_of(broker, queue, low)).priority is HIGH
    assert await ids_taken(broker, queue) == [high, low, normal]
    await audit_gate(broker, queue, await audit(broker, queue))


@pytest.mark.parametrize("limits", [{}, {"kc": 2}], ids=str)
async def test_the_way_back_and_forth_leaves_one_place(broker: Broker, queue: Queue, limits: dict) -> None:
    """A job whose priority changes and changes back stands once, behind the others."""
    await broker.settings.tune(queue, limits)
    first, second = await seed(broker, queue, 2, key="a")
    for priority in (HIGH, NORMAL, LOW, NORMAL):
        assert await broker.store.set_priority(queue, [first], priority) == [ActionCode.DONE]
        await audit_gate(broker, queue, await audit(broker, queue))
    assert await ids_taken(broker, queue) == [second, first]
    await audit_gate(broker, queue, await audit(broker, queue))


async def test_a_job_keeps_the_priority_until_its_time(broker: Broker, queue: Queue) -> None:
    """A scheduled job stands by its new priority once it is due."""
    (late,) = await seed(broker, queue, delay_ms=FAR_MS)
    (normal,) = await seed(broker, queue)
    assert await broker.store.set_priority(queue, [late], HIGH) == [ActionCode.DONE]
    await make_due(broker, queue, [late])
    await broker.store.release_due(queue)
    assert await ids_taken(broker, queue) == [late, normal]


async def test_the_new_priority_is_told(broker: Broker, queue: Queue) -> None:
    """An event has the priority, and one that a job has already changes nothing."""
    (job_id,) = await seed(broker, queue)
    assert await broker.store.set_priority(queue, [job_id], LOW) == [ActionCode.DONE]
    assert await broker.store.set_priority(queue, [job_id], LOW) == [ActionCode.DONE_BEFORE]
    told = [one for one in await events(broker, queue) if one.kind == "priority_changed"]
    assert [(job.id, job.state, job.version, job.detail) for one in told for job in one.jobs] == [
        (job_id, "queued", 2, "low")
    ]


async def test_a_job_that_has_started_keeps_its_priority(broker: Broker, queue: Queue) -> None:
    """The priority of a running job is refused, and that of one which has ended."""
    running = await seed_running(broker, queue)
    dead = await seed_dead(broker, queue)
    wrong = ActionCode.WRONG_STATE
    codes = await broker.store.set_priority(queue, [running.id, dead, JobId("none")], HIGH)
    assert codes == [wrong, wrong, ActionCode.UNKNOWN_JOB]
    assert (await job_of(broker, queue, running.id)).priority is NORMAL


async def test_what_a_worker_has_read_and_not_claimed_can_be_moved(broker: Broker, queue: Queue) -> None:
    """The entry that a worker read means nothing any more: the job is given once, by its new entry."""
    await take(broker, queue)
    (job_id,) = await seed(broker, queue)
    reader = broker.reader()
    entries = await reader.wait([queue], consumer="w1", block_ms=0)
    await reader.close()
    assert await broker.store.set_priority(queue, [job_id], HIGH) == [ActionCode.DONE]
    await audit(broker, queue)
    assert [one.id for one in await take(broker, queue, read=entries)] == [job_id]
    assert await take(broker, queue) == []
