"""The fetcher claims no more jobs than there are slots, loses none, and asks little when there are none."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from streams.cutting_proxy import cutting_proxy
from streams.seeds import LONG_AGO_MS, job_of, seed
from waiting import wait_until
from workers.floor import Floor, open_floor, queue_of_id, queue_of_type

from millstream import App, Context
from millstream_cli.embedded import HOST, EmbeddedRedis
from millstream_contracts import JobState, Priority, Queue
from millstream_runtime import Pulse
from millstream_streams import (
    Claim,
    Delivery,
    JobStore,
    ReadEntry,
    StoreError,
    StoreUnavailableError,
    open_broker,
)
from millstream_workers.fetching import fetcher as fetching
from millstream_workers.fetching.fetcher import Fetcher
from millstream_workers.fetching.shares import Shares
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


def fetcher_of(
    floor: Floor,
    queues: list[Queue],
    slots: Slots,
    *,
    store: Any = None,
    reader: Any = None,
    weights: Shares | None = None,
    deliver: Callable[[Delivery], None] = lambda _: None,
    decline: Callable[[Delivery], None] = lambda _: None,
) -> Fetcher:
    """Return a fetcher for these queues and slots whose other parts may be the test's own."""

    def accept(delivery: Delivery) -> None:
        slots.take()
        deliver(delivery)

    return Fetcher(
        store or floor.broker.store,
        reader or floor.broker.reader(),
        queues,
        consumer="host:1:me",
        slots=slots,
        weights=weights,
        pulse=Pulse("intake", 60.0),
        accept=accept,
        decline=decline,
        count_expired=lambda *_: None,
    )


@pytest.mark.parametrize(("types", "concurrency", "jobs"), [(1, 3, 50), (7, 3, 70), (8, 1, 40), (40, 1, 40)])
async def test_never_more_handlers_run_than_there_are_slots(
    floor: Floor, types: int, concurrency: int, jobs: int
) -> None:
    """Handlers never outnumber the slots, though a blocking read may bring one job per stream.

    Each job runs, and once.
    """
    counting = Counting(types)
    hired = await floor.hire(counting.app, concurrency=concurrency)
    ids = [await floor.submit(f"type-{number % types}") for number in range(jobs)]
    await wait_until(lambda: counting.now == concurrency, "every slot is taken")
    counting.go.set()
    settled = [await floor.settled(job_id) for job_id in ids]
    assert counting.most == concurrency
    assert sorted(counting.ran) == sorted(ids)
    assert {(job.state, job.attempts, job.crashes) for job in settled} == {(JobState.SUCCEEDED, 1, 0)}
    assert hired.worker.parts.slots.busy == 0


async def test_late_jobs_that_a_claim_ends_are_counted_as_expired(floor: Floor) -> None:
    """A job that expires by the claim of a worker is counted by that worker, though it never gets it."""
    await seed(floor.broker, queue_of_type("type-0"), 2, expires_at_ms=LONG_AGO_MS)
    hired = await floor.hire(Counting().app)
    labels = {"type": "type-0", "state": "expired"}

    def are_counted() -> bool:
        return hired.metrics.get_sample_value("millstream_jobs_finished_total", labels) == 2

    await wait_until(are_counted, "both are counted")


async def test_jobs_taken_ahead_of_long_ones_go_back_at_no_cost(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that were taken ahead go back at no cost when the jobs before them run for long."""
    all_here = False

    def look_ahead(slots: Slots) -> None:
        nonlocal all_here
        all_here = all_here or slots.busy == len(ids)
        slots.ahead = 0 if all_here else 2

    monkeypatch.setattr(Slots, "look_ahead", look_ahead)
    counting = Counting()
    ids = await floor.submit_many("type-0", [None] * 5)
    hired = await floor.hire(counting.app, concurrency=3)
    await wait_until(lambda: counting.now == 3, "every slot is taken")

    async def are_back() -> bool:
        jobs = [await floor.job(job_id) for job_id in ids if job_id not in counting.ran]
        return {(job.state, job.handbacks, job.attempts, job.crashes) for job in jobs} == {(JobState.QUEUED, 1, 0, 0)}

    await wait_until(are_back, "the others are back")
    assert hired.worker.parts.slots.busy == 3
    counting.go.set()
    assert {(await floor.settled(job_id)).state for job_id in ids} == {JobState.SUCCEEDED}
    assert (counting.most, sorted(counting.ran)) == (3, sorted(ids))


@pytest.mark.parametrize(
    ("priority", "shares"),
    [("70/20/10", {"high": 14, "normal": 4, "low": 2}), ("strict", {"high": 20}), ("0/0/1", {"low": 20})],
    ids=["weighted", "strict", "only low"],
)
async def test_priorities_are_shared_out_by_weight(floor: Floor, priority: str, shares: dict[str, int]) -> None:
    """A claim of ten, half of the slots, is split exactly by weight, and `low` gets none only where its weight is 0."""
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
    """The share of a priority without jobs goes to the other priorities."""
    counting = Counting()
    await floor.submit_many("type-0", [None] * 20, priority=Priority.LOW)
    await floor.hire(counting.app, concurrency=10)
    await wait_until(lambda: counting.now == 10, "every slot is taken")


async def test_one_queue_that_is_full_does_not_starve_the_others(floor: Floor) -> None:
    """With a single slot and one long queue, a job of another type still gets its turn."""
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
    """Workers share the jobs of a queue: none takes more than its slots, and no job runs twice."""
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
    """A worker runs the jobs of every partition of its types."""
    app = App("test")

    @app.job("wide", partitions=4)
    async def wide() -> None: ...

    await floor.hire(app)
    ids = [await floor.submit("wide", partition=partition) for partition in range(4)]
    assert [(await floor.settled(job_id)).state for job_id in ids] == [JobState.SUCCEEDED] * 4


async def test_a_paused_queue_is_not_claimed_and_resumes(floor: Floor) -> None:
    """A worker claims nothing from a paused queue, serves its other queues, and resumes without a restart."""
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
    """A queue that is paused during a worker's blocking read loses at most one job to that worker."""
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
    """An idle worker of fifty types sends Redis one blocking read for all of them, and its heartbeats."""
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
    """After FLUSHALL a worker makes the consumer groups anew, and its heartbeat brings the registry back."""
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
    """When the response to a claim is lost, the worker claims again, and each job runs once."""
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
    """A claim whose response was lost is repeated by its nonce.

    Its jobs would otherwise wait for the end of their lease and count as crashes.
    """
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
        fetcher = fetcher_of(
            floor,
            [queue],
            slots,
            store=impatient.store,
            reader=reader,
            deliver=lambda delivery: delivered.append(delivery.id),
        )
        proxy.lose_answer_to("EVALSHA")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetcher.run)
            await wait_until(lambda: len(delivered) == 3, "all are delivered")
            fetcher.stop()
            await broker.client.xadd(broker.keys.of(queue).ready[1], {"id": "stray"})  # ends the blocking read
        await reader.close()
        assert proxy.cuts == 1
        assert sorted(delivered) == sorted(ids)
        assert (await job_of(broker, queue, ids[0])).deliveries == 1


async def test_a_stopped_intake_takes_nothing_more(floor: Floor, redis_url: str) -> None:
    """A stopped fetcher claims nothing more, not even when its last slot becomes free after the order to stop."""
    queues = [queue_of_type("one"), queue_of_type("two")]
    slots, reader = Slots(1), floor.broker.reader()
    delivered: list[str] = []
    fetcher = fetcher_of(
        floor,
        queues,
        slots,
        reader=reader,
        deliver=lambda delivery: delivered.append(delivery.id),
        decline=lambda delivery: delivered.append("declined"),
    )
    first = await floor.submit("one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fetcher.run)
        await wait_until(lambda: delivered == [first], "the slot is taken")
        others = [await floor.submit("one"), await floor.submit("two")]
        fetcher.stop()
        slots.release()
    await reader.close()
    assert delivered == [first]
    for job_id in others:
        assert (await floor.job(job_id)).deliveries == 0


async def test_jobs_beyond_the_free_slots_are_declined_and_not_kept(floor: Floor) -> None:
    """Jobs of a blocking read that find no free slot are declined, and none is lost or run twice."""
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

    fetcher = fetcher_of(
        floor,
        queues,
        slots,
        reader=reader,
        weights=(70, 20, 10),
        deliver=deliver,
        decline=lambda delivery: declined.append(delivery.id),
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fetcher.run)

        async def is_waiting() -> bool:
            return (await floor.broker.client.info("clients"))["blocked_clients"] >= 1

        await wait_until(is_waiting, "it waits for work")
        ids = [await floor.submit(queue.type) for queue in queues]
        await wait_until(lambda: slots.busy == 2, "both slots are taken")
        fetcher.stop()
        slots.release()
        slots.release()
    await reader.close()
    states = {job_id: (await floor.job(job_id)).state for job_id in ids}
    running = {job_id for job_id, state in states.items() if state is JobState.RUNNING}
    assert running == {*delivered, *declined}
    assert len(delivered) == 2
    assert all(queue_of_id(job_id) in queues for job_id in ids)


class WatchedStore:
    """A store that runs code of the test between the claim and its response."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.limits: list[int] = []
        self.before_answer: Callable[[], object] = lambda: None

    async def claim(self, queue: Queue, *, limit: int, **options: Any) -> Claim:
        """Claim, then run the test's code, and only then respond."""
        self.limits.append(limit)
        claim = await self._store.claim(queue, limit=limit, **options)
        self.before_answer()
        return claim


class Scripted:
    """A store and a reader that respond as the test has laid out: with an error, a claim, or nothing."""

    def __init__(self, *answers: StoreError | Claim | None) -> None:
        self.answers = list(answers)
        self.failed: set[Queue] = set()
        self.asked: list[str] = []
        self.blocked_ms: list[int] = []
        self.when_done: Callable[[], object] = lambda: None

    async def claim(self, queue: Queue, **_: Any) -> Claim:
        """Respond to a claim."""
        self.asked.append("claim")
        return self._answer() or Claim([])

    async def wait(self, queues: Sequence[Queue], *, consumer: str, block_ms: int) -> list[ReadEntry]:
        """Respond to a blocking read."""
        self.asked.append("read")
        self.blocked_ms.append(block_ms)
        self._answer()
        return []

    def _answer(self) -> Claim | None:
        answer = self.answers.pop(0)
        if not self.answers:
            self.when_done()
        if isinstance(answer, StoreError):
            raise answer
        return answer


async def test_what_a_claim_brings_after_the_order_to_stop_is_declined(floor: Floor) -> None:
    """Jobs of a claim that was under way at the order to stop are declined, though slots are free."""
    ids = await floor.submit_many("one", [None] * 3)
    store, slots = WatchedStore(floor.broker.store), Slots(10)
    delivered: list[Delivery] = []
    declined: list[Delivery] = []
    reader = floor.broker.reader()
    fetcher = fetcher_of(
        floor,
        [queue_of_type("one")],
        slots,
        store=store,
        reader=reader,
        deliver=delivered.append,
        decline=declined.append,
    )
    store.before_answer = fetcher.stop
    with anyio.fail_after(20.0):
        await fetcher.run()
    await reader.close()
    assert (delivered, sorted(one.id for one in declined)) == ([], sorted(ids))
    assert (slots.busy, slots.claims) == (0, 0)


async def test_a_claim_after_the_order_to_stop_asks_for_no_further_job(floor: Floor) -> None:
    """After the order to stop, a claim has the limit 0: it only asks again for what a lost response delivered."""
    store = WatchedStore(floor.broker.store)
    lost = Scripted(StoreUnavailableError("away"), None)
    both = [queue_of_type("one"), queue_of_type("two")]
    for queue in both:
        await floor.submit(queue.type)

    class LosesFirst:
        async def claim(self, queue: Queue, **options: Any) -> Claim:
            return await (lost if len(lost.answers) == 2 else store).claim(queue, **options)

    reader, declined = floor.broker.reader(), list[Delivery]()
    fetcher = fetcher_of(floor, both, Slots(10), store=LosesFirst(), reader=reader, decline=declined.append)
    store.before_answer = fetcher.stop
    with anyio.fail_after(20.0):
        await fetcher.run()
    await reader.close()
    assert store.limits[0] == 10
    assert set(store.limits[1:]) == {0}
    assert len(declined) == 1


async def test_failures_that_are_over_lengthen_no_later_pause(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses grow within one outage, and the next outage begins with short ones again."""
    counted: list[int] = []
    troubles: list[str] = []
    monkeypatch.setattr("millstream_workers.fetching.fetcher.backoff_s", lambda n: counted.append(n) or 0.0)
    away = StoreUnavailableError("away")
    script = Scripted(away, away, Claim([]), None, away, None)
    fetcher = fetcher_of(floor, [queue_of_type("one")], Slots(10), store=script, reader=script)
    script.when_done = fetcher.stop
    wait = script.wait

    async def look(*args: Any, **options: Any) -> list[ReadEntry]:
        troubles.append(fetcher.trouble)
        return await wait(*args, **options)

    monkeypatch.setattr(script, "wait", look)
    with anyio.fail_after(20.0):
        await fetcher.run()
    assert counted == [1, 2, 1]
    assert troubles[:2] == ["away", ""]


async def test_the_order_to_stop_is_heard_during_a_pause(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order to stop ends a pause of the fetcher, however long the pause is."""
    monkeypatch.setattr("millstream_workers.fetching.fetcher.backoff_s", lambda _: 3600.0)
    script = Scripted(StoreUnavailableError("away"))
    fetcher = fetcher_of(floor, [queue_of_type("one")], Slots(10), store=script, reader=script)
    with anyio.fail_after(20.0):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetcher.run)
            await wait_until(lambda: fetcher.trouble, "it pauses")
            fetcher.stop()


async def test_a_read_blocks_no_longer_than_a_paused_queue_is_to_be_left_alone(floor: Floor) -> None:
    """A blocking read ends when a paused queue is due for its next check, so that a resumed queue is seen in time."""
    script = Scripted(Claim([], ask_again_ms=40), None, None, None, None)
    fetcher = fetcher_of(
        floor, [queue_of_type("paused"), queue_of_type("other")], Slots(10), store=script, reader=script
    )
    script.when_done = fetcher.stop
    with anyio.fail_after(20.0):
        await fetcher.run()
    assert script.asked[:3] == ["claim", "claim", "read"]
    assert 0 < script.blocked_ms[0] <= 40


async def test_a_queue_that_fills_every_claim_is_claimed_from_without_a_read_between(floor: Floor) -> None:
    """A queue that fills every claim is claimed from again at once.

    A read between the claims would bring only one job of each queue.
    """
    store, slots, reader = WatchedStore(floor.broker.store), Slots(10), floor.broker.reader()
    ids, delivered, read = await floor.submit_many("one", [None] * 40), list[Delivery](), list[int]()
    wait = reader.wait

    async def note_read(*args: Any, **options: Any) -> list[ReadEntry]:
        read.append(len(delivered))
        return await wait(*args, **options)

    class WatchedReader:
        failed = frozenset[Queue]()
        wait = staticmethod(note_read)

    def deliver(delivery: Delivery) -> None:
        delivered.append(delivery)
        slots.release()
        if len(delivered) == len(ids):
            fetcher.stop()

    fetcher = fetcher_of(floor, [queue_of_type("one")], slots, store=store, reader=WatchedReader(), deliver=deliver)
    with anyio.fail_after(20.0):
        await fetcher.run()
    await reader.close()
    assert len(delivered) == len(ids)
    assert read == []


async def test_a_look_beside_a_hot_queue_reads_some_of_many_queues_and_the_next_look_others(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a hot queue a look names few of many queues, and the looks together name all of them."""
    monkeypatch.setattr(fetching, "LOOK_AT_ONCE", 3)
    monkeypatch.setattr(fetching, "LOOK_ELSEWHERE_S", 0.0)
    others = [queue_of_type(f"other-{number}") for number in range(8)]
    slots, reader, named = Slots(2), floor.broker.reader(), list[list[Queue]]()
    await floor.submit_many("hot", [None] * 60)
    wait = reader.wait

    async def note_read(queues: Sequence[Queue], **options: Any) -> list[ReadEntry]:
        named.append(list(queues))
        if len(named) == 2:
            for queue in others:
                await seed(floor.broker, queue)
        return await wait(queues, **options)

    class WatchedReader:
        failed = frozenset[Queue]()
        wait = staticmethod(note_read)

    left = {queue.type for queue in others}

    def deliver(delivery: Delivery) -> None:
        slots.release()
        left.discard(delivery.queue.type)
        if not left:
            fetcher.stop()

    fetcher = fetcher_of(floor, [queue_of_type("hot"), *others], slots, reader=WatchedReader(), deliver=deliver)
    with anyio.fail_after(20.0):
        await fetcher.run()
    await reader.close()
    assert not left
    assert max(map(len, named)) <= 3
