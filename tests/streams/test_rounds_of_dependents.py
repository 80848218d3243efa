"""What dispatchers take of blocked jobs and of their parents: under leases, with the time of the next look."""

import time

import pytest
from streams.audit import audit, recount
from streams.seeds import ERROR, FAR_MS, commit, fields_of, job_of, new_job, seed, seed_running, take_one

from millstream_contracts import AfterFailure, Dead, JobId, JobState, Queue
from millstream_streams import Broker, Edge, News, Parents, ResolveCode, Told
from millstream_streams.store.dependency_store import LINK_AGAIN_AT_MOST_S, LINK_AGAIN_S

LEASE_MS = 30_000


async def seed_blocked(
    broker: Broker, queue: Queue, *parents: JobId, policy: AfterFailure = "wait", **options: object
) -> JobId:
    """Store a job that waits for these, and note it at them."""
    job = new_job(queue, parents=Parents(parents, parents, policy), **options)
    await broker.store.enqueue(queue, [job])
    await broker.dependencies.listen(queue, [(parent, job.id) for parent in parents])
    return job.id


async def seed_news(broker: Broker, queue: Queue) -> tuple[JobId, JobId]:
    """Store a job and one that waits for it, and have the first succeed. Returns: their ids."""
    parent = await seed_running(broker, queue)
    child = await seed_blocked(broker, queue, parent.id)
    await commit(broker, parent)
    return parent.id, child


def told(news: News, child: JobId, *, is_kept: bool = False) -> list[Told]:
    """Return the note that a child was told."""
    return [Told(news.id, news.version, child, is_kept=is_kept)]


# News


async def test_news_are_leased_to_one(broker: Broker, queue: Queue) -> None:
    """News that one dispatcher has taken go to no other within the lease, and are looked for when that ends."""
    parent, child = await seed_news(broker, queue)
    (news,), _ = await broker.dependencies.take_news(queue)
    assert (news.id, news.state, news.children) == (parent, "succeeded", [child])
    again, next_in_ms = await broker.dependencies.take_news(queue)
    assert again == []
    assert next_in_ms is not None
    assert 0 < next_in_ms <= LEASE_MS


async def test_a_parent_whose_children_know_tells_no_more(broker: Broker, queue: Queue) -> None:
    """The note that the last child was told ends the news of a job at once, and its TTL begins."""
    parent, child = await seed_news(broker, queue)
    (news,), _ = await broker.dependencies.take_news(queue)
    assert await broker.dependencies.end_news(queue, told(news, child)) == 1
    assert await broker.dependencies.take_news(queue) == ([], None)
    assert await broker.client.pttl(broker.keys.of(queue).job(parent)) > 0


async def test_a_parent_goes_on_to_tell_while_a_child_does_not_know(broker: Broker, queue: Queue) -> None:
    """When one of two children was told, the other one is news at once, and the one that was told is none."""
    parent = await seed_running(broker, queue)
    first, second = [await seed_blocked(broker, queue, parent.id) for _ in range(2)]
    await commit(broker, parent)
    (news,), _ = await broker.dependencies.take_news(queue)
    assert sorted(news.children) == sorted([first, second])
    assert await broker.dependencies.end_news(queue, told(news, first)) == 0
    (left,), _ = await broker.dependencies.take_news(queue)
    assert left.children == [second]


async def test_a_child_that_goes_on_waiting_is_told_each_version_once(broker: Broker, queue: Queue) -> None:
    """A child that knows of the death of its parent is not told of it again, and is told of what comes next."""
    parent = await seed_running(broker, queue)
    child = await seed_blocked(broker, queue, parent.id)
    await commit(broker, parent, Dead("attempts", ERROR))
    (news,), _ = await broker.dependencies.take_news(queue)
    assert await broker.dependencies.end_news(queue, told(news, child, is_kept=True)) == 1
    await broker.client.zadd(broker.keys.of(queue).outbox, {parent.id: 1})
    assert (await broker.dependencies.take_news(queue))[0] == []
    await broker.store.redrive(queue, [parent.id])
    await commit(broker, await take_one(broker, queue))
    (news,), _ = await broker.dependencies.take_news(queue)
    assert (news.state, news.children) == ("succeeded", [child])


async def test_a_child_that_is_noted_again_is_not_told_again(broker: Broker, queue: Queue) -> None:
    """The linker may note a child any number of times: what it knows of its parent stays, and nothing grows by it."""
    parent = await seed_running(broker, queue)
    child = await seed_blocked(broker, queue, parent.id)
    await commit(broker, parent, Dead("attempts", ERROR))
    (news,), _ = await broker.dependencies.take_news(queue)
    await broker.dependencies.end_news(queue, told(news, child, is_kept=True))
    before = await fields_of(broker, queue, parent.id)
    for _ in range(2):
        assert await broker.dependencies.listen(queue, [(parent.id, child)]) == ["dead"]
    assert await fields_of(broker, queue, parent.id) == before
    await broker.client.zadd(broker.keys.of(queue).outbox, {parent.id: 1})
    assert (await broker.dependencies.take_news(queue))[0] == []


async def test_a_child_that_is_gone_is_not_noted_again(broker: Broker, queue: Queue) -> None:
    """A late note about a child that its parent does not have any more makes no new one of it."""
    parent, child = await seed_news(broker, queue)
    (news,), _ = await broker.dependencies.take_news(queue)
    kids = broker.keys.of(queue).children_prefix + parent
    await broker.client.zrem(kids, child)
    await broker.dependencies.end_news(queue, told(news, child, is_kept=True))
    assert await broker.client.exists(kids) == 0


async def test_what_a_round_of_news_leaves_is_taken_at_once(broker: Broker, queue: Queue) -> None:
    """A round that has reached its limit says that there is more now, and else when there will be."""
    for _ in range(2):
        await seed_news(broker, queue)
    found, next_in_ms = await broker.dependencies.take_news(queue, limit=1)
    assert (len(found), next_in_ms) == (1, 0)
    found, next_in_ms = await broker.dependencies.take_news(queue, limit=1)
    assert len(found) == 1
    assert next_in_ms is not None
    assert 0 < next_in_ms <= LEASE_MS


# Blocked jobs


async def due_blocked(broker: Broker, queue: Queue, count: int = 1) -> list[JobId]:
    """Store blocked jobs at which the linker has to look."""
    (parent,) = await seed(broker, queue)
    ids = [await seed_blocked(broker, queue, parent) for _ in range(count)]
    await broker.client.zadd(broker.keys.of(queue).blocked, dict.fromkeys(ids, 1))
    return ids


async def test_blocked_jobs_are_leased_to_one(broker: Broker, queue: Queue) -> None:
    """A blocked job that one dispatcher looks at goes to no other within the lease, and comes back after it."""
    assert await broker.dependencies.take_blocked(queue) == ([], None)
    await due_blocked(broker, queue)
    (found,), next_in_ms = await broker.dependencies.take_blocked(queue)
    assert len(found.parents) == 1
    again, next_in_ms = await broker.dependencies.take_blocked(queue)
    assert again == []
    assert next_in_ms is not None
    assert 0 < next_in_ms <= LEASE_MS


async def test_what_a_round_of_blocked_jobs_leaves_is_taken_at_once(broker: Broker, queue: Queue) -> None:
    """A round that has reached its limit says that there is more now."""
    await due_blocked(broker, queue, 2)
    assert (await broker.dependencies.take_blocked(queue, limit=1))[1] == 0


@pytest.mark.parametrize(("state", "stays"), [("queued", False), ("", False), ("of a newer release", True)])
async def test_what_does_not_wait_is_let_go(broker: Broker, torn_queue: Queue, state: str, stays: bool) -> None:
    """The linker forgets what is not blocked or gone, and leaves a job in a state of a newer release alone."""
    queue, keys = torn_queue, broker.keys.of(torn_queue)
    (job_id,) = await seed(broker, queue)
    if state:
        await broker.client.hset(keys.job(job_id), "state", state)
    else:
        await broker.client.delete(keys.job(job_id))
    await broker.client.zadd(keys.blocked, {job_id: 1})
    assert (await broker.dependencies.take_blocked(queue))[0] == []
    assert (await broker.client.zscore(keys.blocked, job_id) is not None) is stays


async def test_a_key_that_is_no_job_is_let_go(broker: Broker, torn_queue: Queue) -> None:
    """The linker forgets a name whose key another program has written to."""
    keys = broker.keys.of(torn_queue)
    (job_id,) = await seed(broker, torn_queue)
    await broker.client.set(keys.job(job_id), "garbage")
    await broker.client.zadd(keys.blocked, {job_id: 1})
    assert await broker.dependencies.take_blocked(torn_queue) == ([], None)
    await broker.client.delete(keys.job(job_id))


@pytest.mark.parametrize(
    ("age_s", "expected_s"),
    [(0, LINK_AGAIN_S), (1000, 500), (10 * LINK_AGAIN_AT_MOST_S, LINK_AGAIN_AT_MOST_S)],
    ids=["young", "some time", "old"],
)
async def test_the_longer_a_job_is_blocked_the_seldomer_it_is_looked_at(
    broker: Broker, queue: Queue, age_s: float, expected_s: float
) -> None:
    """A linked job is looked at again after half its age, within bounds."""
    (child,) = await due_blocked(broker, queue)
    keys = broker.keys.of(queue)
    begun_ms = time.time() * 1000
    await broker.client.hset(keys.job(child), "blocked_at", round(begun_ms - age_s * 1000))
    assert await broker.dependencies.linked(queue, [child]) == 1
    waits_s = (float(await broker.client.zscore(keys.blocked, child)) - begun_ms) / 1000
    assert expected_s - 1 <= waits_s <= expected_s + (time.time() * 1000 - begun_ms) * 1.5 / 1000 + 1


# What becomes of a job


async def test_a_time_that_has_passed_while_a_job_was_blocked_is_none(broker: Broker, queue: Queue) -> None:
    """A job that starts after its `run_at` is ready at once and shows no time; one whose time is to come waits."""
    parent = await seed_running(broker, queue)
    child = await seed_blocked(broker, queue, parent.id, run_at_ms=1)
    later = await seed_blocked(broker, queue, parent.id, run_at_ms=round(time.time() * 1000) + FAR_MS)
    edges = [Edge(one, parent.id, "succeeded") for one in (child, later)]
    assert await broker.dependencies.resolve(queue, edges) == [ResolveCode.READY] * 2
    job = await job_of(broker, queue, child)
    assert (job.state, job.run_at) == (JobState.QUEUED, None)
    assert (await take_one(broker, queue)).id == child
    assert (await job_of(broker, queue, later)).state is JobState.SCHEDULED


@pytest.mark.parametrize(
    ("outcome", "policy", "state"),
    [
        ("cancelled", "wait", JobState.CANCELLED),
        ("expired", "cancel", JobState.CANCELLED),
        ("unknown", "wait", JobState.DEAD),
        ("unknown", "cancel", JobState.DEAD),
        ("unknown", "run", JobState.QUEUED),
        ("expired", "run", JobState.QUEUED),
    ],
)
async def test_a_job_that_ends_or_starts_by_its_parent_is_told_of_once(
    broker: Broker, queue: Queue, outcome: str, policy: AfterFailure, state: JobState
) -> None:
    """Each end of a parent moves its child as the policy says, in one event, and one that ended expires no more."""
    (parent,) = await seed(broker, queue)
    child = await seed_blocked(broker, queue, parent, policy=policy, expires_in_ms=FAR_MS)
    await broker.dependencies.resolve(queue, [Edge(child, parent, outcome)])
    assert (await job_of(broker, queue, child)).state is state
    snapshot = await audit(broker, queue)
    await recount(broker, snapshot, queue)
    assert (child in snapshot.expiring) is (state is JobState.QUEUED)


@pytest.mark.parametrize("policy", ["wait", "cancel", "run"])
async def test_a_parent_that_has_not_ended_moves_nothing(broker: Broker, queue: Queue, policy: AfterFailure) -> None:
    """A child that is told of a parent that runs goes on waiting under every policy."""
    (parent,) = await seed(broker, queue)
    child = await seed_blocked(broker, queue, parent, policy=policy)
    assert await broker.dependencies.resolve(queue, [Edge(child, parent, "running")]) == [ResolveCode.KEPT]
    assert (await job_of(broker, queue, child)).state is JobState.BLOCKED
    assert await broker.views.open_parents(queue, child) == [parent]
