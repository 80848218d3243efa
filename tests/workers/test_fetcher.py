"""Taking jobs in: never too many, none forgotten, cheap when there is nothing to do."""

from collections import Counter
from itertools import count
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from streams.cutting_proxy import cutting_proxy
from streams.seeds import job_of
from waiting import wait_until
from workers.floor import Floor, open_floor, queue_of_id, queue_of_type

from millstream import App, Context
from millstream_cli.embedded import HOST, EmbeddedRedis
from millstream_contracts import JobState, Priority
from millstream_runtime import Pulse
from millstream_streams import open_broker
from millstream_workers.fetching.fetcher import Intake
from millstream_workers.fetching.slots import Slots


class Counting:
    """An app of several types whose handlers count how many of them run at once."""

    def __init__(self, types: int = 1) -> None:
        self.app = App("test")
        self.now = self.most = 0
        self.ran: list[str] = []
        self.go = anyio.Event()
        for number in range(types):
            self.app.job(f"type-{number}")(self._handle)

    async def _handle(self, ctx: Context) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        self.ran.append(ctx.job_id)
        await self.go.wait()
        await checkpoint()
        self.now -= 1


@pytest.mark.parametrize(("types", "concurrency", "jobs"), [(1, 3, 50), (7, 3, 70), (8, 1, 40), (40, 1, 40)])
async def test_never_more_handlers_run_than_there_are_slots(
    floor: Floor, types: int, concurrency: int, jobs: int
) -> None:
    """Whatever the queues hold: a blocking read may bring one job per stream. Each job runs once, and all do."""
    counting = Counting(types)
    hired = await floor.hire(counting.app, concurrency=concurrency)
    ids = [await floor.submit(f"type-{number % types}") for number in range(jobs)]
    await wait_until(lambda: counting.now == concurrency, "every slot is taken")
    counting.go.set()
    settled = [await floor.settled(job_id) for job_id in ids]
    assert counting.most == concurrency
    assert sorted(counting.ran) == sorted(ids)
    assert {(job.state, job.attempts, job.crashes) for job in settled} == {(JobState.SUCCEEDED, 1, 0)}
    assert hired.worker._slots.busy == 0


async def test_jobs_taken_ahead_of_long_ones_go_back_at_no_cost(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker expected its jobs to end soon, and they do not: another one may have room."""
    all_here = False

    def look_ahead(slots: Slots) -> None:
        nonlocal all_here
        all_here = all_here or slots.busy == len(ids)
        slots._ahead = 0 if all_here else 2

    monkeypatch.setattr(Slots, "look_ahead", look_ahead)
    counting = Counting()
    ids = await floor.submit_many("type-0", [None] * 5)
    hired = await floor.hire(counting.app, concurrency=3)
    await wait_until(lambda: counting.now == 3, "every slot is taken")

    async def are_back() -> bool:
        jobs = [await floor.job(job_id) for job_id in ids if job_id not in counting.ran]
        return {(job.state, job.handbacks, job.attempts, job.crashes) for job in jobs} == {(JobState.QUEUED, 1, 0, 0)}

    await wait_until(are_back, "the others are back")
    assert hired.worker._slots.busy == 3
    counting.go.set()
    assert {(await floor.settled(job_id)).state for job_id in ids} == {JobState.SUCCEEDED}
    assert (counting.most, sorted(counting.ran)) == (3, sorted(ids))


@pytest.mark.parametrize(
    ("priority", "shares"),
    [("70/20/10", {"high": 14, "normal": 4, "low": 2}), ("strict", {"high": 20}), ("0/0/1", {"low": 20})],
    ids=["weighted", "strict", "only low"],
)
async def test_priorities_are_shared_out_by_weight(floor: Floor, priority: str, shares: dict[str, int]) -> None:
    """A claim of ten, half of the slots, is split exactly, and so `low` is never starved unless somebody wants that."""
    counting = Counting()
    ids = {
        job_id: priority.value
        for priority in Priority
        for job_id in await floor.submit_many("type-0", [None] * 20, priority=priority)
    }
    await floor.hire(counting.app, concurrency=20, priority=priority)
    await wait_until(lambda: counting.now == 20, "every slot is taken")
    assert Counter(ids[job_id] for job_id in counting.ran) == shares
    counting.go.set()
    for job_id in ids:
        await floor.settled(job_id)


async def test_slots_that_no_priority_needs_go_to_the_others(floor: Floor) -> None:
    """A share is a promise, not a reservation."""
    counting = Counting()
    await floor.submit_many("type-0", [None] * 20, priority=Priority.LOW)
    await floor.hire(counting.app, concurrency=10)
    await wait_until(lambda: counting.now == 10, "every slot is taken")


async def test_one_queue_that_is_full_does_not_starve_the_others(floor: Floor) -> None:
    """With a single slot and a long queue, a job of another type still gets its turn."""
    app, order = App("test"), list[str]()

    @app.job("busy")
    async def busy(ctx: Context) -> None:
        order.append(ctx.type)
        await anyio.sleep(0.001)

    @app.job("quiet")
    async def quiet(ctx: Context) -> None:
        order.append(ctx.type)

    await floor.submit_many("busy", [None] * 400)
    await floor.hire(app, concurrency=1)
    await wait_until(lambda: len(order) > 20, "the worker is busy")
    await floor.run("quiet")
    assert order.count("busy") < 400


async def test_workers_share_the_jobs_of_a_queue(floor: Floor) -> None:
    """None takes more than its slots, and no job runs twice."""
    counting = Counting(3)
    hired = [await floor.hire(counting.app, concurrency=2) for _ in range(2)]
    ids = [await floor.submit(f"type-{number % 3}") for number in range(60)]
    await wait_until(lambda: counting.now == 4, "the slots of both are taken")
    workers = Counter([(await floor.job(job_id)).worker for job_id in counting.ran])
    assert workers == {one.name: 2 for one in hired}
    counting.go.set()
    jobs = [await floor.settled(job_id) for job_id in ids]
    assert sorted(counting.ran) == sorted(ids)
    assert {job.worker for job in jobs} == {one.name for one in hired}


async def test_a_worker_serves_all_partitions_of_a_type(floor: Floor) -> None:
    """A job in any of them runs."""
    app = App("test")

    @app.job("wide", partitions=4)
    async def wide() -> None: ...

    await floor.hire(app)
    ids = [await floor.submit("wide", partition=partition) for partition in range(4)]
    assert [(await floor.settled(job_id)).state for job_id in ids] == [JobState.SUCCEEDED] * 4


async def test_a_paused_queue_is_not_claimed_and_resumes(floor: Floor) -> None:
    """The other queues of the worker go on; it takes no restart to resume."""
    counting = Counting(2)
    counting.go.set()
    settings = floor.broker.keys.of(queue_of_type("type-0")).settings
    await floor.broker.client.hset(settings, "paused", 1)
    paused = await floor.submit_many("type-0", [None] * 3)
    await floor.hire(counting.app)
    for _ in range(5):
        await floor.run("type-1")
    for job_id in paused:
        job = await floor.job(job_id)
        assert (job.state, job.deliveries) == (JobState.QUEUED, 0)
    await floor.broker.client.hset(settings, "paused", 0)
    for job_id in paused:
        assert (await floor.settled(job_id)).state is JobState.SUCCEEDED


async def test_a_queue_that_is_paused_under_a_waiting_worker_loses_one_job_to_it_at_most(floor: Floor) -> None:
    """A blocking read that is under way may still bring one; then the worker keeps away."""
    counting = Counting(2)
    counting.go.set()
    await floor.hire(counting.app)
    await floor.run("type-0")
    await floor.broker.client.hset(floor.broker.keys.of(queue_of_type("type-0")).settings, "paused", 1)
    paused = [await floor.submit("type-0") for _ in range(5)]
    for _ in range(5):
        await floor.run("type-1")
    states = [(await floor.job(job_id)).state for job_id in paused]
    assert states.count(JobState.QUEUED) >= 4


async def test_an_idle_worker_asks_one_question_for_all_its_queues(own_redis: EmbeddedRedis) -> None:
    """Fifty types cost Redis as little as one: a blocking read every two seconds, and heartbeats."""
    app = App("test")

    def handler(number: int) -> None:
        @app.job(f"type-{number:02}")
        async def one() -> None: ...

    for number in range(50):
        handler(number)
    async with open_broker(own_redis.url, namespace="idle") as broker, open_floor(broker, own_redis.url) as floor:
        await floor.hire(app, beat_every_s=1.0)
        await floor.run("type-49")
        client = broker.client

        async def calls() -> Counter[str]:
            stats = await client.info("commandstats")
            return Counter({name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()})

        async def is_waiting() -> bool:
            return (await client.info("clients"))["blocked_clients"] == 1

        await wait_until(is_waiting, "the worker waits for work")
        before = await calls()

        async def has_asked_again() -> bool:
            return (await calls())["xreadgroup"] > before["xreadgroup"]

        await wait_until(has_asked_again, "it has asked again")
        spent = await calls() - before
        asked = {name: calls for name, calls in spent.items() if name not in {"info", "client|setinfo", "ping"}}
        assert asked.pop("xreadgroup") <= 2
        assert asked.pop("evalsha") == asked["hset"], "all other scripts than a heartbeat's are for work"
        assert "eval" not in asked
        assert sum(asked.values()) <= 20, asked


async def test_a_worker_survives_the_loss_of_everything_in_redis(own_redis: EmbeddedRedis) -> None:
    """After FLUSHALL the groups are gone: it makes them anew, and its heart brings the registry back."""
    app = App("test")

    @app.job("one")
    async def one() -> str:
        return "ran"

    async with open_broker(own_redis.url, namespace="flushed") as broker, open_floor(broker, own_redis.url) as floor:
        await floor.hire(app, beat_every_s=0.05)
        await floor.run("one")
        await broker.client.flushall()
        await broker.client.script_flush()
        assert (await floor.run("one")).result == "ran"

        async def is_registered() -> bool:
            return "one" in await broker.registry.types(queue_of_type("one").tenant)

        await wait_until(is_registered, "the registry is back")


@pytest.mark.parametrize("command", ["EVALSHA", "XREADGROUP"])
async def test_a_lost_answer_strands_no_job(own_redis: EmbeddedRedis, command: str) -> None:
    """Redis has given the jobs, and the worker never heard of it: it asks again, and each runs once."""
    app, ran = App("test"), list[str]()

    @app.job("one")
    async def one(ctx: Context) -> None:
        ran.append(ctx.job_id)

    async with (
        cutting_proxy((HOST, own_redis.port)) as proxy,
        open_broker(own_redis.url, namespace="lossy") as broker,
        open_floor(broker, proxy.url) as floor,
    ):
        await floor.hire(app)
        await floor.run("one")
        proxy.lose_answer_to(command, times=3)
        ids = []
        for _ in range(6):
            ids.append(await floor.submit("one"))
            await floor.settled(ids[-1])
        await wait_until(lambda: proxy.cuts == 3, "three answers were lost")
        jobs = [await floor.settled(job_id) for job_id in ids]
        assert {(job.state, job.deliveries, job.crashes) for job in jobs} == {(JobState.SUCCEEDED, 1, 0)}
        assert sorted(ran[1:]) == sorted(ids)


async def test_a_claim_whose_answer_was_lost_beyond_patience_is_asked_for_again(own_redis: EmbeddedRedis) -> None:
    """By its own nonce: else its jobs would be running for nobody until their lease runs out, and count as crashes."""
    queue = queue_of_type("one")
    async with (
        cutting_proxy((HOST, own_redis.port)) as proxy,
        open_broker(own_redis.url, namespace="lossy") as broker,
        open_broker(proxy.url, namespace="lossy", patience_s=0.0) as impatient,
        open_floor(broker, proxy.url) as floor,
    ):
        ids = await floor.submit_many("one", [None] * 3)
        await impatient.registry.queues()
        delivered: list[str] = []
        slots, reader = Slots(10), impatient.reader()
        intake = Intake(
            impatient.store,
            reader,
            [queue],
            consumer="host:1:me",
            slots=slots,
            weights=None,
            pulse=Pulse("intake", 60.0),
            deliver=lambda delivery: delivered.append(delivery.id),
            decline=lambda delivery: None,
        )
        proxy.lose_answer_to("EVALSHA")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(intake.run)
            await wait_until(lambda: len(delivered) == 3, "all are delivered")
            intake.stop()
            await broker.client.xadd(broker.keys.of(queue).ready[1], {"id": "stray"})  # ends the blocking read
        await reader.close()
        assert proxy.cuts == 1
        assert sorted(delivered) == sorted(ids)
        assert (await job_of(broker, queue, ids[0])).deliveries == 1


async def test_a_stopped_intake_takes_nothing_more(floor: Floor, redis_url: str) -> None:
    """Not even when its last slot comes free after the word to stop: what waits is left to others."""
    queues = [queue_of_type("one"), queue_of_type("two")]
    slots, reader = Slots(1), floor.broker.reader()
    delivered: list[str] = []
    intake = Intake(
        floor.broker.store,
        reader,
        queues,
        consumer="host:1:me",
        slots=slots,
        weights=None,
        pulse=Pulse("intake", 60.0),
        deliver=lambda delivery: delivered.append(delivery.id),
        decline=lambda delivery: delivered.append("declined"),
    )
    first = await floor.submit("one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(intake.run)
        await wait_until(lambda: delivered == [first], "the slot is taken")
        others = [await floor.submit("one"), await floor.submit("two")]
        intake.stop()
        slots.give_back()
    await reader.close()
    assert delivered == [first]
    for job_id in others:
        assert (await floor.job(job_id)).deliveries == 0


async def test_jobs_beyond_the_free_slots_are_declined_and_not_kept(floor: Floor) -> None:
    """A blocking read takes one job per stream: what finds no slot goes back, none is forgotten or run twice."""
    queues = [queue_of_type(f"type-{number}") for number in range(6)]
    for queue in queues:
        await floor.broker.registry.add_queues([queue])
    slots, reader = Slots(2), floor.broker.reader()
    delivered: list[str] = []
    declined: list[str] = []
    numbers = count()

    def deliver(delivery: Any) -> None:
        delivered.append(delivery.id)
        assert next(numbers) < 2, "more jobs than slots"

    intake = Intake(
        floor.broker.store,
        reader,
        queues,
        consumer="host:1:me",
        slots=slots,
        weights=(70, 20, 10),
        pulse=Pulse("intake", 60.0),
        deliver=deliver,
        decline=lambda delivery: declined.append(delivery.id),
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(intake.run)

        async def is_waiting() -> bool:
            return (await floor.broker.client.info("clients"))["blocked_clients"] >= 1

        await wait_until(is_waiting, "it waits for work")
        ids = [await floor.submit(queue.type) for queue in queues]
        await wait_until(lambda: slots.busy == 2, "both slots are taken")
        intake.stop()
        slots.give_back()
        slots.give_back()
    await reader.close()
    states = {job_id: (await floor.job(job_id)).state for job_id in ids}
    running = {job_id for job_id, state in states.items() if state is JobState.RUNNING}
    assert running == {*delivered, *declined}
    assert len(delivered) == 2
    assert all(queue_of_id(job_id) in queues for job_id in ids)
