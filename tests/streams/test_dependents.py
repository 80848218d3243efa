"""Blocked jobs start once their parents have settled, whatever is lost or repeated on the way."""

from collections.abc import Sequence

import pytest
from streams.audit import audit
from streams.seeds import (
    ERROR,
    FAR_MS,
    TTL_MS,
    commit,
    events,
    job_of,
    new_job,
    seed,
    seed_dead,
    seed_running,
    take,
    take_one,
)

from millstream_contracts import AfterFailure, Dead, JobId, JobState, Outcome, Queue, Succeeded
from millstream_streams import ActionCode, Broker, Edge, Parents, ResolveCode, Told


async def seed_blocked(
    broker: Broker, queue: Queue, parents: Sequence[JobId], after_failure: AfterFailure = "wait", **options: object
) -> JobId:
    """Store a job that waits for these, and note it at them."""
    job = new_job(queue, parents=Parents(tuple(parents), tuple(parents), after_failure), **options)
    await broker.store.enqueue(queue, [job])
    await broker.dependencies.listen(queue, [(parent, job.id) for parent in parents])
    return job.id


async def tell(broker: Broker, queue: Queue) -> list[ResolveCode]:
    """Tell the children of all jobs that have settled, as the messenger does."""
    codes: list[ResolveCode] = []
    while True:
        news, _ = await broker.dependencies.take_news(queue, lease_s=0.0)
        edges = [(one, child) for one in news for child in one.children]
        if not edges:
            return codes
        found = await broker.dependencies.resolve(queue, [Edge(child, one.id, one.state) for one, child in edges])
        told = [
            Told(one.id, one.version, child, code is ResolveCode.KEPT)
            for (one, child), code in zip(edges, found, strict=True)
        ]
        await broker.dependencies.end_news(queue, told)
        codes += found


async def state_of(broker: Broker, queue: Queue, job_id: JobId) -> JobState:
    """Return the state of a job as the API shows it."""
    return (await job_of(broker, queue, job_id)).state


async def test_enqueue_blocks_a_job_that_waits_for_others(broker: Broker, queue: Queue) -> None:
    """A job with open parents is in `blocked` and in no other place, and shows what it waits for."""
    (parent,) = await seed(broker, queue)
    child = await seed_blocked(broker, queue, [parent], "cancel")
    job = await job_of(broker, queue, child)
    assert (job.state, job.after, job.after_failure, job.version) == (JobState.BLOCKED, [parent], "cancel", 1)
    assert (await audit(broker, queue)).places_of(child) == [("blocked", "")]
    assert (await broker.store.measure(queue)).blocked == 1
    assert await broker.views.open_parents(queue, child) == [parent]


async def test_a_child_starts_when_its_last_parent_has_succeeded(broker: Broker, queue: Queue) -> None:
    """A job with two parents becomes ready by the end of the second, and runs once."""
    first, second = await seed_running(broker, queue), await seed_running(broker, queue)
    child = await seed_blocked(broker, queue, [first.id, second.id])
    await commit(broker, first)
    assert await tell(broker, queue) == [ResolveCode.NOTED]
    assert await state_of(broker, queue, child) is JobState.BLOCKED
    await commit(broker, second)
    assert await tell(broker, queue) == [ResolveCode.READY]
    assert [one.id for one in await take(broker, queue)] == [child]
    assert [str(event.kind) for event in await events(broker, queue)].count("unblocked") == 1


async def test_a_parent_is_kept_until_its_children_know_of_its_end(broker: Broker, queue: Queue) -> None:
    """A job that others wait for has no TTL until they were told, and then that which its commit gave it."""
    parent = await seed_running(broker, queue)
    await seed_blocked(broker, queue, [parent.id])
    await commit(broker, parent)
    key = broker.keys.of(queue).job(parent.id)
    assert await broker.client.pttl(key) == -1
    assert (await broker.store.measure(queue)).outbox == 1
    await tell(broker, queue)
    assert 0 < await broker.client.pttl(key) <= TTL_MS
    assert (await broker.store.measure(queue)).outbox == 0


async def test_a_parent_without_children_costs_no_message(broker: Broker, queue: Queue) -> None:
    """A job that no other waits for is not put into the outbox."""
    await commit(broker, await seed_running(broker, queue))
    assert await broker.client.exists(broker.keys.of(queue).outbox) == 0


@pytest.mark.parametrize("outcome", [Succeeded(), Dead("attempts", ERROR)], ids=["succeeded", "dead"])
async def test_an_edge_counts_once_however_often_it_is_told(broker: Broker, queue: Queue, outcome: Outcome) -> None:
    """A message that arrives twice counts once, so a job with two parents does not start by one of them."""
    first, second = await seed_running(broker, queue), await seed_running(broker, queue)
    child = await seed_blocked(broker, queue, [first.id, second.id], "run")
    await commit(broker, first, outcome)
    edges = [Edge(child, first.id, "succeeded")] * 2
    assert await broker.dependencies.resolve(queue, edges) == [ResolveCode.NOTED, ResolveCode.NOTED]
    assert await broker.dependencies.resolve(queue, edges) == [ResolveCode.NOTED, ResolveCode.NOTED]
    assert await state_of(broker, queue, child) is JobState.BLOCKED


async def test_a_job_that_runs_is_not_started_again_by_a_late_message(broker: Broker, queue: Queue) -> None:
    """A message that arrives when its job has started changes nothing."""
    parent = await seed_running(broker, queue)
    child = await seed_blocked(broker, queue, [parent.id])
    await commit(broker, parent)
    await tell(broker, queue)
    await take_one(broker, queue)
    assert await broker.dependencies.resolve(queue, [Edge(child, parent.id, "succeeded")]) == [ResolveCode.NOTED]
    assert await state_of(broker, queue, child) is JobState.RUNNING


AFTER_DEATH = {"wait": JobState.BLOCKED, "cancel": JobState.CANCELLED, "run": JobState.QUEUED}
AFTER_CANCELLATION = {"wait": JobState.CANCELLED, "cancel": JobState.CANCELLED, "run": JobState.QUEUED}


@pytest.mark.parametrize("policy", ["wait", "cancel", "run"])
async def test_the_policy_says_what_the_death_of_a_parent_means(
    broker: Broker, queue: Queue, policy: AfterFailure
) -> None:
    """By a dead parent a child goes on waiting, is cancelled, or runs, as its `after_failure` says."""
    parent = await seed_running(broker, queue)
    child = await seed_blocked(broker, queue, [parent.id], policy)
    await commit(broker, parent, Dead("attempts", ERROR))
    await tell(broker, queue)
    job = await job_of(broker, queue, child)
    assert job.state is AFTER_DEATH[policy]
    cancelled = ("parent_dead", parent.id) if policy == "cancel" else (None, None)
    assert (job.reason, job.because_of) == cancelled
    assert (await broker.store.measure(queue)).outbox == 0


@pytest.mark.parametrize("policy", ["wait", "cancel", "run"])
async def test_the_policy_says_what_the_cancellation_of_a_parent_means(
    broker: Broker, queue: Queue, policy: AfterFailure
) -> None:
    """A cancelled parent cancels its child, unless that runs whatever becomes of its parents."""
    (parent,) = await seed(broker, queue)
    child = await seed_blocked(broker, queue, [parent], policy)
    assert await broker.store.cancel(queue, [parent]) == [ActionCode.DONE]
    await tell(broker, queue)
    assert await state_of(broker, queue, child) is AFTER_CANCELLATION[policy]


async def test_a_redriven_parent_lets_its_child_go_on(broker: Broker, queue: Queue) -> None:
    """A child that waits for a dead parent starts when that is redriven and succeeds."""
    parent = await seed_running(broker, queue)
    child = await seed_blocked(broker, queue, [parent.id])
    await commit(broker, parent, Dead("attempts", ERROR))
    assert await tell(broker, queue) == [ResolveCode.KEPT]
    await broker.store.redrive(queue, [parent.id])
    await commit(broker, await take_one(broker, queue))
    assert await tell(broker, queue) == [ResolveCode.READY]
    assert await state_of(broker, queue, child) is JobState.QUEUED


async def test_what_happens_between_take_and_end_is_told_too(broker: Broker, queue: Queue) -> None:
    """A parent that has moved on since its news were taken stays in the outbox until the newer state is told."""
    parent = await seed_running(broker, queue)
    child = await seed_blocked(broker, queue, [parent.id])
    await commit(broker, parent, Dead("attempts", ERROR))
    ((news,), _) = await broker.dependencies.take_news(queue)
    await broker.store.redrive(queue, [parent.id])
    await commit(broker, await take_one(broker, queue))
    assert await broker.dependencies.end_news(queue, [Told(parent.id, news.version, child, is_kept=True)]) == 0
    assert await tell(broker, queue) == [ResolveCode.READY]


async def test_a_discarded_parent_cancels_its_child(broker: Broker, queue: Queue) -> None:
    """A dead parent that is let go cancels the child that waited for the decision."""
    parent = await seed_dead(broker, queue)
    child = await seed_blocked(broker, queue, [parent])
    await broker.store.discard(queue, [parent])
    await tell(broker, queue)
    assert (await job_of(broker, queue, child)).reason == "parent_cancelled"


async def test_an_erased_parent_makes_its_child_a_dead_letter(broker: Broker, queue: Queue) -> None:
    """A parent that is gone leaves its child to an operator, and a redrive runs it."""
    (parent,) = await seed(broker, queue)
    child = await seed_blocked(broker, queue, [parent])
    await broker.store.erase(queue, [parent])
    await tell(broker, queue)
    job = await job_of(broker, queue, child)
    assert (job.state, job.reason, job.because_of) == (JobState.DEAD, "parent_unknown", parent)
    assert await broker.store.redrive(queue, [child]) == [ActionCode.DONE]
    assert (await take_one(broker, queue)).id == child


async def test_a_chain_is_cancelled_from_its_first_job(broker: Broker, queue: Queue) -> None:
    """The cancellation of a blocked job is told to those that wait for it."""
    (first,) = await seed(broker, queue)
    second = await seed_blocked(broker, queue, [first])
    third = await seed_blocked(broker, queue, [second])
    await broker.store.cancel(queue, [first])
    await tell(broker, queue)
    assert [(await job_of(broker, queue, one)).because_of for one in (second, third)] == [first, second]


async def test_listen_answers_with_the_state_of_a_parent_that_has_ended(broker: Broker, queue: Queue) -> None:
    """A child that is noted too late learns the end of its parent by the answer, and is noted nowhere."""
    parent = await seed_running(broker, queue)
    await commit(broker, parent)
    child = new_job(queue)
    assert await broker.dependencies.listen(queue, [(parent.id, child.id), (child.id, parent.id)]) == [
        "succeeded",
        "unknown",
    ]
    assert await broker.client.exists(broker.keys.of(queue).children_prefix + parent.id) == 0


async def test_a_delay_counts_from_when_the_job_may_start(broker: Broker, queue: Queue) -> None:
    """A blocked job with a delay is scheduled by its last parent, and not before."""
    parent = await seed_running(broker, queue)
    child = await seed_blocked(broker, queue, [parent.id], delay_ms=FAR_MS)
    assert (await audit(broker, queue)).due == {}
    await commit(broker, parent)
    await tell(broker, queue)
    assert await state_of(broker, queue, child) is JobState.SCHEDULED
    assert list((await audit(broker, queue)).due) == [child]


async def test_a_blocked_job_can_be_cancelled_expired_and_erased(broker: Broker, queue: Queue) -> None:
    """A blocked job is ended as any other that waits."""
    (parent,) = await seed(broker, queue)
    cancelled = await seed_blocked(broker, queue, [parent])
    erased = await seed_blocked(broker, queue, [parent])
    expired = await seed_blocked(broker, queue, [parent], expires_in_ms=0)
    assert await broker.store.cancel(queue, [cancelled]) == [ActionCode.DONE]
    assert await broker.store.erase(queue, [erased]) == [ActionCode.DONE]
    assert (await broker.store.expire(queue)).expired == 1
    assert await state_of(broker, queue, expired) is JobState.EXPIRED
    assert (await broker.store.measure(queue)).blocked == 0
    await broker.store.cancel(queue, [parent])
    assert sorted(await tell(broker, queue)) == [ResolveCode.UNKNOWN_JOB, ResolveCode.NOTED, ResolveCode.NOTED]


async def test_rounds_tell_all_children(broker: Broker, queue: Queue) -> None:
    """A parent with more children than a round takes stays in the outbox until all of them know."""
    parent = await seed_running(broker, queue)
    for _ in range(3):
        jobs = [new_job(queue, parents=Parents((parent.id,), (parent.id,))) for _ in range(100)]
        await broker.store.enqueue(queue, jobs)
        await broker.dependencies.listen(queue, [(parent.id, job.id) for job in jobs])
    await commit(broker, parent)
    assert await tell(broker, queue) == [ResolveCode.READY] * 300
    assert (await broker.store.measure(queue)).outbox == 0


async def test_take_blocked_leases_what_is_not_linked(broker: Broker, queue: Queue) -> None:
    """A blocked job whose submitter is gone is found with its open parents, and is left alone once it is linked."""
    (parent,) = await seed(broker, queue)
    child = await seed_blocked(broker, queue, [parent])
    await broker.client.zadd(broker.keys.of(queue).blocked, {child: 1})
    (blocked,), _ = await broker.dependencies.take_blocked(queue)
    assert (blocked.id, blocked.parents) == (child, [parent])
    assert await broker.dependencies.linked(queue, [child]) == 1
    found, next_in_ms = await broker.dependencies.take_blocked(queue)
    assert found == []
    assert next_in_ms is not None
    assert next_in_ms > 50_000


@pytest.mark.parametrize("key", ["outbox", "kids", "after"])
async def test_garbage_in_a_key_stops_no_other_job(broker: Broker, torn_queue: Queue, key: str) -> None:
    """A key that another program has written to stops one job at most: the others go on."""
    keys, queue = broker.keys.of(torn_queue), torn_queue
    first, second = await seed_running(broker, queue), await seed_running(broker, queue)
    broken, whole = await seed_blocked(broker, queue, [first.id]), await seed_blocked(broker, queue, [second.id])
    torn = {"outbox": keys.outbox, "kids": keys.children_prefix + first.id, "after": keys.open_prefix + broken}[key]
    await broker.client.set(torn, "garbage")
    await commit(broker, first)
    await commit(broker, second)
    if key == "outbox":
        await broker.client.delete(torn)
        assert await broker.dependencies.resolve(queue, [Edge(whole, second.id, "succeeded")]) == [ResolveCode.READY]
    await tell(broker, queue)
    await broker.client.delete(torn)
    assert await state_of(broker, queue, whole) is JobState.QUEUED
    assert await state_of(broker, queue, broken) is JobState.BLOCKED
