"""A job that waits for jobs that its handler has called goes on once all have settled, whatever has become of them."""

import pytest
from streams.audit import audit
from streams.seeds import (
    ERROR,
    FAR_MS,
    commit,
    events,
    fields_of,
    job_of,
    new_job,
    seed_running,
    take_one,
)
from streams.test_dependents import tell

from millstream_contracts import Calling, Cancelled, Dead, JobId, JobState, Outcome, Queue, StepCode, Succeeded
from millstream_streams import ActionCode, Blocked, Broker, Delivery, Edge, ResolveCode
from millstream_submission import Dependencies

RESULT_TTL_MS = 10_000


async def seed_called(broker: Broker, queue: Queue, count: int = 1) -> list[JobId]:
    """Store jobs that a handler has called."""
    jobs = [new_job(queue, called=True) for _ in range(count)]
    await broker.store.enqueue(queue, jobs)
    return [job.id for job in jobs]


async def call(broker: Broker, caller: Delivery, called: list[JobId]) -> None:
    """Let a job wait for others, and tell these of it, as a worker does."""
    await commit(broker, caller, Calling(tuple(called)))
    await Dependencies(broker.dependencies, broker.views).link(caller.queue, [Blocked(caller.id, called)])


@pytest.mark.parametrize(
    "outcome", [Succeeded(), Dead("attempts", ERROR), Cancelled("no more")], ids=["success", "death", "discard"]
)
async def test_a_caller_goes_on_when_the_last_job_has_settled(broker: Broker, queue: Queue, outcome: Outcome) -> None:
    """A caller is blocked until all that it has called have settled, dead ones too, and is queued then."""
    caller = await seed_running(broker, queue)
    called = await seed_called(broker, queue, 2)
    await call(broker, caller, called)
    assert (await job_of(broker, queue, caller.id)).state is JobState.BLOCKED
    assert await broker.views.open_parents(queue, caller.id) == sorted(called)
    await audit(broker, queue)
    await commit(broker, await take_one(broker, queue), outcome)
    assert await tell(broker, queue) == [ResolveCode.NOTED]
    await commit(broker, await take_one(broker, queue), outcome)
    assert await tell(broker, queue) == [ResolveCode.READY]
    await audit(broker, queue)
    again = await take_one(broker, queue)
    assert (again.id, again.attempts, again.deliveries) == (caller.id, 0, 2)
    assert "calls" not in await fields_of(broker, queue, caller.id)


async def test_a_caller_goes_on_at_once_when_all_have_settled_before(broker: Broker, queue: Queue) -> None:
    """What has ended before its caller waits is told of when the caller is registered."""
    caller = await seed_running(broker, queue)
    called = await seed_called(broker, queue)
    await commit(broker, await take_one(broker, queue, "w2"))
    await tell(broker, queue)
    await call(broker, caller, called)
    assert (await job_of(broker, queue, caller.id)).state is JobState.QUEUED


async def test_the_linker_makes_up_for_a_worker_that_is_lost(broker: Broker, queue: Queue) -> None:
    """A caller of which the called jobs were not told stands where the linker looks."""
    caller = await seed_running(broker, queue)
    called = await seed_called(broker, queue)
    await commit(broker, caller, Calling(tuple(called)))
    blocked = broker.keys.of(queue).blocked
    assert await broker.client.zscore(blocked, caller.id) is not None
    await broker.client.zadd(blocked, {caller.id: 1})
    found, _ = await broker.dependencies.take_blocked(queue)
    assert found == [Blocked(caller.id, called)]


async def test_a_delay_of_the_submission_does_not_begin_again(broker: Broker, queue: Queue) -> None:
    """A caller that was once submitted with a delay goes on at once."""
    caller = await seed_running(broker, queue)
    await broker.client.hset(broker.keys.of(queue).job(caller.id), mapping={"delay": FAR_MS, "run_at": 1})
    called = await seed_called(broker, queue)
    await call(broker, caller, called)
    assert await broker.dependencies.resolve(queue, [Edge(caller.id, called[0], "succeeded")]) == [ResolveCode.READY]
    assert (await job_of(broker, queue, caller.id)).state is JobState.QUEUED


async def test_a_caller_can_be_cancelled(broker: Broker, queue: Queue) -> None:
    """A caller that waits ends at once when it is cancelled, and what it has called goes on."""
    caller = await seed_running(broker, queue)
    called = await seed_called(broker, queue)
    await call(broker, caller, called)
    assert await broker.store.cancel(queue, [caller.id]) == [ActionCode.DONE]
    assert (await job_of(broker, queue, called[0])).state is JobState.QUEUED
    await audit(broker, queue)


async def test_a_called_job_is_kept_until_its_caller_has_its_result(broker: Broker, queue: Queue) -> None:
    """A called job outlives the time of its type, and is let go once its caller has stored the result."""
    caller = await seed_running(broker, queue)
    called = await seed_called(broker, queue)
    await call(broker, caller, called)
    await commit(broker, await take_one(broker, queue), ttl_ms=RESULT_TTL_MS)
    await tell(broker, queue)
    key = broker.keys.of(queue).job(called[0])
    assert await broker.client.pttl(key) > FAR_MS
    assert await broker.steps.let_go(queue, called) == 1
    assert 0 < await broker.client.pttl(key) <= RESULT_TTL_MS
    assert await broker.steps.let_go(queue, called) == 0


async def test_the_results_of_a_call_take_the_place_of_its_ids(broker: Broker, queue: Queue) -> None:
    """The ids of a call are stored once, and its results once in their place."""
    caller = await seed_running(broker, queue)
    save = broker.steps.save_step
    assert (await save(caller, "call", "", "calling", b"\x91\xa1a")).code is StepCode.SAVED
    assert (await save(caller, "call", "", "calling", b"\x91\xa1b")).code is StepCode.FOUND
    assert (await save(caller, "call", "", "call", b"\x91\x01")).code is StepCode.SAVED
    again = await save(caller, "call", "", "call", b"\x91\x02")
    assert again.code is StepCode.FOUND
    assert again.step is not None
    assert again.step.content == b"\x91\x01"


async def test_a_call_is_told_in_events(broker: Broker, queue: Queue) -> None:
    """The events of a caller say that it is blocked, and that it is so no more."""
    caller = await seed_running(broker, queue)
    called = await seed_called(broker, queue)
    await call(broker, caller, called)
    await commit(broker, await take_one(broker, queue))
    await tell(broker, queue)
    told = [(event, one) for event in await events(broker, queue) for one in event.jobs if one.id == caller.id]
    assert [(str(event.kind), one.state) for event, one in told][2:] == [
        ("snoozed", "blocked"),
        ("unblocked", "queued"),
    ]
