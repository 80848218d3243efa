"""A handler is stopped by a timeout, a cancellation, or the loss of its lease, and by nothing else."""

import threading
import time
from typing import Any

import anyio
import pytest
from streams.seeds import kinds
from waiting import wait_until
from workers.floor import Floor, queue_of_id, queue_of_type

from millstream import App, Context, Retry
from millstream_contracts import JobId, JobState
from millstream_streams import open_broker

FAR_S = 600.0
"""A time so long that it cannot be what made something happen within a test."""


class Gate:
    """A handler on the loop that runs until the test lets it end, and records what happened to it."""

    def __init__(self, **options: Any) -> None:
        self.app = App("test")
        self.started: list[Context] = []
        self.stopped: list[Context] = []
        self.go = anyio.Event()

        @self.app.job("gate", **options)
        async def gate(ctx: Context) -> int:
            self.started.append(ctx)
            try:
                await self.go.wait()
            except anyio.get_cancelled_exc_class():
                self.stopped.append(ctx)
                raise
            return ctx.fence


class ThreadGate:
    """A handler in a thread, which cannot be stopped and looks at `cancelled` by itself."""

    def __init__(self, **options: Any) -> None:
        self.app = App("test")
        self.started: list[Context] = []
        self.stopped: list[Context] = []
        self.go = threading.Event()

        @self.app.job("gate", **options)
        def gate(ctx: Context) -> int:
            self.started.append(ctx)
            give_up_at = time.monotonic() + 30.0  # a thread that never ends would hold up the end of the tests
            while not self.go.wait(0.005) and time.monotonic() < give_up_at:
                if ctx.cancelled:
                    self.stopped.append(ctx)
                    break
            return ctx.fence


gates = pytest.mark.parametrize("make", [Gate, ThreadGate])


async def lose_hint_and_cancel(floor: Floor, job_id: JobId) -> None:
    """Cancel a job while the hint to its worker is lost."""
    await floor.broker.client.hset(floor.broker.keys.of(queue_of_id(job_id)).job(job_id), "cancel", 1)


@gates
async def test_a_timeout_stops_the_handler_and_is_a_failed_attempt(floor: Floor, make: type[Gate]) -> None:
    """A timeout, of the submission before that of the type, stops the handler, fails the attempt and frees the slot."""
    gate = make(timeout=FAR_S, retry=Retry(max_attempts=2, base=0.0))
    hired = await floor.hire(gate.app, concurrency=1)
    job = await floor.run("gate", timeout_s=0.05, backoff=None)
    assert (job.state, job.reason, job.attempts) == (JobState.DEAD, "attempts", 2)
    assert job.error is not None
    assert (job.error.type, job.error.message) == ("timeout", "the attempt took longer than 0.05 s")
    assert hired.attempts("gate", "timeout") == 2
    await wait_until(lambda: len(gate.stopped) == 2, "the handler has noticed")
    gate.go.set()
    assert (await floor.run("gate")).state is JobState.SUCCEEDED


async def test_a_handler_knows_its_deadline(floor: Floor) -> None:
    """A handler can read its deadline on the clock of `time.monotonic`, to pass on what is left."""
    gate = Gate(timeout=60.0)
    gate.go.set()
    await floor.hire(gate.app)
    await floor.run("gate")
    (ctx,) = gate.started
    assert ctx.deadline is not None
    assert 0 < ctx.deadline - time.monotonic() <= 60.0


@gates
async def test_a_hint_cancels_a_running_job_before_its_next_renewal(floor: Floor, make: type[Gate]) -> None:
    """A hint cancels a running job at once, while the next renewal is minutes away."""
    gate = make()
    hired = await floor.hire(gate.app, renew_every_s=FAR_S, lease_s=10 * FAR_S)
    job_id = await floor.submit("gate")
    await wait_until(lambda: gate.started, "it runs")
    # The worker may still be about to subscribe: a hint without a listener is lost, and then renewals tell.
    await wait_until(lambda: is_heard(floor, hired.name), "the worker listens")
    await floor.cancel(job_id)
    job = await floor.settled(job_id)
    assert (job.state, job.reason, job.attempts) == (JobState.CANCELLED, "cancelled", 0)
    await wait_until(lambda: gate.stopped and gate.stopped[0].cancelled, "the handler has noticed")
    assert hired.attempts("gate", "cancelled") == 1


async def is_heard(floor: Floor, worker: str) -> bool:
    """Return whether a worker listens for cancellations."""
    channel = floor.broker.keys.hint_cancel(worker)
    return bool((await floor.broker.client.pubsub_numsub(channel))[0][1])


@gates
async def test_a_renewal_cancels_a_running_job_when_the_hint_was_lost(floor: Floor, make: type[Gate]) -> None:
    """A job whose cancellation hint was lost is cancelled at its next renewal."""
    gate = make()
    await floor.hire(gate.app, renew_every_s=0.1)
    job_id = await floor.submit("gate")
    await wait_until(lambda: gate.started, "it runs")
    await lose_hint_and_cancel(floor, job_id)
    assert (await floor.settled(job_id)).state is JobState.CANCELLED


async def test_a_cancellation_stops_only_the_job_it_names(floor: Floor) -> None:
    """A cancellation stops the job that it names, and the other jobs on the same loop go on."""
    gate = Gate()
    await floor.hire(gate.app, renew_every_s=0.1)
    ids = await floor.submit_many("gate", [None] * 5)
    await wait_until(lambda: len(gate.started) == 5, "all run")
    await floor.cancel(ids[2])
    await floor.settled(ids[2])
    assert [ctx.job_id for ctx in gate.stopped] == [ids[2]]
    gate.go.set()
    states = [(await floor.settled(job_id)).state for job_id in ids]
    assert states.count(JobState.SUCCEEDED) == 4


async def test_a_handler_that_fails_while_it_is_cancelled_is_not_tried_again(floor: Floor) -> None:
    """A job whose handler fails in its clean-up after a cancellation is cancelled, and is not tried again."""
    app, started = App("test"), anyio.Event()

    @app.job("one")
    async def one() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("the clean-up failed")

    await floor.hire(app, renew_every_s=0.1)
    job_id = await floor.submit("one")
    await wait_until(started.is_set, "it runs")
    await floor.cancel(job_id)
    job = await floor.settled(job_id)
    assert (job.state, job.deliveries) == (JobState.CANCELLED, 1)


async def test_a_handler_that_ends_well_in_spite_of_its_cancellation_has_succeeded(floor: Floor) -> None:
    """A handler that returns in spite of its cancellation has succeeded, because its effects are there."""
    app, started = App("test"), anyio.Event()

    @app.job("one")
    async def one() -> str:
        started.set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return "done all the same"

    await floor.hire(app, renew_every_s=0.1)
    job_id = await floor.submit("one")
    await wait_until(started.is_set, "it runs")
    await floor.cancel(job_id)
    job = await floor.settled(job_id)
    assert (job.state, job.result) == (JobState.SUCCEEDED, "done all the same")


async def test_progress_is_seen_while_the_handler_runs(floor: Floor) -> None:
    """Progress that a handler sets, awaited or not, is visible after the next renewal."""
    app, go = App("test"), anyio.Event()

    @app.job("one")
    async def one(ctx: Context) -> None:
        await ctx.progress(10, "begun")
        ctx.progress(250, "x" * 1000)
        await go.wait()

    await floor.hire(app, renew_every_s=0.1)
    job_id = await floor.submit("one")

    async def is_seen() -> bool:
        progress = (await floor.job(job_id)).progress
        return progress is not None and (progress.percent, progress.note) == (100.0, "x" * 200)

    await wait_until(is_seen, "the newest progress is in Redis")
    go.set()
    assert (await floor.settled(job_id)).state is JobState.SUCCEEDED


async def test_a_lease_is_kept_while_a_handler_blocks_the_event_loop(floor: Floor, redis_url: str) -> None:
    """A handler may block the loop for longer than a lease, and the reaper recovers neither its job nor another."""
    app, blocked, may_end = App("test"), threading.Event(), threading.Event()
    neighbour = anyio.Event()
    lease_s = 0.6

    @app.job("block")
    async def block() -> str:
        blocked.set()
        may_end.wait(30.0)
        return "unblocked"

    @app.job("neighbour")
    async def wait() -> str:
        await neighbour.wait()
        return "fine"

    taken_back: list[JobId] = []
    namespace = floor.broker.keys.namespace

    async def reap() -> None:
        """Recover what is idle, until the loop has been blocked for three leases by the clock of Redis."""
        async with open_broker(redis_url, namespace=namespace) as broker:
            begun = await now_s(broker.client)
            while await now_s(broker.client) < begun + 3 * lease_s:
                for job_type in ("block", "neighbour"):
                    found = await broker.store.recover(
                        queue_of_type(job_type), lease_ms=round(lease_s * 1000), max_crashes=3
                    )
                    taken_back.extend(one.id for one in found.requeued)
        may_end.set()

    def reap_in_thread() -> None:
        if blocked.wait(30.0):
            anyio.run(reap)

    reaper = threading.Thread(target=reap_in_thread)
    reaper.start()
    await floor.hire(app, lease_s=lease_s, renew_every_s=0.1)
    beside = await floor.submit("neighbour")
    await floor.until(beside, JobState.RUNNING)
    job = await floor.run("block")
    reaper.join(timeout=30.0)
    neighbour.set()
    other = await floor.settled(beside)
    assert taken_back == []
    assert (job.result, job.deliveries, job.crashes) == ("unblocked", 1, 0)
    assert (other.result, other.deliveries, other.crashes) == ("fine", 1, 0)


async def now_s(client: Any) -> float:
    """Return the time of Redis."""
    seconds, microseconds = await client.time()
    return seconds + microseconds / 1e6


@gates
async def test_a_handler_whose_lease_is_lost_is_stopped(floor: Floor, make: type[Gate]) -> None:
    """A handler whose lease is lost is stopped; its delivery is counted as lost and commits nothing."""
    gate = make()
    hired = await floor.hire(gate.app, renew_every_s=0.1)
    job_id = await floor.submit("gate")
    await wait_until(lambda: len(gate.started) == 1, "it runs")
    await floor.take_back(job_id)
    await wait_until(lambda: gate.stopped, "the handler is stopped")
    assert gate.stopped[0].fence == 1
    await wait_until(lambda: hired.attempts("gate", "lost") == 1, "it is counted")
    await wait_until(lambda: len(gate.started) == 2, "it runs again")
    gate.go.set()
    job = await floor.settled(job_id)
    assert (job.state, job.result, job.deliveries, job.attempts, job.crashes) == (JobState.SUCCEEDED, 2, 2, 1, 1)


async def test_a_job_that_returns_while_its_first_handler_still_stops_runs_beside_it(floor: Floor) -> None:
    """Two deliveries of one job on one worker keep a lease each, and the end of one does not end the other."""
    app, runs = App("test"), {1: anyio.Event(), 2: anyio.Event()}
    told, release_first = anyio.Event(), anyio.Event()

    @app.job("one")
    async def one(ctx: Context) -> int:
        runs[ctx.fence].set()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            if ctx.fence == 1:
                told.set()
                with anyio.CancelScope(shield=True):
                    await release_first.wait()
            raise
        return ctx.fence

    hired = await floor.hire(app, renew_every_s=0.1)
    job_id = await floor.submit("one")
    await wait_until(runs[1].is_set, "it runs")
    await floor.take_back(job_id)
    await wait_until(runs[2].is_set, "it runs again")
    await wait_until(told.is_set, "the first is told to stop")
    release_first.set()
    await wait_until(lambda: hired.attempts("one", "lost") == 1, "the first is gone")
    assert (await floor.job(job_id)).state is JobState.RUNNING
    assert hired.is_running
    # Only who is still looked after learns of this, for the hint is lost.
    await lose_hint_and_cancel(floor, job_id)
    job = await floor.settled(job_id)
    assert (job.state, job.deliveries) == (JobState.CANCELLED, 2)


async def test_the_outcome_of_a_lost_delivery_is_refused(floor: Floor) -> None:
    """The outcome of a handler that ran on after its lease was lost is refused."""
    app, go = App("test"), {1: anyio.Event(), 2: anyio.Event()}
    started: list[int] = []

    @app.job("one")
    async def one(ctx: Context) -> str:
        started.append(ctx.fence)
        with anyio.CancelScope(shield=True):
            await go[ctx.fence].wait()
        return f"from delivery {ctx.fence}"

    # It does not learn of its loss in time: the renewal is minutes away.
    hired = await floor.hire(app, renew_every_s=FAR_S, lease_s=10 * FAR_S)
    job_id = await floor.submit("one")
    await wait_until(lambda: started == [1], "it runs")
    await floor.take_back(job_id)
    await wait_until(lambda: started == [1, 2], "it runs again")
    go[1].set()
    await wait_until(lambda: hired.attempts("one", "stale") == 1, "the outcome of the first is refused")
    assert (await floor.job(job_id)).state is JobState.RUNNING
    go[2].set()
    job = await floor.settled(job_id)
    assert (job.result, job.deliveries, job.attempts, job.crashes) == ("from delivery 2", 2, 1, 1)
    assert hired.attempts("one", "ok") == 1
    assert await kinds(floor.broker, queue_of_id(job_id)) == [
        "submitted", "started", "recovered", "started", "succeeded",
    ]  # fmt: skip


async def test_a_lease_is_renewed_for_as_long_as_a_job_runs(floor: Floor) -> None:
    """A lease is renewed for as long as its job runs, however many times its length that is."""
    gate = Gate()
    lease_s = 0.5
    await floor.hire(gate.app, lease_s=lease_s, renew_every_s=0.05)
    job_id = await floor.submit("gate")
    await wait_until(lambda: gate.started, "it runs")
    begun = await now_s(floor.broker.client)

    async def have_leases_passed() -> bool:
        found = await floor.broker.store.recover(queue_of_id(job_id), lease_ms=round(lease_s * 1000), max_crashes=3)
        assert not found.requeued
        return await now_s(floor.broker.client) > begun + 3 * lease_s

    await wait_until(have_leases_passed, "three leases have passed")
    gate.go.set()
    assert (await floor.settled(job_id)).deliveries == 1
