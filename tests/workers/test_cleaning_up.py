"""A handler that is stopped gets one cancellation and its time for clean-up, and is then cancelled for good."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from waiting import wait_until
from workers.floor import Floor, Hired
from workers.test_interrupting import lose_hint_and_cancel

from millstream import App, Context, Retry
from millstream_contracts import JobId, JobState

FAR_S = 600.0

ONCE = Retry(max_attempts=1)


async def pause() -> None:
    """Wait for several turns of the loop and some time, as a clean-up does that talks to a server."""
    for _ in range(3):
        await asyncio.sleep(0.01)


async def by_timeout(floor: Floor, hired: Hired, job_id: JobId) -> None:
    """Stop the handler by its timeout."""


async def by_cancel(floor: Floor, hired: Hired, job_id: JobId) -> None:
    """Stop the handler by a cancellation of its job."""
    await lose_hint_and_cancel(floor, job_id)


async def by_hand_back(floor: Floor, hired: Hired, job_id: JobId) -> None:
    """Stop the handler by a drain of its worker."""
    hired.orders.stop.set()


STOPS = pytest.mark.parametrize("stop", [by_timeout, by_cancel, by_hand_back])


def options(stop: Callable[..., Any]) -> dict[str, Any]:
    """Return the options of a handler that is to be stopped in this way."""
    return {"retry": ONCE, **({"timeout": 0.05} if stop is by_timeout else {})}


@asynccontextmanager
async def transaction(told: list[str]) -> AsyncIterator[None]:
    """Roll back when the body fails, over a slow connection."""
    try:
        yield
    except BaseException:
        await pause()
        told.append("rolled back")
        raise
    finally:
        await pause()
        told.append("connection closed")


@STOPS
async def test_clean_up_gets_to_end(floor: Floor, stop: Callable[..., Any]) -> None:
    """A handler's `finally`, `async with` and `except CancelledError` run to their end, whatever stopped it."""
    app, told, started = App("test"), [], anyio.Event()

    @app.job("one", **options(stop))
    async def one() -> None:
        try:
            async with transaction(told):
                started.set()
                await anyio.sleep_forever()
        except asyncio.CancelledError:
            await pause()
            told.append("told the others")
            raise
        finally:
            with anyio.move_on_after(FAR_S):
                await pause()
            told.append("done")

    hired = await floor.hire(app, grace_s=0.0, renew_every_s=0.1)
    job_id = await floor.submit("one")
    await wait_until(started.is_set, "it runs")
    await stop(floor, hired, job_id)
    await wait_until(lambda: "done" in told, "the clean-up has ended")
    assert told == ["rolled back", "connection closed", "told the others", "done"]
    expected = {by_timeout: JobState.DEAD, by_cancel: JobState.CANCELLED, by_hand_back: JobState.QUEUED}[stop]
    await floor.until(job_id, expected)
    job = await floor.job(job_id)
    assert job.crashes == 0
    if stop is by_timeout:
        assert job.error is not None
        assert job.error.type == "timeout"


@STOPS
async def test_clean_up_that_takes_too_long_is_cancelled_for_good(floor: Floor, stop: Callable[..., Any]) -> None:
    """Once the time for clean-up is over, every later await of the handler is cancelled."""
    app, cancelled, started = App("test"), [], anyio.Event()

    @app.job("one", **options(stop))
    async def one() -> None:
        started.set()
        for _ in range(3):
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError:
                cancelled.append(True)
        await anyio.sleep_forever()

    hired = await floor.hire(app, grace_s=0.0, renew_every_s=0.1, cleanup_s=0.05)
    job_id = await floor.submit("one")
    await wait_until(started.is_set, "it runs")
    await stop(floor, hired, job_id)
    expected = {by_timeout: JobState.DEAD, by_cancel: JobState.CANCELLED, by_hand_back: JobState.QUEUED}[stop]
    await floor.until(job_id, expected)
    assert len(cancelled) == 3


async def test_a_handler_in_clean_up_is_not_cancelled_a_second_time_before_its_time_is_over(floor: Floor) -> None:
    """A handler in clean-up is not cancelled again before its time is over, not even when its worker drains."""
    app, cancelled, started, go = App("test"), [], anyio.Event(), anyio.Event()

    @app.job("one", retry=ONCE)
    async def one() -> None:
        started.set()
        while True:
            try:
                await (go.wait() if cancelled else anyio.sleep_forever())
            except asyncio.CancelledError:
                cancelled.append(True)
            if go.is_set():
                return

    hired = await floor.hire(app, grace_s=0.0, renew_every_s=0.05, cleanup_s=FAR_S)
    job_id = await floor.submit("one")
    await wait_until(started.is_set, "it runs")
    await lose_hint_and_cancel(floor, job_id)
    await wait_until(lambda: cancelled, "it is cancelled")
    hired.orders.stop.set()
    await anyio.wait_all_tasks_blocked()
    go.set()
    await floor.settled(job_id)
    assert cancelled == [True]


@STOPS
async def test_what_a_handler_shields_is_not_cut(floor: Floor, stop: Callable[..., Any]) -> None:
    """A handler is not cancelled inside a shield, and is cancelled once when it leaves it."""
    app, told = App("test"), []
    started, go = anyio.Event(), anyio.Event()

    @app.job("one", **options(stop))
    async def one() -> None:
        with anyio.CancelScope(shield=True):
            started.set()
            await go.wait()
            told.append("charged")
        try:
            await anyio.sleep_forever()
        finally:
            await pause()
            told.append("cleaned up")

    hired = await floor.hire(app, grace_s=0.0, renew_every_s=0.1, cleanup_s=FAR_S)
    job_id = await floor.submit("one")
    await wait_until(started.is_set, "it runs")
    await stop(floor, hired, job_id)
    [running] = hired.worker.parts.pipeline.running()
    await wait_until(lambda: running.interruption is not None, "it is told to stop")
    go.set()
    await wait_until(lambda: len(told) == 2, "it has cleaned up")
    assert told == ["charged", "cleaned up"]


async def test_tasks_of_a_handler_are_stopped_with_it(floor: Floor) -> None:
    """The tasks of a handler, in task groups of asyncio and of anyio, end with it."""
    app, told, started = App("test"), [], []

    async def child(name: str) -> None:
        started.append(name)
        try:
            await anyio.sleep_forever()
        finally:
            told.append(name)

    @app.job("one", timeout=0.05, retry=ONCE)
    async def one() -> None:
        async with anyio.create_task_group() as ours, asyncio.TaskGroup() as theirs:
            ours.start_soon(child, "anyio")
            theirs.create_task(child("asyncio"))

    await floor.hire(app)
    job = await floor.run("one")
    assert job.error is not None
    assert job.error.type == "timeout"
    assert sorted(told) == ["anyio", "asyncio"]


async def test_a_thread_that_is_told_to_stop_gets_its_time(floor: Floor) -> None:
    """A thread that is told to stop ends before its outcome is committed, so that its job runs only once."""
    app, told = App("test"), []

    @app.job("one", timeout=0.05, retry=ONCE)
    def one(ctx: Context) -> None:
        give_up_at = time.monotonic() + 30.0
        while not ctx.cancelled and time.monotonic() < give_up_at:
            time.sleep(0.005)
        time.sleep(0.05)
        told.append("cleaned up")

    await floor.hire(app)
    job = await floor.run("one")
    assert told == ["cleaned up"]
    assert job.error is not None
    assert job.error.type == "timeout"


async def test_a_thread_that_does_not_end_in_its_time_is_left_behind(floor: Floor) -> None:
    """A thread that does not end in its time is left behind: its slot is free again, and its job may be tried again."""
    app, go = App("test"), threading.Event()

    @app.job("one", timeout=0.05, retry=ONCE)
    def one() -> None:
        go.wait(30.0)

    await floor.hire(app, concurrency=1, cleanup_s=0.05)
    try:
        assert (await floor.run("one")).state is JobState.DEAD
        assert (await floor.run("one")).state is JobState.DEAD
    finally:
        go.set()


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_the_last_progress_is_committed_with_the_outcome(floor: Floor, kind: str) -> None:
    """The last progress of a handler is committed with its outcome, also when no renewal comes between."""
    app = App("test")

    @app.job("loop")
    async def on_loop(ctx: Context) -> None:
        ctx.progress(75)
        ctx.progress(100, "done")

    @app.job("thread")
    def in_thread(ctx: Context) -> None:
        ctx.progress(75)
        ctx.progress(100, "done")

    await floor.hire(app, renew_every_s=FAR_S, lease_s=10 * FAR_S)
    job = await floor.run(kind)
    assert job.progress is not None
    assert (job.progress.percent, job.progress.note) == (100.0, "done")


async def test_the_progress_of_an_attempt_that_failed_is_kept_with_it(floor: Floor) -> None:
    """The progress of a failed attempt is kept, because it shows how far a dead job came."""
    app = App("test")

    @app.job("one", retry=ONCE)
    async def one(ctx: Context) -> None:
        ctx.progress(40, "half of it")
        raise ValueError("no")

    await floor.hire(app, renew_every_s=FAR_S, lease_s=10 * FAR_S)
    job = await floor.run("one")
    assert job.progress is not None
    assert (job.state, job.progress.percent, job.progress.note) == (JobState.DEAD, 40.0, "half of it")


async def test_progress_beside_other_jobs_is_the_job_s_own(floor: Floor) -> None:
    """Each outcome of a batched commit keeps the progress of its own job, and a job without progress gets none."""
    app = App("test")

    @app.job("one")
    async def one(number: int, ctx: Context) -> None:
        if number % 3 == 0:
            ctx.progress(number)

    await floor.hire(app, concurrency=100, renew_every_s=FAR_S, lease_s=10 * FAR_S)
    for number, job_id in enumerate(await floor.submit_many("one", list(range(100)))):
        job = await floor.settled(job_id)
        found = None if job.progress is None else job.progress.percent
        assert found == (float(number) if number % 3 == 0 else None)
