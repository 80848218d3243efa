"""Durable handlers go on behind their steps, wherever they run, and hold no worker while they wait."""

import secrets
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from leftovers import delete_namespace
from streams.seeds import events
from waiting import wait_until
from workers.durable import ISOLATIONS, Work, app, charge
from workers.floor import Floor, open_floor, queue_of_id, queue_of_type
from workers.plant import python_path

from millstream import App, DurableContext, HandlerError, Retry, Signal, SyncDurableContext
from millstream_contracts import DEFAULT_TENANT, JobId, JobState
from millstream_streams import Edge, ResolveCode, SignalCode, Told, open_broker

REFS = ("workers.durable:app",)
CALLED = queue_of_type("called")
SIGNALLED_JOBS, SIGNALS_OF_A_JOB = 100, 100

everywhere = pytest.mark.parametrize("isolation", ISOLATIONS)


def encoded(value: Any) -> bytes:
    """Return the payload of a signal."""
    return msgspec.msgpack.encode(value)


@pytest.fixture(scope="module")
async def works(redis_url: str) -> AsyncIterator[Floor]:
    """Yield a floor with one worker for all isolations, because each handler process takes long to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", python_path())
        async with open_broker(redis_url, namespace=f"t{secrets.token_hex(6)}") as broker:
            async with open_floor(broker, redis_url) as opened:
                await opened.hire(app, apps=REFS, concurrency=3, cleanup_s=20.0)
                yield opened
            await delete_namespace(broker.client, broker.keys.namespace)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file for what handlers do."""
    return tmp_path / "done"


def done(file: Path) -> list[str]:
    """Return what handlers have done, in order."""
    return file.read_text().splitlines()


@everywhere
async def test_a_later_attempt_repeats_no_step(works: Floor, file: Path, isolation: str) -> None:
    """Each step runs once over three attempts, and gives what it gave, as the type of its function."""
    job = await works.run(f"{isolation}.order", Work(str(file)))
    assert job.state is JobState.SUCCEEDED, job.error
    assert done(file) == ["charge 1", "charge 2", "ship 2"]
    first, second, shipped, *keys = job.result
    assert (first, second, shipped) == ({"number": 1}, {"number": 2}, "shipped 2")
    assert keys == [f"{job.id}:charge", f"{job.id}:charge#2"]
    assert job.attempts == 3


@everywhere
async def test_a_sleep_holds_no_worker_and_costs_no_attempt(works: Floor, file: Path, isolation: str) -> None:
    """A sleeping job is scheduled, and goes on behind the sleep."""
    job_id = await works.submit(f"{isolation}.nap", Work(str(file), seconds=0.2))
    await works.until(job_id, JobState.SCHEDULED, JobState.SUCCEEDED)
    job = await works.settled(job_id)
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result == [1, 2]
    assert done(file) == ["charge 1", "ship 1"]
    assert works.hired[0].attempts(job.type, "snoozed") == 1


@everywhere
async def test_a_handler_waits_for_signals(works: Floor, file: Path, isolation: str) -> None:
    """A signal that comes before, and one that comes while the job waits, are taken in order; others have a timeout."""
    job_id = await works.submit(f"{isolation}.approval", Work(str(file), seconds=0.05), delay_ms=100)
    queue = queue_of_id(job_id)
    signal = works.broker.steps.signal
    assert await signal(queue, job_id, "approved", encoded({"by": "ann"})) is SignalCode.KEPT

    async def is_waiting() -> bool:
        await works.broker.store.release_due(queue)
        return (await works.job(job_id)).waiting_for == "approved"

    await wait_until(is_waiting, "the job waits for the second one")
    assert await signal(queue, job_id, "approved", encoded("anything")) is SignalCode.DELIVERED
    job = await works.settled(job_id)
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result == [{"by": "ann"}, "anything", "none", "the signal `other` has not come in time", 1]


@everywhere
async def test_what_cannot_be_stored_is_an_error_of_the_handler(works: Floor, isolation: str) -> None:
    """A handler learns why a step is not stored."""
    job = await works.run(f"{isolation}.wrong")
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result == "step `large` gives 300005 bytes, more than 262144: store it elsewhere"


@everywhere
async def test_a_handler_calls_jobs_once_and_holds_no_worker(works: Floor, file: Path, isolation: str) -> None:
    """Calls give results of the type of the job, in order, each once over two attempts; a failed job is an error."""
    before = await submitted(works)
    async with told(works):
        job = await works.run(f"{isolation}.calls", Work(str(file)))
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result == [True, {"number": 2}, [0, 2, 4, 6, 8], [], "dead"]
    assert await submitted(works) - before == 1 + 5 + 1
    assert (job.attempts, job.crashes) == (2, 0)
    # One delivery for each wait, one more for the retry.
    assert job.deliveries == 1 + 1 + 2 + 1 + 1
    assert done(file) == ["charge 1"] * 2


async def submitted(floor: Floor) -> int:
    """Return how many jobs have been called."""
    return len([one for event in await events(floor.broker, CALLED) if event.kind == "submitted" for one in event.jobs])


@asynccontextmanager
async def told(floor: Floor) -> AsyncIterator[None]:
    """Tell callers of the jobs that they have called, as the dispatcher does."""

    async def tell() -> None:
        dependencies = floor.broker.dependencies
        while True:
            news, _ = await dependencies.take_news(CALLED)
            for one in news:
                for child in one.children:
                    [code] = await dependencies.resolve(queue_of_id(child), [Edge(child, one.id, one.state)])
                    await dependencies.end_news(CALLED, [Told(one.id, one.version, child, code is ResolveCode.KEPT)])
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tell)
        yield
        tasks.cancel_scope.cancel()


async def test_a_fresh_redrive_calls_new_jobs(floor: Floor) -> None:
    """What a call is waiting for is known by its step: without steps it makes new jobs."""
    calling = App("calling")

    @calling.job("callee")
    async def callee() -> int:
        return 1

    @calling.job("calling", retry=Retry(max_attempts=1))
    async def handle(ctx: DurableContext) -> None:
        await ctx.step("before", charge, Work("/dev/null"), 1)
        if ctx.fence < 2:
            await ctx.call("one", callee)
        raise ValueError("no")

    await floor.hire(calling)
    job_id = await floor.submit("calling")
    # The called job may have ended before its caller waits: then that goes on at once.
    await floor.until(job_id, JobState.BLOCKED, JobState.DEAD)
    steps = await floor.broker.views.steps(queue_of_id(job_id), job_id)
    (called_id,) = msgspec.msgpack.decode(steps["one"].content)
    assert (await floor.settled(called_id)).result == 1
    edge = Edge(job_id, called_id, "succeeded")
    await floor.broker.dependencies.resolve(queue_of_id(job_id), [edge])
    assert (await floor.settled(job_id)).state is JobState.DEAD
    await floor.broker.store.redrive(queue_of_id(job_id), [job_id], fresh=True)
    await floor.settled(job_id)
    assert list(await floor.broker.views.steps(queue_of_id(job_id), job_id)) == ["before"]


async def test_a_zombie_stores_no_step_and_is_stopped(floor: Floor, file: Path) -> None:
    """A handler whose job another delivery has by now gets no further than its next step."""
    zombies = App("zombies")
    goes_on, gone_on, ended = anyio.Event(), anyio.Event(), anyio.Event()

    @zombies.job("held")
    async def held(ctx: DurableContext) -> int:
        if ctx.fence > 1:
            return (await ctx.step("charge", charge, Work(str(file)), ctx.fence)).number
        try:
            gone_on.set()
            await goes_on.wait()
            await ctx.step("charge", charge, Work(str(file)), ctx.fence)
            await ctx.step("charge", charge, Work(str(file)), 100)
        finally:
            ended.set()
        return 0

    hired = await floor.hire(zombies)
    job_id = await floor.submit("held")
    await gone_on.wait()
    await floor.take_back(job_id)
    job = await floor.settled(job_id)
    assert job.result == 2
    # The job has ended: only the fence can keep the zombie out.
    goes_on.set()
    with anyio.fail_after(20):
        await ended.wait()
    await wait_until(lambda: hired.attempts("held", "lost") == 1, "the zombie is counted")
    assert done(file) == ["charge 2", "charge 1"]
    assert (await floor.job(job_id)).result == 2


async def test_a_zombie_in_a_thread_is_stopped_too(floor: Floor, file: Path) -> None:
    """A thread leaves the handler at its next step."""
    zombies = App("zombies")
    goes_on, gone_on, ended = threading.Event(), threading.Event(), threading.Event()

    @zombies.job("held.thread")
    def held(ctx: SyncDurableContext) -> int:
        if ctx.fence > 1:
            return 2
        gone_on.set()
        goes_on.wait()
        try:
            ctx.step("charge", charge, Work(str(file)), 1)
            charge(Work(str(file)), 100)
        finally:
            ended.set()
        return 0

    await floor.hire(zombies)
    job_id = await floor.submit("held.thread")
    await wait_until(gone_on.is_set, "it runs")
    await floor.take_back(job_id)
    assert (await floor.settled(job_id)).result == 2
    goes_on.set()
    await wait_until(ended.is_set, "the zombie has ended")
    assert done(file) == ["charge 1"]


async def test_a_first_delivery_reads_nothing(floor: Floor, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be there is not asked for: a handler's first delivery stores its steps, and no more."""
    read: list[str] = []
    hired = await floor.hire(app)
    keeper = hired.worker.parts.executor._parents.of(DEFAULT_TENANT).steps
    original = keeper.read

    async def noted(running: Any) -> Any:
        read.append(running.id)
        return await original(running)

    monkeypatch.setattr(keeper, "read", noted)
    job = await floor.run("loop.order", Work(str(file)))
    assert job.attempts == 3
    assert len(read) == 2


async def test_ten_thousand_signals_are_taken_once_each_and_in_order(floor: Floor) -> None:
    """No signal is lost, doubled or out of turn, whether it comes before its wait or while that lasts."""
    listening, ticks = App("listening"), Signal("tick", int)

    @listening.job("listening", retry=Retry(base=0.0))
    async def handle(count: int, ctx: DurableContext) -> list[int]:
        return [await ctx.wait_for(ticks) for _ in range(count)]

    await floor.hire(listening, concurrency=20)
    ids = [await floor.submit("listening", SIGNALS_OF_A_JOB) for _ in range(SIGNALLED_JOBS)]
    codes: Counter[SignalCode] = Counter()

    async def send(job_id: JobId) -> None:
        for number in range(SIGNALS_OF_A_JOB):
            codes[await floor.broker.steps.signal(queue_of_id(job_id), job_id, "tick", encoded(number))] += 1

    async with anyio.create_task_group() as tasks:
        for job_id in ids:
            tasks.start_soon(send, job_id)
    for job_id in ids:
        job = await floor.settled(job_id)
        assert (job.state, job.result) == (JobState.SUCCEEDED, list(range(SIGNALS_OF_A_JOB))), job.error
    assert codes.total() == SIGNALLED_JOBS * SIGNALS_OF_A_JOB
    assert codes.keys() == {SignalCode.KEPT, SignalCode.DELIVERED}


async def test_another_version_of_a_step_runs_again(floor: Floor, file: Path) -> None:
    """A release that changes what a step does gives it another version, and what the old one has given is void."""
    versions = App("versions")
    work = Work(str(file))

    @versions.job("versions", retry=Retry(base=0.0))
    async def handle(ctx: DurableContext) -> int:
        receipt = await ctx.step("charge", charge, work, ctx.attempt, version=min(ctx.attempt, 2))
        if ctx.attempt < 3:
            raise ConnectionError("again")
        return receipt.number

    await floor.hire(versions)
    assert (await floor.run("versions")).result == 2
    assert done(file) == ["charge 1", "charge 2"]


def _unannotated(number):  # type: ignore[no-untyped-def]
    return number


def _versioned(version: int) -> int:
    return version


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda ctx: ctx.step("a", lambda: 1), "does not say what it returns"),
        (lambda ctx: ctx.step("a", _unannotated, 1), "does not say what it returns"),
        (lambda ctx: ctx.step("a", 1), "takes a function"),
        (lambda ctx: ctx.step("a", _versioned, 1), "an argument `version`"),
        (lambda ctx: ctx.step("", charge), "the name of a step"),
        (lambda ctx: ctx.step("a#2", charge), "the name of a step"),
        (lambda ctx: ctx.step("a\n", charge), "the name of a step"),
        (lambda ctx: ctx.step("a", charge, version="v" * 65), "the version of a step"),
        (lambda ctx: ctx.wait_for("No Signal"), "the name of a signal"),
    ],
)
async def test_a_step_that_cannot_be_one_is_refused_before_it_runs(
    floor: Floor, call: Callable[[DurableContext], Any], said: str
) -> None:
    """What is wrong with a step is said before its function is called."""
    wrong = App("wrong")

    @wrong.job("wrong", retry=Retry(max_attempts=1))
    async def handle(ctx: DurableContext) -> None:
        await call(ctx)

    await floor.hire(wrong)
    job = await floor.run("wrong")
    assert job.error is not None
    assert job.error.type == "millstream.HandlerError"
    assert said in job.error.message


async def test_a_name_stands_for_one_kind_of_step(floor: Floor, file: Path) -> None:
    """A sleep that was a step before is an error that says so."""
    changing = App("changing")

    @changing.job("changing", retry=Retry(base=0.0, max_attempts=2))
    async def handle(ctx: DurableContext) -> None:
        if ctx.attempt == 1:
            await ctx.step("one", charge, Work(str(file)), 1)
            raise ConnectionError("again")
        await ctx.sleep("one", seconds=1)

    await floor.hire(changing)
    job = await floor.run("changing")
    assert job.error is not None
    assert job.error.message == "step `one` was a `step` before: give one of the two another name"


def test_the_context_says_how_a_durable_handler_is_written() -> None:
    """A DurableContext is for `async def`, a SyncDurableContext for `def`."""
    wrong = App("wrong")
    with pytest.raises(HandlerError, match="takes a SyncDurableContext"):

        @wrong.job("a")
        def plain(ctx: DurableContext) -> None: ...

    with pytest.raises(HandlerError, match="takes a Context, because the calls of a SyncDurableContext block"):

        @wrong.job("b")
        async def coroutine(ctx: SyncDurableContext) -> None: ...
