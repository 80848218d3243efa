"""The test kit runs the jobs of an app in memory, by the code of the workers."""

import asyncio
import warnings
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio.to_thread
import pytest
from testing.store_app import (
    Order,
    Pool,
    Receipt,
    app,
    archive,
    charge,
    compute,
    later,
    mail,
    note_death,
    opened,
    remind,
    send_mail,
    tax,
    wait_for_ever,
)

from millstream import App, Client, Context, InvalidError, JobFailedError, Snooze, WaitTimeoutError
from millstream.testing import LeftoverError, Testing, TestingError
from millstream_contracts import JobState, Priority


async def test_a_job_runs_with_its_retries_and_children() -> None:
    """`run` returns the decoded result; the clock has moved by the delays, and the children have run."""
    pool = Pool()
    async with app.testing(state=pool) as t:
        begun = t.now
        assert await t.run(charge, Order(2)) == Receipt(2, 3)
        assert t.now - begun == timedelta(seconds=11)
        assert pool.rows == ["archived 2 fence 1"]


async def test_a_failure_is_raised_with_what_the_handler_raised() -> None:
    """`run` raises JobFailedError for a dead job: it has the job, and the exception of the handler as its cause."""
    async with app.testing(state=Pool()) as t:
        with pytest.raises(JobFailedError, match="dead_on KeyError") as raised:
            await t.run(charge, Order(404))
        assert type(raised.value.__cause__) is KeyError
        assert raised.value.job.error is not None
        assert "raise KeyError" in raised.value.job.error.traceback
        assert "millstream_testing" not in raised.value.job.error.traceback


async def test_a_dead_letter_gets_its_job() -> None:
    """The handler of `on_dead` runs as a child of the dead job."""
    pool = Pool()
    async with app.testing(state=pool) as t:
        with pytest.raises(JobFailedError):
            await t.run(charge, Order(404))
        assert pool.rows == ["dead order.charge 404"]
        assert [one.payload.type for one in t.submitted(note_death)] == ["order.charge"]


async def test_snooze_and_discard_are_outcomes() -> None:
    """A snoozed job comes back at its time and at no cost; a discarded one is cancelled."""
    async with app.testing(state=Pool()) as t:
        begun = t.now
        assert await t.run(later, Order(1)) == "delivery 2, attempt 1"
        assert t.now - begun == timedelta(hours=1)
        with pytest.raises(JobFailedError, match=r"cancelled.*nothing to do"):
            await t.run(later, Order(0))


async def test_a_snooze_holds_back_its_type_or_its_key() -> None:
    """Other jobs of the key wait as long as the one that was told to come back, and those of other keys do not."""
    pushed = App("pushed")
    told: list[str] = []

    @pushed.job("push")
    async def push(name: str, ctx: Context) -> None:
        if ctx.fence == 1 and name in {"type", "key"}:
            raise Snooze(3600, gate="type" if name == "type" else "key")
        told.append(name)

    async with pushed.testing() as t:
        for name, key in [("key", "acme"), ("acme", "acme"), ("other", "umbrella")]:
            await t.client.submit(push, name, key=key)
        await t.run_ready()
        assert told == ["other"]
        await t.advance(timedelta(hours=1))
        assert sorted(told) == ["acme", "key", "other"]
        await t.client.submit(push, "type")
        await t.run_ready()
        begun = t.now
        await t.run(push, "waits too")
        assert t.now - begun == timedelta(hours=1)
        await t.run_ready()
        assert sorted(told[3:]) == ["type", "waits too"]


async def test_the_lifespan_is_the_state_unless_one_is_given() -> None:
    """Without `state`, the lifespan of the app is opened and closed, and included apps share it."""
    async with app.testing() as t:
        assert t.state is opened[-1]
        await t.run(send_mail, "x")
        assert t.state.rows == ["mail x"]
        assert t.state.is_open
    assert not opened[-1].is_open
    count = len(opened)
    async with app.testing(state=Pool()):
        assert len(opened) == count


async def test_a_context_is_made_for_calls_of_the_function_itself() -> None:
    """`context` gives what a handler needs when a test calls it, and its children are submissions of the test."""
    async with app.testing(state=Pool()) as t:
        context = t.context(attempt=3, tags={"a": "b"}, timeout=timedelta(seconds=5))
        assert (context.attempt, context.fence, context.tags, context.timeout_s) == (3, 3, {"a": "b"}, 5.0)
        assert await charge(Order(2), context) == Receipt(2, 3)
        assert await anyio.to_thread.run_sync(archive, Order(7), t.sync_context()) == 7
        (child,) = t.submitted(archive)
        assert (child.payload, child.tags, child.state) == (Order(2), {"from": "charge"}, JobState.QUEUED)


async def test_submissions_are_shown_with_their_options() -> None:
    """`submitted` returns payloads as the handler gets them, and the options, in the order of submission."""
    async with app.testing(state=Pool()) as t:
        await t.client.submit(archive, Order(1), delay=60, priority="high", key="acme", max_attempts=2, timeout=5)
        await archive.submit(Order(2), expires_in=timedelta(hours=1))
        first, second = t.submitted(archive)
        assert (first.payload, first.delay_s, first.priority) == (Order(1), 60.0, Priority.HIGH)
        assert (first.max_attempts, first.timeout_s, first.parent) == (2, 5.0, None)
        assert (first.key, second.key) == ("acme", None)
        assert (await t.client.get(first.id)).key == "acme"
        assert first.run_at == t.now + timedelta(minutes=1)
        assert second.expires_at == t.now + timedelta(hours=1)


async def test_time_passes_as_the_test_says() -> None:
    """`advance` runs each job at its time; a child for later is left scheduled by `run`, and is no leftover."""
    pool = Pool()
    async with app.testing(state=pool, now=datetime(2026, 1, 1, tzinfo=UTC)) as t:
        await t.run(remind, Order(1))
        assert pool.rows == []
        await t.advance(hours=23)
        assert pool.rows == []
        await t.advance(hours=1)
        assert pool.rows == ["mail reminder 1"]
        assert t.now == datetime(2026, 1, 2, tzinfo=UTC)


async def test_a_handler_reaches_its_timeout_when_time_passes() -> None:
    """A job that was started runs while the test goes on, and is stopped when its timeout is over."""
    async with app.testing(state=Pool()) as t:
        job = await t.start(wait_for_ever)
        assert (await job.status()).state is JobState.RUNNING
        await t.advance(seconds=29)
        assert (await job.status()).state is JobState.RUNNING
        await t.advance(seconds=1)
        with pytest.raises(JobFailedError, match="took longer than 30 s"):
            await job.result()


async def test_a_running_job_is_cancelled() -> None:
    """A handle cancels a job that runs: its handler is stopped."""
    async with app.testing(state=Pool()) as t:
        job = await t.start(wait_for_ever)
        await job.cancel()
        with pytest.raises(JobFailedError, match="is cancelled"):
            await job.result()


async def test_a_job_expires_that_has_not_started_in_time() -> None:
    """A late job is expired when time passes and when it would run."""
    async with app.testing(state=Pool()) as t:
        job = await t.client.submit(tax, Order(1), expires_in=60)
        await t.advance(minutes=2)
        assert (await job.status()).state is JobState.EXPIRED


async def test_a_stub_stands_in_for_a_handler() -> None:
    """A stub returns, raises, calls or times out, as often as it is told to; then the handler itself runs."""
    async with app.testing(state=Pool()) as t:
        t.stub(charge).raises(ConnectionError("away"), times=1).times_out(times=1).returns(Receipt(5, 0), times=1)
        assert await t.run(charge, Order(0)) == Receipt(5, 0)
        assert await t.run(charge, Order(0)) == Receipt(0, 1)
        t.stub(charge).calls(lambda order: Receipt(order.id, 99))
        assert await t.run(charge, Order(8)) == Receipt(8, 99)
        t.stub(charge).raises(Snooze(60), times=1).returns(Receipt(1, 1))
        assert await t.run(charge, Order(8)) == Receipt(1, 1)


async def test_results_of_a_stub_are_checked_as_those_of_its_handler() -> None:
    """A stub that returns what the handler may not return buries the job as invalid_result."""
    wrong: Any = "no receipt"
    async with app.testing(state=Pool()) as t:
        t.stub(charge).returns(wrong)
        with pytest.raises(JobFailedError, match="invalid_result"):
            await t.run(charge, Order(1))


async def test_a_stub_that_cannot_do_what_it_should_ends_the_test() -> None:
    """A stub that times out needs a timeout, and one of another code base something to do: `run` says so at once."""
    async with app.testing(state=Pool(), allow_dead=True) as t:
        t.stub(later).times_out(times=1)
        with pytest.raises(TestingError, match=r"`order\.later` has no timeout"):
            await t.run(later, Order(1))
        t.stub(tax)
        with pytest.raises(TestingError, match="its stub has nothing more to do"):
            await t.run(tax, Order(1))
        t.ignores_leftovers = True


async def test_a_type_of_another_code_base_is_stubbed() -> None:
    """Jobs of a contract are accepted; without a stub nothing runs them, which `run` says."""
    async with app.testing(state=Pool()) as t:
        with pytest.raises(TestingError, match=r"the app has no handler for `tax\.compute`"):
            await t.run(tax, Order(1))
        t.stub(tax).calls(lambda order: order.id * 0.2)
        assert await t.run(tax, Order(10)) == 2.0
        assert [one.payload for one in t.submitted(tax)] == [Order(1), Order(10)]


async def test_what_the_api_refuses_is_refused() -> None:
    """A payload that does not fit, an unknown option and a used key are refused as by the API."""
    wrong: Any = {"id": "x"}
    async with app.testing(state=Pool()) as t:
        with pytest.raises(InvalidError, match="id"):
            await t.run(charge, wrong)
        with pytest.raises(TypeError, match="did you mean `delay`"):
            await t.client.submit(charge, Order(1), dealy=3)  # type: ignore[call-overload]
        first = await t.client.submit(archive, Order(1), idempotency_key="k")
        assert (await t.client.submit(archive, Order(1), idempotency_key="k")).id == first.id
        with pytest.raises(InvalidError, match="Idempotency key reused"):
            await t.client.submit(archive, Order(2), idempotency_key="k")
        await first.result()


async def test_a_client_follows_the_jobs_of_the_test() -> None:
    """Code under test submits, waits, reads, lists and redrives by a client, without a network."""

    async def place_order(client: Client) -> Receipt:
        return await (await client.submit(charge, Order(1), delay=5)).result()

    async with app.testing(state=Pool()) as t:
        assert await place_order(t.client) == Receipt(1, 2)
        job = await t.client.submit(archive, Order(1), delay=3600)
        with pytest.raises(WaitTimeoutError):
            await job.result(timeout=60)
        assert [one.id for one in (await t.client.jobs(state="scheduled")).items] == [job.id]
        assert (await job.cancel()).state is JobState.CANCELLED
        receipt = await t.client.submit_many(archive, [Order(1), Order(2)])
        assert receipt.accepted == 2
        await t.run_ready()
        with pytest.raises(JobFailedError) as failed:
            await t.run(charge, Order(404))
        assert [letter.id for letter in (await t.client.dead()).items] == [failed.value.job.id]
        t.stub(charge).returns(Receipt(404, 1))
        await t.client.retry(failed.value.job.id)
        assert await t.client.result(charge, failed.value.job.id) == Receipt(404, 1)


async def test_handlers_submit_to_the_kit_only_while_it_is_open() -> None:
    """`.submit()` of handlers, those of included apps too, reaches the kit; afterwards the app is bound as before."""
    assert (app.submitter, mail.submitter) == (None, None)
    async with app.testing(state=Pool()) as t:
        await (await send_mail.submit("x")).result()
        assert t.submitted(send_mail)[0].payload == "x"
    assert (app.submitter, mail.submitter) == (None, None)


async def test_a_handler_of_a_process_runs_here() -> None:
    """A handler with `isolation="process"` runs in the process of the test."""
    async with app.testing(state=Pool()) as t:
        assert await t.run(compute, "a") == "A"


async def test_a_crash_costs_a_lease_and_no_attempt() -> None:
    """After a crash at the start nothing has happened; after one at the end the handler runs again."""
    pool = Pool()
    async with app.testing(state=pool) as t:
        begun = t.now
        with t.crash(archive, at="start"):
            assert await t.run(archive, Order(1)) == 1
        assert pool.rows == ["archived 1 fence 2"]
        assert t.now - begun == timedelta(seconds=30)
        with t.crash(archive, at="end"):
            assert await t.run(archive, Order(2)) == 2
        assert pool.rows[1:] == ["archived 2 fence 1", "archived 2 fence 2"]
        with t.crash(archive, times=3), pytest.raises(JobFailedError, match="crashed"):
            await t.run(archive, Order(3))


async def test_a_duplicate_delivery_runs_the_handler_twice_and_counts_once() -> None:
    """Two workers run one job: the outcome of the first, which comes late, is refused."""
    pool = Pool()
    async with app.testing(state=pool) as t:
        with t.deliver_twice(archive):
            job = await t.client.submit(archive, Order(1))
            assert await job.result() == 1
        assert pool.rows == ["archived 1 fence 1", "archived 1 fence 2"]
        status = await job.status()
        assert (status.attempts, status.deliveries, status.crashes) == (1, 2, 1)


async def test_a_planned_fault_has_to_happen() -> None:
    """A crash that no job met is an error of the test."""
    async with app.testing(state=Pool()) as t:
        with pytest.raises(TestingError, match=r"1 of 1 planned faults of `order\.archive`"), t.crash(archive):
            await t.run(later, Order(1))


async def leave_behind(t: Testing[Pool], what: str) -> None:
    """Leave something behind."""
    match what:
        case "queued":
            await t.client.submit(archive, Order(1))
        case "unknown":
            await t.client.submit("order.archve", {"id": 1})
        case "running":
            await t.start(wait_for_ever)
        case "dead":
            await t.client.submit(charge, Order(404))
            await t.run_ready()
        case "unawaited":
            archive.submit(Order(1))  # type: ignore[unused-coroutine]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("queued", "order.archive_.* is queued: run it"),
        ("unknown", "no handler for `order.archve`; did you mean `order.archive`"),
        ("running", "order.wait_.* still runs"),
        ("dead", "order.charge_.* is dead .*KeyError"),
        ("unawaited", "submit was never awaited"),
    ],
)
async def test_what_a_test_leaves_behind_makes_it_fail(what: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that are queued, run or are dead at the end, and submissions that were not awaited, are reported."""
    monkeypatch.setattr(warnings, "showwarning", lambda *_: None)
    warnings.simplefilter("always")
    with pytest.raises(LeftoverError, match=says):
        async with app.testing(state=Pool()) as t:
            await leave_behind(t, what)


async def test_what_the_test_has_looked_at_is_no_leftover() -> None:
    """Submissions that were looked at may stay queued, and dead jobs dead; so may all with `allow_dead`."""
    async with app.testing(state=Pool()) as t:
        await leave_behind(t, "queued")
        await leave_behind(t, "dead")
        assert len(t.submitted(archive)) == 1
        assert [one.payload for one in await t.dead(charge)] == [{"id": 404, "customer": "ann"}]
    async with app.testing(state=Pool(), allow_dead=True) as t:
        await leave_behind(t, "dead")


async def test_a_test_that_fails_is_not_told_of_leftovers() -> None:
    """The error of the test itself comes out, and handlers that run are stopped."""

    async def fail() -> None:
        async with app.testing(state=Pool()) as t:
            await leave_behind(t, "running")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and "deliver" in repr(task)]


async def test_a_job_that_always_comes_back_ends_the_test() -> None:
    """A job that snoozes for ever is an error of the test, and no endless loop."""
    async with app.testing(state=Pool()) as t:
        t.stub(later).raises(Snooze(60))
        with pytest.raises(TestingError, match="was delivered 1000 times"):
            await t.run(later, Order(1))
        assert len(t.submitted(later)) == 1


tenant: ContextVar[str] = ContextVar("tenant", default="none")


async def test_handlers_do_not_see_the_context_of_the_test() -> None:
    """A handler starts with the context variables that there were when the kit was opened, as in a worker."""
    async with app.testing(state=Pool()) as t:
        tenant.set("of the test")
        t.stub(later).calls(lambda _: tenant.get())
        assert await t.run(later, Order(1)) == "none"


async def test_time_does_not_go_back() -> None:
    """The clock of the test moves forward only."""
    async with app.testing(state=Pool()) as t:
        with pytest.raises(TestingError, match="time does not go back"):
            await t.advance(hours=-1)


async def test_the_kit_says_that_it_is_not_open() -> None:
    """What is asked of a kit that is not open yet says how to open it."""
    with pytest.raises(TestingError, match="async with"):
        await app.testing(state=Pool()).run(send_mail, "x")


async def test_updates_yield_the_first_and_the_last_state() -> None:
    """`updates()` yields a job as it was submitted and as it ended; streams of events are refused in a test."""
    async with app.testing(state=Pool()) as t:
        handle = await t.client.submit(charge, Order(2))
        seen = [job.state async for job in handle.updates()]
        assert seen == [JobState.QUEUED, JobState.SUCCEEDED]
        assert [job.state async for job in t.client.updates(handle.id)] == [JobState.SUCCEEDED]
        with pytest.raises(TestingError, match="no stream of events"):
            await anext(aiter(t.client.events()))


async def test_a_handler_follows_no_job() -> None:
    """Within a handler `updates()` is refused with what to do instead."""

    @app.job("follow.child")
    async def follow(order: Order, ctx: Context) -> None:
        child = await ctx.submit(archive, order)
        child.updates()

    try:
        async with app.testing(state=Pool(), allow_dead=True) as t:
            with pytest.raises(JobFailedError, match="wait for its result, or ask a client"):
                await t.run(follow, Order(1))
    finally:
        del app.handlers["follow.child"]
