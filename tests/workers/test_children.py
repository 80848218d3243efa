"""Handlers submit jobs, their children, while they run."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from streams.seeds import fields_of
from workers.floor import Floor, queue_of_id

from millstream import App, Context, NotBoundError, Retry, SyncContext, UnavailableError
from millstream_contracts import (
    DEFAULT_TENANT,
    JobId,
    JobSpec,
    JobState,
    JobType,
    Priority,
    TypePolicy,
    TypeRegistration,
    limits,
    made_at_ms,
)
from millstream_streams import StoreUnavailableError
from millstream_telemetry import JobTracer

TRACEPARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-00"


class Order(msgspec.Struct):
    """A payload that the user defined."""

    n: int


def family() -> App:
    """Return an app whose handlers submit children in each way that the SDK has."""
    app = App("family")

    @app.job("child")
    async def child(payload: Order) -> int:
        return payload.n

    @app.job("by-context")
    async def by_context(ctx: Context) -> str:
        return str((await ctx.submit("child", Order(1), priority="high", tags={"from": "context"})).id)

    @app.job("by-handler")
    async def by_handler() -> str:
        return str((await child.submit(Order(2))).id)

    @app.job("from-thread")
    def from_thread(ctx: Context) -> str:
        return str(anyio.from_thread.run(ctx.submit, "child", Order(3)).id)

    @app.job("by-sync-context")
    def by_sync_context(ctx: SyncContext) -> str:
        return ctx.submit(child, Order(6), priority="high", tags={"from": "context"}).id

    @app.job("from-own-thread")
    def from_own_thread(ctx: SyncContext) -> str:
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(ctx.submit, child, Order(7)).result().id

    @app.job("delayed")
    async def delayed(ctx: Context) -> str:
        return str((await ctx.submit("child", Order(4), delay=3600)).id)

    @app.job("stranger")
    async def stranger(ctx: Context) -> str:
        return str((await ctx.submit("unhandled.type", {"n": 5})).id)

    return app


async def spec_of(floor: Floor, job_id: JobId) -> JobSpec:
    """Return the stored spec of a submission."""
    fields = await fields_of(floor.broker, queue_of_id(job_id), job_id)
    return msgspec.msgpack.decode(fields["spec"], type=JobSpec)


@pytest.mark.parametrize(
    ("parent", "n"),
    [("by-context", 1), ("by-handler", 2), ("from-thread", 3), ("by-sync-context", 6), ("from-own-thread", 7)],
)
async def test_a_child_runs_as_any_other_job(floor: Floor, parent: str, n: int) -> None:
    """A child runs as any other job: submitted through a context, its own handler, or from a thread."""
    await floor.hire(family())
    job = await floor.run(parent)
    assert job.state is JobState.SUCCEEDED, job.error
    child = await floor.settled(JobId(job.result))
    assert (child.state, child.result, child.type) == (JobState.SUCCEEDED, n, "child")


@pytest.mark.parametrize("owner", ["7Kq2vXbA", ""])
@pytest.mark.parametrize("parent", ["by-context", "from-thread"])
async def test_a_child_is_of_who_has_submitted_its_parent(floor: Floor, parent: str, owner: str) -> None:
    """A child says who has submitted its parent, whatever the handler that makes it was given."""
    await floor.hire(family())
    job = await floor.run(parent, owner=owner)
    assert job.state is JobState.SUCCEEDED, job.error
    assert (await floor.job(JobId(job.result))).submitted_by == (owner or None)


async def test_a_child_has_the_options_that_it_was_submitted_with(floor: Floor) -> None:
    """A child takes the options of `Client.submit`, and each of them is stored."""
    await floor.hire(family())
    for parent in ("by-context", "by-sync-context"):
        child = await floor.settled(JobId((await floor.run(parent)).result))
        assert (child.priority, child.tags) == (Priority.HIGH, {"from": "context"})
    delayed = await floor.job(JobId((await floor.run("delayed")).result))
    assert delayed.state is JobState.SCHEDULED
    assert delayed.run_at is not None
    assert (delayed.run_at - delayed.created_at).total_seconds() == pytest.approx(3600, abs=60)


async def test_a_child_whose_unique_key_is_held_is_counted(floor: Floor) -> None:
    """A worker counts the conflicts of children that its handlers submit, by what they ask for then."""
    app = App("unique")

    @app.job("child")
    async def child(payload: Order) -> int:
        return payload.n

    @app.job("parent")
    async def parent(ctx: Context) -> list[str]:
        return [str((await ctx.submit("child", Order(1), unique="7", delay=3600)).id) for _ in range(3)]

    hired = await floor.hire(app)
    first, *others = (await floor.run("parent")).result
    assert others == [first, first]
    labels = {"type": "child", "on_conflict": "return"}
    assert hired.metrics.get_sample_value("millstream_unique_conflicts_total", labels) == 2


async def test_a_child_of_an_unknown_type_is_refused(floor: Floor) -> None:
    """A child of an unknown type is refused, as over HTTP, because no worker would ever run it."""
    await floor.hire(family())
    job = await floor.run("stranger", max_attempts=1)
    assert job.state is JobState.DEAD
    assert job.error is not None
    assert "/type: no worker has registered the job type `unhandled.type`" in job.error.message
    assert "unhandled.type" not in {queue.type for queue in await floor.broker.registry.queues()}


async def test_a_child_of_an_unknown_type_waits_where_unknown_types_are_accepted(floor: Floor) -> None:
    """Where unknown types are accepted, the queue of such a child is registered, so that the child can expire."""
    await floor.hire(family(), unknown_types="accept")
    child = JobId((await floor.run("stranger")).result)
    assert (await floor.job(child)).state is JobState.QUEUED
    assert queue_of_id(child) in await floor.broker.registry.queues()


async def test_a_child_is_spread_over_the_partitions_that_its_type_has_registered(floor: Floor) -> None:
    """A child goes to one of the registered partitions of its type, also when other workers handle the type."""
    policy = TypePolicy(partitions=64)
    await floor.broker.registry.add_types(DEFAULT_TENANT, [TypeRegistration(type=JobType("elsewhere"), policy=policy)])
    app = App("test")

    @app.job("parent")
    async def parent(ctx: Context) -> list[str]:
        return [str(child.id) for child in await ctx.submit_many("elsewhere", range(64))]

    await floor.hire(app)
    job = await floor.run("parent")
    assert job.state is JobState.SUCCEEDED, job.error
    partitions = {queue_of_id(JobId(child)).partition for child in job.result}
    assert len(partitions) > 1
    assert max(partitions) < 64


async def test_many_children_of_a_handler_have_a_receipt_as_over_http(floor: Floor) -> None:
    """`submit_many` of a handler returns the same receipt within a handler as through a client."""
    app = App("test")

    @app.job("child")
    async def child(payload: int) -> None: ...

    @app.job("parent")
    async def parent(ctx: Context) -> list[Any]:
        receipt = await child.submit_many([1, 2])
        return [receipt.accepted, receipt.rejected, [item.id for item in receipt.items]]

    await floor.hire(app)
    accepted, rejected, ids = (await floor.run("parent")).result
    assert (accepted, rejected) == (2, 0)
    assert [(await floor.job(JobId(child_id))).payload for child_id in ids] == [1, 2]


@pytest.mark.parametrize("parent", ["waits", "blocks"])
async def test_a_handler_cannot_wait_in_the_only_slot_of_its_worker(floor: Floor, parent: str) -> None:
    """A worker with one slot refuses a wait at once, because the child may have to run in that slot."""
    app = App("test")

    @app.job("child")
    async def child() -> int:
        return 1

    @app.job("waits")
    async def waits(ctx: Context) -> int:
        return await (await ctx.submit(child)).result()

    @app.job("blocks")
    def blocks(ctx: SyncContext) -> int:
        return ctx.submit(child).result()

    await floor.hire(app, concurrency=1)
    job = await floor.run(parent, max_attempts=1)
    assert job.error is not None
    assert job.error.type.endswith(UnavailableError.__qualname__)
    assert "it would hold the only slot of its worker" in job.error.message


async def test_a_child_that_has_ended_is_read_in_the_only_slot(floor: Floor) -> None:
    """The result of a child that has ended is there at once, so it takes no wait and is never refused."""
    app = App("test")

    @app.job("child")
    async def child() -> int:
        return 1

    @app.job("parent", retry=Retry(base=0.1, jitter=False))
    async def parent(ctx: Context) -> int:
        job = await ctx.submit(child, idempotency_key="child")
        if ctx.attempt == 1:
            raise ConnectionError
        return await job.result()

    await floor.hire(app, concurrency=1)
    job = await floor.run("parent", backoff=None)
    assert (job.state, job.result, job.attempts) == (JobState.SUCCEEDED, 1, 2)


async def test_a_worker_without_redis_is_an_unavailable_service_to_its_handlers(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that Redis does not take raises in its parent what a client raises when the API is away."""
    hired = await floor.hire(family())

    async def fail(_: object) -> None:
        raise StoreUnavailableError("away")

    registry = hired.worker.parts.executor._parents.of(DEFAULT_TENANT).submitter._queues._registry
    monkeypatch.setattr(registry, "add_queues", fail)
    job = await floor.run("by-context", max_attempts=1)
    assert job.error is not None
    assert job.error.type.endswith(UnavailableError.__qualname__)
    assert job.error.message == "Redis cannot be used now: away"


async def test_a_blocking_call_on_the_loop_of_the_worker_is_refused(floor: Floor) -> None:
    """A SyncContext does not block the event loop of its worker, but says that it would."""
    app, given = App("test"), list[SyncContext]()

    @app.job("child")
    async def child() -> None: ...

    @app.job("lends")
    def lends(ctx: SyncContext) -> None:
        given.append(ctx)

    @app.job("borrows")
    async def borrows() -> None:
        given[0].submit(child)

    await floor.hire(app)
    await floor.run("lends")
    job = await floor.run("borrows", max_attempts=1)
    assert job.error is not None
    assert job.error.type.endswith(NotBoundError.__qualname__)
    assert "this is the event loop of the worker" in job.error.message


async def test_every_child_is_stored_however_many_there_are(floor: Floor) -> None:
    """Children beyond what one script call takes are all stored, in the order of their submission."""
    app, count = App("test"), 2 * limits.MAX_SCRIPT_JOBS + 5

    @app.job("child")
    async def child(payload: int) -> None: ...

    @app.job("parent")
    async def parent(ctx: Context) -> list[str]:
        return [str(child.id) for child in await ctx.submit_many("child", range(count))]

    await floor.hire(app)
    children = [await floor.job(JobId(child)) for child in (await floor.run("parent")).result]
    assert [child.payload for child in children] == list(range(count))


@pytest.mark.parametrize(
    ("options", "is_linked"),
    [
        ({}, False),
        ({"delay": 10}, False),
        ({"delay": 86_400}, True),
        ({"run_at": datetime.now(UTC) + timedelta(days=1)}, True),
    ],
    ids=["now", "soon", "in a day", "at a time in a day"],
)
async def test_a_child_that_waits_for_long_has_a_trace_of_its_own(
    floor: Floor, options: dict[str, Any], is_linked: bool
) -> None:
    """A child that waits for long has a trace of its own with a link to its parent.

    No backend keeps a trace together that is open for a day.
    """
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = App("test")

    @app.job("child")
    async def child() -> None:
        pass

    @app.job("parent")
    async def parent(ctx: Context) -> None:
        await ctx.submit("child", **options)

    await floor.hire(app, tracer=JobTracer(provider))
    await floor.run("parent", traceparent=TRACEPARENT[:-2] + "01")
    (send,) = [span for span in exporter.get_finished_spans() if span.name == "send child"]
    assert (f"{send.context.trace_id:032x}" != "a" * 32) is is_linked
    assert [f"{link.context.trace_id:032x}" for link in send.links] == ["a" * 32] * is_linked


async def test_a_child_whose_queue_could_not_be_made_known_is_looked_after_when_it_is_submitted_again(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the registration of a child's queue failed, the next submission of the child repeats it."""
    hired = await floor.hire(family())
    registry = hired.worker.parts.executor._parents.of(DEFAULT_TENANT).submitter._queues._registry
    add_queues, failed = registry.add_queues, list[object]()

    async def fail_once(queues: Any) -> None:
        if not failed:
            failed.append(queues)
            raise StoreUnavailableError("away")
        await add_queues(queues)

    monkeypatch.setattr(registry, "add_queues", fail_once)
    await floor.broker.client.delete(floor.broker.keys.queues)
    job = await floor.run("by-context")
    assert failed
    assert queue_of_id(JobId(job.result)) in await floor.broker.registry.queues()


@pytest.mark.parametrize("parent", ["by-context", "by-handler", "from-thread", "by-sync-context"])
async def test_a_child_continues_the_trace_of_its_parent_also_without_a_recorder(floor: Floor, parent: str) -> None:
    """A worker that records no spans still passes the trace context on to a child, whose worker may record."""
    await floor.hire(family())
    job = await floor.run(parent, traceparent=TRACEPARENT, tracestate="a=b")
    spec = await spec_of(floor, JobId(job.result))
    assert (spec.traceparent, spec.tracestate) == (TRACEPARENT, "a=b")


async def test_parents_that_run_at_once_do_not_mix_their_traces(floor: Floor) -> None:
    """Parents that run on one loop at once give each child the trace of its own parent."""
    app, together = App("test"), anyio.Event()
    running: list[Context] = []

    @app.job("later", partitions=1)
    async def later(payload: None) -> None:
        pass

    @app.job("parent")
    async def parent(ctx: Context) -> str:
        running.append(ctx)
        await together.wait()
        return str((await ctx.submit("later", None)).id)

    await floor.hire(app)
    traces = [f"00-{number:032x}-{1:016x}-00" for number in range(1, 9)]
    ids = {await floor.submit("parent", traceparent=trace): trace for trace in traces}
    with anyio.fail_after(20):
        while len(running) < 8:  # noqa: ASYNC110 - what is waited for is the worker
            await anyio.sleep(0.01)
    together.set()
    for job_id, trace in ids.items():
        child = JobId((await floor.settled(job_id)).result)
        assert (await spec_of(floor, child)).traceparent == trace


@pytest.mark.parametrize(
    ("type", "payload", "options"),
    [
        ("No Type", None, {}),
        ("child", None, {"priority": "urgent"}),
        ("child", None, {"max_attempts": 0}),
        ("child", None, {"delay": -1}),
        ("child", None, {"timeout": 0}),
        ("child", None, {"dealy": 1}),
        ("child", object(), {}),
        ("child", "x" * (limits.MAX_PAYLOAD_BYTES + 1), {}),
    ],
    ids=["type", "priority", "attempts", "delay", "timeout", "option", "payload", "too large"],
)
async def test_a_child_that_the_api_would_refuse_is_an_error_of_the_handler(
    floor: Floor, type: str, payload: Any, options: dict[str, Any]
) -> None:
    """A child that the API would refuse raises an error in the handler that submits it, and nothing is stored."""
    app, raised = App("test"), list[Exception]()

    @app.job("parent")
    async def parent(ctx: Context) -> None:
        try:
            await ctx.submit(type, payload, **options)
        except Exception as error:
            raised.append(error)
            raise

    await floor.hire(app)
    job = await floor.run("parent", max_attempts=1)
    assert job.state is JobState.DEAD
    assert len(raised) == 1
    assert [queue.type for queue in await floor.broker.registry.queues()] == ["parent"]


@pytest.mark.parametrize("skew_s", [-7_200, 7_200], ids=["behind", "ahead"])
async def test_a_child_is_created_when_redis_says_so(
    floor: Floor, monkeypatch: pytest.MonkeyPatch, skew_s: int
) -> None:
    """The creation time and the id of a child come from the clock of Redis, also when the worker's clock is wrong."""
    wall, nanoseconds = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: wall() + skew_s)
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + skew_s * 10**9)
    await floor.hire(family())
    earliest_s, _ = await floor.broker.client.time()
    parent = await floor.run("by-context")
    latest_s, _ = await floor.broker.client.time()
    child = JobId(str(parent.result))
    for made_ms in ((await spec_of(floor, child)).created_at_ms, made_at_ms(child)):
        assert earliest_s - 5 <= made_ms / 1000 <= latest_s + 5
