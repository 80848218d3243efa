"""At `maxmemory` Redis refuses new jobs and lets running ones end, so that it drains by itself."""

from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec.structs import replace
from streams.audit import audit
from streams.gate_audit import audit_gate
from streams.seeds import (
    ERROR,
    FAR_MS,
    commit,
    everything,
    job_of,
    lease,
    make_due,
    new_job,
    seed,
    seed_dead,
    seed_running,
    take,
    take_one,
)
from streams.test_breaker import state_of
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import (
    DEFAULT_TENANT,
    Breaker,
    BreakerState,
    Dead,
    JobState,
    JobType,
    Priority,
    Progress,
    Queue,
    QueueLimits,
    RetryAt,
    Snoozed,
    Succeeded,
    Waiting,
)
from millstream_streams import (
    ActionCode,
    Broker,
    CommitCode,
    Edge,
    LeaseCode,
    Parents,
    ResolveCode,
    ScheduleChange,
    StoreFullError,
    Told,
    UniqueKey,
    next_turn,
    open_broker,
)

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))


@pytest.fixture
async def roomy(own_redis: EmbeddedRedis) -> AsyncIterator[Broker]:
    """Yield a broker on a server that this test may fill."""
    async with open_broker(own_redis.url, patience_s=0.0) as opened:
        yield opened
        await opened.client.config_set("maxmemory", 0)
        await audit(opened, QUEUE)


async def fill(broker: Broker) -> None:
    """Leave Redis no free memory."""
    await broker.client.config_set("maxmemory", 1)
    with pytest.raises(StoreFullError):
        await broker.store.enqueue(QUEUE, [new_job(QUEUE)])


async def test_enqueue_is_refused_whole(roomy: Broker) -> None:
    """A full Redis refuses a call of many jobs whole, and stores none of them."""
    await seed(roomy, QUEUE)
    before = await everything(roomy, QUEUE)
    await fill(roomy)
    with pytest.raises(StoreFullError):
        await roomy.store.enqueue(QUEUE, [new_job(QUEUE, delay_ms=delay) for delay in (0, 60_000, 0)])
    assert await everything(roomy, QUEUE) == before


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Succeeded(msgspec.Raw(b"\x01")), JobState.SUCCEEDED),
        (RetryAt(60_000, ERROR), JobState.SCHEDULED),
        (RetryAt(0, ERROR), JobState.QUEUED),
        (Snoozed(60_000), JobState.SCHEDULED),
        (Dead("attempts", ERROR), JobState.DEAD),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
async def test_commit_passes(roomy: Broker, outcome: object, state: JobState) -> None:
    """A full Redis stores outcomes, because the first write of the script needs no memory."""
    await seed(roomy, QUEUE)
    (delivery,) = await take(roomy, QUEUE)
    await fill(roomy)
    assert await commit(roomy, delivery, outcome) is CommitCode.COMMITTED
    assert (await job_of(roomy, QUEUE, delivery.id)).state is state


async def test_claim_passes(roomy: Broker) -> None:
    """A full Redis lets waiting jobs be claimed."""
    ids = await seed(roomy, QUEUE, 3)
    await take(roomy, QUEUE, limit=1)
    await fill(roomy)
    assert [delivery.id for delivery in await take(roomy, QUEUE)] == ids[1:]


async def test_claim_passes_when_nobody_has_claimed_before(roomy: Broker) -> None:
    """A full Redis lets the first claim of a queue make its groups."""
    ids = await seed(roomy, QUEUE)
    await fill(roomy)
    assert [delivery.id for delivery in await take(roomy, QUEUE)] == ids


async def test_claim_passes_with_what_a_blocking_read_took(roomy: Broker) -> None:
    """A full Redis lets a worker claim the entries of a blocking read, and those of a lost response."""
    await take(roomy, QUEUE)
    first, second = await seed(roomy, QUEUE, 2)
    reader = roomy.reader()
    entries = await reader.wait([QUEUE], consumer="w1", block_ms=0)
    await reader.wait([QUEUE], consumer="w1", block_ms=0)
    await reader.close()
    await fill(roomy)
    assert [one.id for one in await take(roomy, QUEUE, limit=0, read=entries)] == [first]
    assert [one.id for one in await take(roomy, QUEUE, limit=1, resume=True)] == [second]


@pytest.mark.parametrize("progress", [b"", msgspec.msgpack.encode(Progress(1.0))], ids=["without", "with"])
async def test_renew_passes(roomy: Broker, progress: bytes) -> None:
    """A full Redis renews leases, with progress and without."""
    await seed(roomy, QUEUE)
    (delivery,) = await take(roomy, QUEUE)
    await fill(roomy)
    assert await roomy.store.renew(QUEUE, consumer="w1", leases=[lease(delivery, progress)]) == [LeaseCode.RENEWED]


async def test_hand_back_and_recover_pass(roomy: Broker) -> None:
    """A full Redis lets jobs be handed back and recovered."""
    await seed(roomy, QUEUE, 2)
    returned, lost = await take(roomy, QUEUE)
    await fill(roomy)
    codes = await roomy.store.hand_back(QUEUE, worker="w1", deliveries=[returned])
    recovery = await roomy.store.recover(QUEUE, lease_ms=0, max_crashes=3)
    assert codes == [CommitCode.COMMITTED]
    assert [one.id for one in recovery.requeued] == [lost.id]


async def test_release_due_passes(roomy: Broker) -> None:
    """A full Redis releases delayed jobs, which may be what fills it."""
    ids = await seed(roomy, QUEUE, 2, delay_ms=60_000)
    await make_due(roomy, QUEUE, ids)
    await take(roomy, QUEUE)
    await fill(roomy)
    assert (await roomy.store.release_due(QUEUE)).released == 2
    assert len(await take(roomy, QUEUE)) == 2


async def test_cancel_and_discard_pass(roomy: Broker) -> None:
    """A full Redis lets jobs be cancelled and discarded."""
    dead = await seed_dead(roomy, QUEUE)
    (running,) = await seed(roomy, QUEUE)
    await take(roomy, QUEUE)
    (waiting,) = await seed(roomy, QUEUE)
    await fill(roomy)
    codes = await roomy.store.cancel(QUEUE, [running, waiting])
    assert codes == [ActionCode.REQUESTED, ActionCode.DONE]
    assert await roomy.store.discard(QUEUE, [dead]) == [ActionCode.DONE]


async def test_running_now_and_priorities_pass(roomy: Broker) -> None:
    """A full Redis lets jobs be run before their time, and lets what is urgent go first."""
    (late,) = await seed(roomy, QUEUE, delay_ms=60_000)
    (waiting,) = await seed(roomy, QUEUE)
    await fill(roomy)
    assert await roomy.store.run_now(QUEUE, [late]) == [ActionCode.DONE]
    assert await roomy.store.set_priority(QUEUE, [late, waiting], Priority.HIGH) == [ActionCode.DONE] * 2
    assert [one.id for one in await take(roomy, QUEUE)] == [late, waiting]


async def test_redrive_passes_or_is_refused_whole(roomy: Broker) -> None:
    """A full Redis redrives a job whole or not at all."""
    dead = await seed_dead(roomy, QUEUE)
    await fill(roomy)
    before = await everything(roomy, QUEUE)
    try:
        assert await roomy.store.redrive(QUEUE, [dead]) == [ActionCode.DONE]
    except StoreFullError:
        assert await everything(roomy, QUEUE) == before


async def test_reading_passes(roomy: Broker) -> None:
    """A full Redis can be read."""
    (job_id,) = await seed(roomy, QUEUE)
    await fill(roomy)
    assert (await job_of(roomy, QUEUE, job_id)).state is JobState.QUEUED
    assert (await roomy.store.measure(QUEUE)).queued == (0, 1, 0)
    assert len((await roomy.listing.jobs([QUEUE], JobState.QUEUED, cursor=None, limit=5)).items) == 1


async def test_a_full_redis_starts_no_job_of_a_schedule_and_leases_and_confirms(roomy: Broker) -> None:
    """A full Redis refuses a change of a schedule whole; what is due and what is decided on is leased and confirmed."""
    fields = {"job": b"\x80", "state": "active"}
    new = ScheduleChange(name="nightly", turn="", tick_ms=0, line="active api a", fields=fields)
    assert await roomy.schedules.change(DEFAULT_TENANT, [new]) == [True]
    shard = roomy.schedules.shard_of(DEFAULT_TENANT, "nightly")
    stored = (await roomy.schedules.read(DEFAULT_TENANT, ["nightly"]))["nightly"]
    fires = ScheduleChange(
        name="nightly", turn=stored.turn, tick_ms=0, line="active api a", fields={}, job_id="a_1", nominal_ms=1
    )
    assert await roomy.schedules.change(DEFAULT_TENANT, [fires]) == [True]
    await fill(roomy)
    with pytest.raises(StoreFullError):
        await roomy.schedules.change(DEFAULT_TENANT, [replace(fires, turn=next_turn(stored.turn), job_id="a_2")])
    assert len((await roomy.schedules.lease_due(shard, 10)).found) == 1
    (start,) = (await roomy.schedules.take_starts(shard, 10)).starts
    assert start.id == "a_1"
    assert (await roomy.schedules.take_starts(shard, 10, [(start.id, "")])).next_in_ms is None


async def test_a_full_redis_tells_and_starts_blocked_jobs(roomy: Broker) -> None:
    """A full Redis takes the news of a parent, starts the job that waited for it, and goes on to look for others."""
    (parent,) = await seed(roomy, QUEUE)
    (delivery,) = await take(roomy, QUEUE)
    jobs = [new_job(QUEUE, parents=Parents((parent,), (parent,))) for _ in range(2)]
    await roomy.store.enqueue(QUEUE, jobs)
    await roomy.dependencies.listen(QUEUE, [(parent, job.id) for job in jobs])
    await roomy.client.zadd(roomy.keys.of(QUEUE).blocked, {job.id: 1 for job in jobs})
    await fill(roomy)
    assert len((await roomy.dependencies.take_blocked(QUEUE))[0]) == 2
    assert await roomy.dependencies.linked(QUEUE, [job.id for job in jobs]) == 2
    assert await commit(roomy, delivery) is CommitCode.COMMITTED
    (news,), _ = await roomy.dependencies.take_news(QUEUE)
    edges = [Edge(child, parent, news.state) for child in news.children]
    assert await roomy.dependencies.resolve(QUEUE, edges) == [ResolveCode.READY] * 2
    told = [Told(parent, news.version, child, is_kept=False) for child in news.children]
    assert await roomy.dependencies.end_news(QUEUE, told) == 1
    assert {one.id for one in await take(roomy, QUEUE)} == {job.id for job in jobs}


async def test_a_full_redis_takes_no_step_and_no_signal_and_lets_jobs_wait(roomy: Broker) -> None:
    """A step and a signal are refused whole; a job still waits for its signal, and ends without anything left."""
    delivery = await seed_running(roomy, QUEUE)
    await roomy.steps.save_step(delivery, "one", "", "step", b"\xc0")
    await fill(roomy)
    with pytest.raises(StoreFullError):
        await roomy.steps.save_step(delivery, "two", "", "step", b"\xc0")
    with pytest.raises(StoreFullError):
        await roomy.steps.signal(QUEUE, delivery.id, "approved", b"\xc0")
    assert list(await roomy.views.steps(QUEUE, delivery.id)) == ["one"]
    await commit(roomy, delivery, Waiting("approved", 0))
    await commit(roomy, await take_one(roomy, QUEUE))
    assert await roomy.views.steps(QUEUE, delivery.id) == {}


@pytest.mark.parametrize(
    "limits",
    [QueueLimits(concurrency=2), QueueLimits(rate="100/s", burst=2), QueueLimits(concurrency=3, rate="50/s", burst=3)],
    ids=lambda limits: limits.in_words,
)
async def test_a_full_redis_works_a_limited_queue_off(roomy: Broker, limits: QueueLimits) -> None:
    """Jobs that limits hold back are let in, run and end while Redis is full, and limits can be changed."""
    await roomy.settings.limit(QUEUE, limits)
    ids = await seed(roomy, QUEUE, 9)
    await fill(roomy)
    ended: list[str] = []

    async def work() -> bool:
        await roomy.store.release_due(QUEUE)
        for delivery in await take(roomy, QUEUE):
            await commit(roomy, delivery)
            ended.append(delivery.id)
        return len(ended) == len(ids)

    await wait_until(work, "all jobs have run")
    assert sorted(ended) == sorted(ids)
    await roomy.settings.limit(QUEUE, QueueLimits(concurrency=1))
    assert await roomy.settings.pause(QUEUE, reason="Redis is full")
    assert (await roomy.settings.read(QUEUE)).paused


async def test_a_breaker_opens_and_closes_while_redis_is_full(roomy: Broker) -> None:
    """A breaker counts, opens, tries and closes while Redis is full, and no job that it held back is lost."""
    breaker = {"ratio": 0.5, "window": FAR_MS, "min": 4, "cool": 1, "cap": 1, "probes": 2}
    await roomy.settings.tune(QUEUE, {"b": breaker})
    ids = await seed(roomy, QUEUE, 12)
    await fill(roomy)
    for delivery in await take(roomy, QUEUE, limit=4):
        await commit(roomy, delivery, RetryAt(0, ERROR))
    opened = await roomy.store.measure(QUEUE)
    assert (opened.breaker_opened, sum(opened.queued)) == (1, len(ids))
    assert opened.breaker is not BreakerState.CLOSED
    ended: list[str] = []

    async def work() -> bool:
        await roomy.store.release_due(QUEUE)
        for delivery in await take(roomy, QUEUE):
            await commit(roomy, delivery)
            ended.append(delivery.id)
        return len(ended) == len(ids)

    await wait_until(work, "all jobs have run")
    assert sorted(ended) == sorted(ids)
    assert await state_of(roomy, QUEUE) is BreakerState.CLOSED
    await audit_gate(roomy, QUEUE, await audit(roomy, QUEUE))


async def test_what_an_open_breaker_holds_is_there_when_memory_is_free(roomy: Broker) -> None:
    """An operator opens and closes a breaker of a full Redis; what it held back runs, and new jobs are taken again."""
    await roomy.settings.limit(QUEUE, QueueLimits(breaker=Breaker()))
    ids = await seed(roomy, QUEUE, 5)
    await fill(roomy)
    assert await roomy.settings.open_breaker(QUEUE, reason="Redis is full")
    assert await take(roomy, QUEUE) == []
    assert (await roomy.store.measure(QUEUE)).parked == len(ids)
    assert await roomy.settings.close_breaker(QUEUE)
    await roomy.client.config_set("maxmemory", 0)
    ids += await seed(roomy, QUEUE)
    assert sorted(one.id for one in await take(roomy, QUEUE)) == sorted(ids)
    await audit_gate(roomy, QUEUE, await audit(roomy, QUEUE))


async def test_a_unique_job_is_refused_whole_and_its_end_frees_the_key(roomy: Broker) -> None:
    """A full Redis takes no job in place of another with its key, which stays; the end of that one frees the key."""
    unique = UniqueKey("running", "0f", "replace", None, "7")
    first = new_job(QUEUE, unique=unique)
    await roomy.store.enqueue(QUEUE, [first])
    before = await everything(roomy, QUEUE)
    await fill(roomy)
    with pytest.raises(StoreFullError):
        await roomy.store.enqueue(QUEUE, [new_job(QUEUE, unique=unique)])
    assert await everything(roomy, QUEUE) == before
    await commit(roomy, await take_one(roomy, QUEUE))
    assert await roomy.client.exists(roomy.keys.of(QUEUE).unique_prefix + "0f") == 0
