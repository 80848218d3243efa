"""Whatever a handler does is an outcome of its job, and never ends the worker."""

import asyncio
import math
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from leftovers import delete_namespace
from streams.audit import audit
from streams.seeds import fields_of, kinds
from waiting import wait_until
from workers.floor import Floor, open_floor, queue_of_id

from millstream import App, Context, Dead, Discard, Retry, Snooze
from millstream_contracts import Backoff, Job, JobState, limits
from millstream_streams import open_broker


class UnspeakableError(Exception):
    """An exception whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Picky(msgspec.Struct):
    """A payload whose own check raises an error that msgspec does not expect."""

    n: int = 0

    def __post_init__(self) -> None:
        if self.n == 13:
            raise KeyError(self.n)


def app_with(kind: str, behave: Callable[[Context], Any], **options: Any) -> App:
    """Return an app with one handler, `one`, on the loop or in a thread."""
    app = App("test")
    if kind == "loop":

        @app.job("one", **options)
        async def one(ctx: Context) -> Any:
            return behave(ctx)

    else:

        @app.job("one", **options)
        def one_in_thread(ctx: Context) -> Any:
            return behave(ctx)

    return app


def raising(error: BaseException) -> Callable[[Context], Any]:
    """Return a behaviour that raises at the first delivery, and returns at later ones."""

    def behave(ctx: Context) -> Any:
        if ctx.fence == 1:
            raise error
        return "well"

    return behave


class Stage:
    """A worker for many tests, whose two handlers behave as each test asks."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.behave: Callable[[Any], Any] = lambda ctx: None
        self.picked: list[Picky] = []
        self.app = App("stage")
        retry = Retry(max_attempts=5, base=0.0)

        @self.app.job("loop", retry=retry)
        async def on_loop(ctx: Context) -> Any:
            return self.behave(ctx)

        @self.app.job("thread", retry=retry)
        def in_thread(ctx: Context) -> Any:
            return self.behave(ctx)

        @self.app.job("picky.loop")
        async def picky(payload: Picky) -> None:
            self.picked.append(payload)

        @self.app.job("picky.thread")
        def picky_in_thread(payload: Picky) -> None:
            self.picked.append(payload)

    async def run(self, kind: str, behave: Callable[[Any], Any]) -> Job:
        """Run one job whose handler behaves like this."""
        self.behave = behave
        return await self.floor.run(kind, backoff=None)


@pytest.fixture(scope="module")
async def stage(redis_url: str) -> AsyncIterator[Stage]:
    """Yield a stage, which saves each small test the start of a worker."""
    async with open_broker(redis_url, namespace=f"t{secrets.token_hex(6)}") as broker:
        async with open_floor(broker, redis_url) as floor:
            stage = Stage(floor)
            await floor.hire(stage.app)
            yield stage
        for queue in await broker.registry.queues():
            await audit(broker, queue)
        await delete_namespace(broker.client, broker.keys.namespace)


both = pytest.mark.parametrize("kind", ["loop", "thread"])


@both
async def test_a_job_succeeds_with_the_result_of_its_handler(floor: Floor, kind: str) -> None:
    """A job succeeds with its handler's result after one attempt, knows its worker and times, and leaves no work."""
    app = App("test")
    seen: list[Any] = []
    if kind == "loop":

        @app.job("double")
        async def double(payload: dict[str, int], ctx: Context) -> dict[str, int]:
            seen.append((threading.current_thread() is threading.main_thread(), ctx))
            return {"n": 2 * payload["n"]}

    else:

        @app.job("double")
        def double_in_thread(payload: dict[str, int], ctx: Context) -> dict[str, int]:
            seen.append((threading.current_thread() is threading.main_thread(), ctx))
            return {"n": 2 * payload["n"]}

    hired = await floor.hire(app)
    job = await floor.run("double", {"n": 21}, tags={"shop": "b"}, timeout_s=60.0)
    assert (job.state, job.result) == (JobState.SUCCEEDED, {"n": 42})
    assert (job.attempts, job.deliveries, job.crashes, job.handbacks) == (1, 1, 0, 0)
    assert job.worker == hired.name
    assert await kinds(floor.broker, queue_of_id(job.id)) == ["submitted", "started", "succeeded"]
    ((on_main_thread, ctx),) = seen
    assert on_main_thread == (kind == "loop")
    assert (ctx.job_id, ctx.type, ctx.attempt, ctx.fence) == (job.id, "double", 1, 1)
    assert (ctx.tags, ctx.timeout_s, ctx.cancelled) == ({"shop": "b"}, 60.0, False)
    await wait_until(lambda: hired.attempts("double", "ok") == 1, "it is counted")
    assert not hired.worker.parts.leases._held, "a lease that is renewed for ever"
    assert not hired.worker.parts.executor.running


@both
@pytest.mark.parametrize(
    ("error", "state", "reason", "attempts", "deliveries"),
    [
        (ValueError("no"), "succeeded", None, 2, 2),
        (Retry.after(0.0), "succeeded", None, 2, 2),
        (Retry.after(math.nan), "succeeded", None, 2, 2),
        (Snooze(0.0), "succeeded", None, 1, 2),
        (Snooze(math.nan), "succeeded", None, 1, 2),
        (Discard("not wanted"), "cancelled", "discarded: not wanted", 0, 1),
        (Discard("\ud800"), "cancelled", "discarded: \\ud800", 0, 1),
        (Dead("no such account"), "dead", "no such account", 1, 1),
        (Dead(ValueError("an object")), "dead", "an object", 1, 1),  # type: ignore[arg-type]
        (UnspeakableError(), "succeeded", None, 2, 2),
        (ExceptionGroup("several", [ValueError(), KeyError()]), "succeeded", None, 2, 2),
        (StopIteration(), "succeeded", None, 2, 2),
        (SystemExit(3), "succeeded", None, 2, 2),
        (asyncio.CancelledError(), "succeeded", None, 2, 2),
        (RecursionError("deep"), "succeeded", None, 2, 2),
        (MemoryError(), "succeeded", None, 2, 2),
    ],
    ids=repr,
)
async def test_what_a_handler_raises_is_an_outcome(
    stage: Stage, kind: str, error: BaseException, state: str, reason: str | None, attempts: int, deliveries: int
) -> None:
    """Whatever a handler raises is an outcome of its job, and the worker goes on."""
    job = await stage.run(kind, raising(error))
    assert (job.state, job.reason, job.attempts, job.deliveries) == (state, reason, attempts, deliveries)
    # The worker is still there for the next one.
    assert (await stage.run(kind, lambda ctx: "well")).result == "well"


async def test_a_handler_that_awaits_a_task_which_was_cancelled_has_failed(floor: Floor) -> None:
    """A handler that awaits a task that it cancelled itself has failed, and its job was not cancelled."""
    app = App("test")

    @app.job("one", retry=Retry(max_attempts=1))
    async def one() -> None:
        task = asyncio.get_running_loop().create_future()
        task.cancel()
        await task

    hired = await floor.hire(app)
    job = await floor.run("one")
    assert (job.state, job.reason) == (JobState.DEAD, "attempts")
    assert hired.attempts("one", "error") == 1


@both
async def test_a_job_is_buried_with_its_last_error_when_its_attempts_are_used_up(floor: Floor, kind: str) -> None:
    """A job whose attempts are used up is buried with the error of its last attempt and the number of attempts."""

    def fail(ctx: Context) -> None:
        raise ValueError(f"attempt {ctx.attempt}")

    hired = await floor.hire(app_with(kind, fail, retry=Retry(max_attempts=3, base=0.0)))
    job = await floor.run("one", backoff=None)
    assert (job.state, job.reason, job.attempts, job.deliveries) == (JobState.DEAD, "attempts", 3, 3)
    assert job.error is not None
    assert (job.error.message, job.error.attempt) == ("attempt 3", 3)
    assert "in fail" in job.error.traceback
    assert hired.attempts("one", "error") == 3


async def test_the_submission_decides_over_the_policy(floor: Floor) -> None:
    """The attempts and the backoff of a submission win over those of its type."""

    def fail(ctx: Context) -> None:
        raise ValueError

    await floor.hire(app_with("loop", fail, retry=Retry(max_attempts=9, base=600.0, jitter=False)))
    job = await floor.run("one", max_attempts=2, backoff=Backoff(base_s=0.0))
    assert (job.state, job.attempts) == (JobState.DEAD, 2)


async def test_a_retry_waits_for_its_backoff(floor: Floor) -> None:
    """A job that waits for its retry is scheduled, with the error of its last attempt and without a worker."""
    await floor.hire(app_with("loop", raising(ValueError("no")), retry=Retry(base=600.0, jitter=False)))
    job_id = await floor.submit("one", backoff=None)
    await floor.until(job_id, JobState.SCHEDULED)
    job = await floor.job(job_id)
    assert job.run_at is not None
    assert job.started_at is not None
    assert 599 <= (job.run_at - job.started_at).total_seconds() <= 660
    assert job.error is not None
    assert job.error.message == "no"


@pytest.mark.parametrize(
    "payload",
    [
        {"n": "many"},
        "text",
        None,
        {"n": 13},
        msgspec.Raw(b""),
        msgspec.Raw(b"\xc1"),
        msgspec.Raw(b"\xa1\xff"),
        msgspec.Raw(b"\x91" * 5000 + b"\xc0"),
    ],
    ids=["type", "text", "null", "own check", "empty", "no msgpack", "no utf-8", "deep"],
)
@both
async def test_a_payload_that_no_handler_can_read_is_buried_at_once(stage: Stage, payload: Any, kind: str) -> None:
    """A job with an unreadable payload is buried without a call of its handler, and the next job runs."""
    floor, job_type = stage.floor, f"picky.{kind}"
    stage.picked.clear()
    job_id = await floor.submit(job_type, payload)
    assert (await floor.run(job_type, {"n": 1})).state is JobState.SUCCEEDED

    async def is_dead() -> bool:
        floor.check()
        # Not through the views: they may not be able to read such a job either.
        return (await fields_of(floor.broker, queue_of_id(job_id), job_id))["state"] == b"dead"

    await wait_until(is_dead, "the job is buried")
    letters = await floor.broker.views.dead_letters(queue_of_id(job_id), [job_id])
    assert [(letter.reason, letter.attempts) for letter in letters] == [("invalid_payload", 1)]
    assert [one.n for one in stage.picked] == [1]


async def test_a_handler_without_a_payload_runs_whatever_was_sent(floor: Floor) -> None:
    """A handler without a payload runs with any payload that is valid MessagePack."""
    await floor.hire(app_with("loop", lambda ctx: "ran"))
    for payload in (None, {"n": 1}, [1, 2]):
        assert (await floor.run("one", payload)).result == "ran"


@both
@pytest.mark.parametrize(
    "value", [object(), 2**64, "\ud800", {None: 1}, "x" * (limits.MAX_RESULT_BYTES + 1)], ids=lambda one: str(one)[:10]
)
async def test_a_result_that_cannot_be_stored_is_buried_and_not_run_again(stage: Stage, kind: str, value: Any) -> None:
    """A job whose result cannot be stored is buried and not run again, because its handler has had its effects."""
    runs: list[int] = []

    def behave(ctx: Context) -> Any:
        runs.append(ctx.fence)
        return value

    job = await stage.run(kind, behave)
    assert (job.state, job.reason, job.result) == (JobState.DEAD, "invalid_result", None)
    assert runs == [1]


async def test_a_finished_job_is_kept_for_the_time_of_its_type(floor: Floor) -> None:
    """A succeeded job is kept for the `result_ttl` of its type, in seconds."""
    await floor.hire(app_with("loop", lambda ctx: None, result_ttl=120.0))
    job = await floor.run("one")
    ttl_ms = await floor.broker.client.pttl(floor.broker.keys.of(queue_of_id(job.id)).job(job.id))
    assert 60_000 < ttl_ms <= 120_000


async def test_handlers_of_one_app_share_what_its_lifespan_opened(floor: Floor) -> None:
    """A lifespan is opened once for a worker, and each handler gets the state of its own app."""
    opened: list[str] = []

    def make(name: str) -> App:
        @asynccontextmanager
        async def lifespan(app: App):
            opened.append(f"+{name}")
            yield {"pool": name}
            opened.append(f"-{name}")

        app = App(name, lifespan=lifespan)

        @app.job(f"{name}.a")
        async def one(ctx: Context) -> str:
            return str(ctx.state["pool"])

        @app.job(f"{name}.b")
        def two(ctx: Context) -> str:
            return str(ctx.state["pool"])

        return app

    merged = App("worker")
    merged.include(make("x"))
    merged.include(make("y"))
    await floor.hire(merged)
    for name in ("x", "y"):
        assert (await floor.run(f"{name}.a")).result == name
        assert (await floor.run(f"{name}.b")).result == name
    assert sorted(opened) == ["+x", "+y"]


async def test_recursion_without_end_is_a_failed_attempt(floor: Floor) -> None:
    """A recursion without end is a failed attempt, and its long traceback is cut."""

    def sink(ctx: Context) -> Any:
        return sink(ctx)

    await floor.hire(app_with("loop", sink, retry=Retry(max_attempts=1)))
    job = await floor.run("one")
    assert job.state is JobState.DEAD
    assert job.error is not None
    assert job.error.type == "RecursionError"
    assert len(job.error.traceback) <= limits.MAX_ERROR_CHARS
    assert sys.getrecursionlimit() > 500
