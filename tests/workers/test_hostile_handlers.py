"""Whatever a handler returns or raises has an outcome, and affects neither its worker nor the jobs beside it."""

import asyncio
import sys
import threading
from typing import Any

import anyio
import anyio.lowlevel
import hostile_errors
import msgspec
import pytest
from hostile_values import Panic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waiting import wait_until
from workers.floor import Floor

from millstream import App, Context, Dead, Discard, Retry, RetryAfter, Snooze
from millstream_contracts import Backoff, JobState, Outcome, RetryAt
from millstream_contracts import Cancelled as CancelledOutcome
from millstream_contracts import Dead as DeadOutcome
from millstream_workers.attempt.attempt_result import Raised, Returned, Unreadable
from millstream_workers.errors import HandlerExitError
from millstream_workers.running.decision import AttemptPolicy, decide

FIRST = AttemptPolicy(
    attempt=1, max_attempts=3, backoff=Backoff(kind="constant", base_s=2.5, jitter=False), timeout_s=None
)

both = pytest.mark.parametrize("kind", ["loop", "thread"])

EXAMPLES = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def check(outcome: Outcome | None) -> None:
    """Fail unless an outcome can be stored as it is."""
    assert outcome is not None
    msgspec.msgpack.encode(outcome)
    if isinstance(outcome, RetryAt | DeadOutcome):
        assert outcome.error.type
        for text in msgspec.structs.astuple(outcome.error):
            assert "\0" not in str(text)


@EXAMPLES
@given(hostile_errors.exceptions)
def test_every_exception_has_an_outcome_that_can_be_stored(recipe: Any) -> None:
    """Every exception has an outcome that can be stored, whatever its class does with its attributes and causes."""
    error = hostile_errors.build(recipe)
    check(decide(Raised(error), FIRST))
    check(decide(Unreadable(error), FIRST))


@pytest.mark.parametrize("error", list(hostile_errors.endless()), ids=["ring", "chain", "nest"])
def test_an_endless_chain_of_causes_has_an_outcome(error: BaseException) -> None:
    """An endless chain of causes has an outcome, whose traceback is cut."""
    outcome = decide(Raised(error), FIRST)
    check(outcome)
    assert isinstance(outcome, RetryAt)
    assert outcome.error.type in {"ValueError", "ExceptionGroup"}


@EXAMPLES
@given(hostile_errors.results)
def test_every_result_has_an_outcome_that_can_be_stored(recipe: Any) -> None:
    """Every result has an outcome that can be stored, also when a hook of its class raises."""
    check(decide(Returned(hostile_errors.build_result(recipe)), FIRST))


class OwnDiscard(Discard):
    """A Discard with a constructor that does not call that of its base."""

    def __init__(self, sku: str) -> None:
        self.sku = sku


class OwnDead(Dead):
    """A Dead with a constructor that does not call that of its base."""

    def __init__(self, *, sku: str) -> None:
        self.sku = sku


class OwnSnooze(Snooze):
    """A Snooze without a delay."""

    def __init__(self, until: str) -> None:
        self.until = until


class OwnRetry(RetryAfter):
    """A RetryAfter without a delay."""

    def __init__(self) -> None:
        pass


def test_a_discard_without_its_base_constructor_discards() -> None:
    """A Discard that did not call its base constructor discards, with the arguments that Python has kept as reason."""
    assert decide(Raised(OwnDiscard("A1")), FIRST) == CancelledOutcome("discarded: A1")


@pytest.mark.parametrize("surprise", ["raises ValueError", "raises a panic"])
def test_a_discard_whose_reason_cannot_be_read_discards(surprise: str) -> None:
    """A Discard whose reason cannot be read discards, with the arguments that Python has kept as reason."""
    error = hostile_errors.make_exception(Discard, {"reason": hostile_errors.SURPRISES[surprise]})
    assert decide(Raised(error), FIRST) == CancelledOutcome("discarded: what it was called with")


def test_a_dead_without_its_base_constructor_buries_and_names_its_class() -> None:
    """A Dead without any text buries the job, with the name of its class as reason."""
    outcome = decide(Raised(OwnDead(sku="A1")), FIRST)
    assert isinstance(outcome, DeadOutcome)
    assert outcome.reason.endswith("OwnDead")


@pytest.mark.parametrize("error", [OwnSnooze("noon"), OwnRetry()], ids=["snooze", "retry"])
def test_a_wish_for_a_delay_that_cannot_be_read_is_a_failed_attempt_that_says_so(error: BaseException) -> None:
    """A Snooze or RetryAfter whose delay cannot be read is a failed attempt that says so.

    A snooze for a delay that was not meant could repeat for ever; retries end.
    """
    outcome = decide(Raised(error), FIRST)
    assert isinstance(outcome, RetryAt)
    assert outcome.after_ms == 2_500
    assert "`delay_s`" in outcome.error.message
    assert "AttributeError" in outcome.error.message


def test_a_wish_that_a_task_group_has_wrapped_is_still_a_wish() -> None:
    """An outcome request in an exception group of one, as task groups raise it, still counts."""
    wrapped = ExceptionGroup("unhandled errors in a TaskGroup", [ExceptionGroup("inner", [Discard("not wanted")])])
    assert decide(Raised(wrapped), FIRST) == CancelledOutcome("discarded: not wanted")
    several = ExceptionGroup("two", [Discard("not wanted"), ValueError("and this")])
    assert isinstance(decide(Raised(several), FIRST), RetryAt)


class Raiser:
    """An app whose jobs raise what the test has laid out, and whose other jobs run for as long."""

    def __init__(self) -> None:
        self.app = App("test")
        self.errors: dict[int, BaseException] = {}
        self.neighbours: list[Context] = []
        self.go = anyio.Event()
        retry = Retry(max_attempts=1)

        @self.app.job("loop", retry=retry)
        async def on_loop(number: int) -> None:
            raise self.errors[number]

        @self.app.job("thread", retry=retry)
        def in_thread(number: int) -> None:
            raise self.errors[number]

        @self.app.job("neighbour")
        async def neighbour(ctx: Context) -> str:
            self.neighbours.append(ctx)
            await self.go.wait()
            return "well"


@both
async def test_a_worker_and_the_neighbours_of_a_job_outlive_whatever_it_raises(floor: Floor, kind: str) -> None:
    """The jobs beside one that raises anything run on, and none is charged a crash."""
    raiser = Raiser()
    errors = [
        OwnDiscard("A1"),
        OwnSnooze("noon"),
        Panic("a panic"),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration(1),
        StopAsyncIteration(1),
        asyncio.CancelledError(),
        asyncio.InvalidStateError(),
        BaseExceptionGroup("g", [Panic("in a group")]),
        *hostile_errors.endless(),
        *(
            hostile_errors.make_exception(base, {name: hostile_errors.SURPRISES["raises a panic"]})
            for base in (ValueError, Discard, BaseException)
            for name in ("__str__", "__class__", "__getattribute__", "__traceback__", "__module__", "__cause__")
        ),
    ]
    raiser.errors = dict(enumerate(errors))
    hired = await floor.hire(raiser.app, concurrency=40)
    beside = await floor.submit_many("neighbour", [None] * 5)
    await wait_until(lambda: len(raiser.neighbours) == 5, "the neighbours run")
    for job_id in await floor.submit_many(kind, list(raiser.errors)):
        job = await floor.settled(job_id)
        assert job.state in {JobState.DEAD, JobState.CANCELLED}, job
        assert (job.crashes, job.deliveries) == (0, 1)
    assert hired.is_running
    raiser.go.set()
    for job_id in beside:
        job = await floor.settled(job_id)
        assert (job.result, job.deliveries, job.crashes) == ("well", 1, 0)


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Return `count` recipes, for all of which one worker is started."""
    recipes: list[Any] = []

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(recipe: Any) -> None:
        recipes.append(recipe)

    collect()
    return recipes


@both
async def test_a_worker_outlives_all_exceptions_and_results_that_can_be_thought_of(floor: Floor, kind: str) -> None:
    """Each of hundreds of jobs with drawn exceptions and results is settled or retried, while a neighbour runs on."""
    app, gate, begun = App("test"), anyio.Event(), list[int]()
    raised, returned = drawn(hostile_errors.exceptions, 150), drawn(hostile_errors.results, 150)

    def misbehave(number: int, ctx: Context) -> Any:
        if ctx.fence > 1:
            return "well"
        if number < len(raised):
            raise hostile_errors.build(raised[number])
        return hostile_errors.build_result(returned[number - len(raised)])

    @app.job("loop", retry=Retry(base=0.0))
    async def on_loop(number: int, ctx: Context) -> Any:
        return misbehave(number, ctx)

    @app.job("thread", retry=Retry(base=0.0))
    def in_thread(number: int, ctx: Context) -> Any:
        return misbehave(number, ctx)

    @app.job("neighbour")
    async def neighbour(ctx: Context) -> str:
        begun.append(ctx.fence)
        await gate.wait()
        return "well"

    hired = await floor.hire(app, concurrency=20)
    beside = await floor.submit("neighbour")
    for job_id in await floor.submit_many(kind, list(range(len(raised) + len(returned)))):
        # One that asks to snooze for days is scheduled, and as well off.
        await floor.until(job_id, JobState.SCHEDULED, *(state for state in JobState if state.is_settled))
        job = await floor.job(job_id)
        assert (job.crashes, job.handbacks) == (0, 0)
    assert hired.is_running
    gate.set()
    job = await floor.settled(beside)
    # A delivery that found no slot was given back before it began.
    assert (job.result, begun) == ("well", [job.deliveries])


@pytest.mark.parametrize("spawn", ["asyncio", "anyio", "forgotten"])
async def test_a_task_of_a_handler_that_wants_to_exit_ends_no_worker(floor: Floor, spawn: str) -> None:
    """A SystemExit in a task of a handler fails that attempt at most, and never ends the worker."""
    app = App("test")

    async def leave() -> None:
        sys.exit(4)

    @app.job("one", retry=Retry(max_attempts=1))
    async def one() -> str:
        if spawn == "asyncio":
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(leave())
        elif spawn == "anyio":
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(leave)
        else:
            forgotten = asyncio.create_task(leave())
            await asyncio.wait([forgotten])
            assert isinstance(forgotten.exception(), HandlerExitError)
        return "well"

    hired = await floor.hire(app)
    job = await floor.run("one")
    assert hired.is_running
    if spawn == "forgotten":
        assert job.result == "well"
    else:
        assert job.error is not None
        assert "SystemExit" in job.error.traceback


async def test_a_handler_that_cancels_its_own_task_fails_alone(floor: Floor) -> None:
    """A handler that cancels its own task settles its job, and its worker does not take itself for cancelled."""
    app = App("test")

    @app.job("one", retry=Retry(max_attempts=1))
    async def one() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await anyio.lowlevel.checkpoint()

    @app.job("two")
    async def two() -> str:
        await anyio.lowlevel.checkpoint()
        return "well"

    hired = await floor.hire(app, concurrency=1)
    job = await floor.run("one")
    assert job.error is not None
    assert job.error.type.endswith("SelfCancelledError")
    assert (await floor.run("two")).result == "well"
    assert hired.is_running


async def test_a_task_that_a_handler_has_kept_cannot_be_used_to_cancel_a_later_job(floor: Floor) -> None:
    """A task that a handler has kept cannot be used to cancel a later job, which runs in another task."""
    app, kept = App("test"), []
    inside, go = anyio.Event(), anyio.Event()

    @app.job("keeps")
    async def keeps() -> None:
        kept.append(asyncio.current_task())

    @app.job("later")
    async def later() -> str:
        inside.set()
        await go.wait()
        return "well"

    await floor.hire(app, concurrency=1)
    await floor.run("keeps")
    job_id = await floor.submit("later")
    await wait_until(inside.is_set, "it runs")
    for task in kept:
        task.cancel()
    go.set()
    job = await floor.settled(job_id)
    assert (job.result, job.deliveries) == ("well", 1)


async def test_a_thread_that_outlives_its_worker_ends_in_no_error(floor: Floor) -> None:
    """A thread that its worker has left behind may raise late without an error in the worker."""
    app, go, inside = App("test"), threading.Event(), threading.Event()

    @app.job("one", timeout=0.05, retry=Retry(max_attempts=1))
    def one() -> None:
        inside.set()
        go.wait(30.0)
        raise Panic("late")

    hired = await floor.hire(app, cleanup_s=0.05)
    job = await floor.run("one")
    assert job.error is not None
    assert job.error.type == "timeout"
    go.set()
    assert (await floor.run("one")).error is not None
    assert hired.is_running


@EXAMPLES
@given(st.sampled_from([RetryAfter, Snooze]), st.sampled_from(sorted(hostile_errors.SURPRISES)))
def test_a_delay_is_a_delay_or_a_failed_attempt(kind: type[Any], surprise: str) -> None:
    """A delay attribute of any type gives an outcome that can be stored."""
    check(decide(Raised(hostile_errors.make_exception(kind, {"delay_s": hostile_errors.SURPRISES[surprise]})), FIRST))
