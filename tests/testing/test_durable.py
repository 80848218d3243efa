"""Durable handlers in the test kit: steps, sleeps and signals as with real workers, and a clock that the test moves."""

from datetime import timedelta
from typing import Any

import pytest

from millstream import (
    App,
    ConflictError,
    DurableContext,
    JobHandle,
    Retry,
    Signal,
    SignalTimeoutError,
    SyncDurableContext,
)
from millstream.testing import TestingError
from millstream_contracts import JobState

taken: list[str] = []
approved = Signal("approved", str)
app = App("durable")


@pytest.fixture(autouse=True)
def forget() -> None:
    """Forget what earlier tests have done."""
    taken.clear()


async def charge(number: int) -> int:
    """Note the call."""
    taken.append(f"charge {number}")
    return number


def pack(number: int) -> str:
    """Note the call."""
    taken.append(f"pack {number}")
    return f"box {number}"


@app.job("order", retry=Retry(base=1))
async def order(number: int, ctx: DurableContext) -> str:
    """Charge, sleep, and pack at the second attempt."""
    await ctx.step("charge", charge, number)
    await ctx.sleep("nap", hours=6)
    if ctx.attempt == 1:
        raise ConnectionError("again")
    return await ctx.step("pack", pack, number)


@app.job("order.plain")
def plain(number: int, ctx: SyncDurableContext) -> str:
    """Pack, sleep and wait in a thread."""
    ctx.step("pack", pack, number)
    ctx.sleep("nap", hours=6)
    return ctx.wait_for(approved, timeout=timedelta(hours=1), default="nobody")


@app.job("order.large")
async def large(ctx: DurableContext) -> str:
    """Wait for ever, and then for an hour."""
    first = await ctx.wait_for(approved)
    try:
        return first + await ctx.wait_for(approved, timeout=3600)
    except SignalTimeoutError:
        return f"{first} alone"


async def test_a_later_attempt_repeats_no_step_and_no_sleep() -> None:
    """Steps are taken once over a retry, and the clock passes over a sleep once."""
    async with app.testing() as t:
        before = t.now
        assert await t.run(order, 7) == "box 7"
        assert taken == ["charge 7", "pack 7"]
        assert timedelta(hours=6) <= t.now - before < timedelta(hours=7)


async def test_a_lost_worker_repeats_no_step_that_is_stored() -> None:
    """A crash at the end of a delivery leaves the steps of it."""
    async with app.testing() as t:
        with t.crash(order):
            await t.run(order, 7)
        assert taken == ["charge 7", "pack 7"]


async def test_a_crash_in_a_step_repeats_that_step_alone() -> None:
    """A step whose worker vanished before it was stored runs again; those before it do not."""
    async with app.testing() as t:
        with t.crash(order, at="step", step="pack"):
            assert await t.run(order, 7) == "box 7"
        assert taken == ["charge 7", "pack 7", "pack 7"]


async def test_a_crash_in_the_next_step_may_come_often() -> None:
    """Without a name it is the next step, in as many deliveries; a handler cannot keep a worker alive that vanished."""

    async def try_to_live(ctx: DurableContext) -> str:
        try:
            return await ctx.step("first", pack, 1)
        finally:
            await ctx.step("second", pack, 2)

    stubborn = App("stubborn")
    job = stubborn.job("stubborn")(try_to_live)
    async with stubborn.testing() as t:
        with t.crash(job, at="step", times=2):
            assert await t.run(job) == "box 1"
    assert taken.count("pack 1") == 3


async def test_crashes_in_steps_that_do_not_come_are_told() -> None:
    """A fault of a step that no job reaches is an error of the test, and so is a step of another fault."""
    async with app.testing() as t:
        with pytest.raises(TestingError, match="the step `wrap`"), t.crash(order, at="step", step="wrap"):
            await t.run(order, 7)
        with pytest.raises(ValueError, match="only with"):
            t.crash(order, step="charge")


def test_a_crash_in_a_step_of_a_thread() -> None:
    """A plain durable handler is lost in a step as well."""
    with app.testing_sync() as t:
        with t.crash(plain, at="step"):
            assert t.run(plain, 7) == "nobody"
        assert taken == ["pack 7", "pack 7"]


async def test_a_job_waits_until_a_signal_is_sent() -> None:
    """A signal wakes the job that waits for it; a second wait of the same name takes the next one."""
    async with app.testing() as t:
        job: JobHandle[str] = await t.client.submit(large)
        await t.run_ready()
        assert (await job.status()).waiting_for == "approved"
        await t.signal(job, approved, "ann")
        assert (await t.client.steps(job.id)).waiting_for == "approved"
        await t.signal(job.id, "approved", "bob")
        assert await job.result() == "annbob"
        with pytest.raises(ConflictError):
            await t.signal(job, approved, "too late")


async def test_a_signal_before_the_wait_is_kept_and_a_timeout_passes() -> None:
    """A signal is there when the handler asks for it, and without a second one the clock moves to the timeout."""
    async with app.testing() as t:
        job = await t.client.submit(large)
        receipt = await t.client.signal(job.id, approved, "ann", idempotency_key="once")
        again = await t.client.signal(job.id, approved, "ann", idempotency_key="once")
        assert (receipt.outcome, again.outcome) == ("kept", "replayed")
        await t.advance(minutes=90)
        assert await job.result() == "ann alone"


async def test_what_waits_for_ever_is_told() -> None:
    """A job that waits for a signal which is not sent does not end by itself, and the kit says so."""
    async with app.testing() as t:
        with pytest.raises(TestingError, match="nothing moves it: it waits for the signal `approved`"):
            await t.run(large)
        (waiting,) = (await t.client.jobs(state="scheduled")).items
        await t.client.cancel(waiting.id)


async def test_a_redrive_goes_on_and_a_fresh_one_begins_anew() -> None:
    """Steps outlive the death of their job, unless the retry is fresh."""
    dying = App("dying")

    @dying.job("dies", retry=Retry(max_attempts=1))
    async def dies(number: int, ctx: DurableContext) -> None:
        await ctx.step("charge", charge, number)
        raise ValueError("no")

    async with dying.testing(allow_dead=True) as t:
        job = await t.client.submit(dies, 1)
        await t.run_ready()
        for fresh in (False, True):
            await t.client.retry(job.id, fresh=fresh)
            await t.run_ready()
        assert taken == ["charge 1", "charge 1"]
        assert (await job.status()).state is JobState.DEAD


def test_plain_handlers_wait_without_an_event_loop() -> None:
    """The kit for plain tests has the same."""
    with app.testing_sync() as t:
        assert t.run(plain, 7) == "nobody"
        job: Any = t.client.submit(plain, 8)
        t.advance(hours=6)
        t.signal(job, approved, "ann")
        assert job.result() == "ann"
        assert taken == ["pack 7", "pack 8"]
