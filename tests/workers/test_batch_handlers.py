"""A batch handler is called once for many jobs, each of which has an outcome of its own."""

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs
from waiting import wait_until
from workers.floor import Floor

from millstream import (
    App,
    Batch,
    BatchContext,
    Discard,
    HandlerError,
    NotBoundError,
    Retry,
    Snooze,
    SyncBatch,
)
from millstream_contracts import JobId, JobState
from millstream_telemetry import JobTracer

LONG_S = 60.0
"""A time for which no test waits."""

ONCE = Retry(max_attempts=1)


async def settled(floor: Floor, ids: list[JobId]) -> list[JobState]:
    """Return the states of jobs once all have settled."""
    return [(await floor.settled(job_id)).state for job_id in ids]


async def test_one_call_takes_all_jobs_of_a_full_batch(floor: Floor) -> None:
    """A call begins once it has `size` jobs, and each job has the result that the handler gave it."""
    app, calls = App("test"), []

    @app.batch("index", size=4, wait=LONG_S)
    async def index(texts: Batch[str, int]) -> None:
        calls.append(texts.payloads)
        for item in texts:
            item.succeed(len(item.payload))

    await floor.hire(app, lease_s=LONG_S * 6)
    ids = await floor.submit_many("index", ["a", "bb", "ccc", "dddd"])
    assert await settled(floor, ids) == [JobState.SUCCEEDED] * 4
    assert [(await floor.job(job_id)).result for job_id in ids] == [1, 2, 3, 4]
    assert [sorted(call) for call in calls] == [["a", "bb", "ccc", "dddd"]]


async def test_a_batch_that_is_not_full_begins_after_its_wait(floor: Floor) -> None:
    """Jobs wait for others as long as the handler says, and then run without them."""
    app, sizes = App("test"), []

    @app.batch("index", size=5, wait=0.05)
    async def index(texts: Batch[str, None]) -> None:
        sizes.append(len(texts))

    hired = await floor.hire(app)
    ids = await floor.submit_many("index", ["a", "b"])
    assert await settled(floor, ids) == [JobState.SUCCEEDED] * 2
    assert sum(sizes) == 2
    assert hired.metrics.get_sample_value("millstream_batch_call_jobs_sum", {"type": "index"}) == 2


async def test_a_wait_is_a_part_of_the_lease_at_most(floor: Floor) -> None:
    """A job waits for a sixth of its lease at most, and the worker says so when it starts."""
    app = App("test")

    @app.batch("index", size=5, wait=LONG_S)
    async def index(texts: Batch[str, None]) -> None: ...

    with capture_logs() as lines:
        await floor.hire(app, lease_s=1.0, renew_every_s=0.2)
    assert [line["seconds"] for line in lines if line["event"].startswith("batch waits")] == [pytest.approx(1 / 6)]
    assert (await floor.run("index", "a")).state is JobState.SUCCEEDED


async def test_a_batch_that_no_worker_can_fill_has_all_of_its_jobs(floor: Floor) -> None:
    """A call has no more jobs than the worker runs at once, does not wait for others, and the worker says so."""
    app, sizes = App("test"), []

    @app.batch("index", size=100, wait=LONG_S)
    async def index(texts: Batch[str, None]) -> None:
        sizes.append(len(texts))

    with capture_logs() as lines:
        await floor.hire(app, concurrency=3, lease_s=LONG_S * 6)
    assert [line["jobs"] for line in lines if line["event"] == "batch is never full"] == [100]
    assert await settled(floor, await floor.submit_many("index", ["a", "b", "c"])) == [JobState.SUCCEEDED] * 3
    assert sizes == [3]


async def test_two_types_that_share_all_slots_do_not_wait_for_each_other(floor: Floor) -> None:
    """All calls begin once every slot is held by a job that waits for others: no further job can come."""
    app, sizes = App("test"), {}

    @app.batch("one", size=4, wait=LONG_S)
    async def one(texts: Batch[str, None]) -> None:
        sizes["one"] = len(texts)

    @app.batch("two", size=4, wait=LONG_S)
    async def two(texts: Batch[str, None]) -> None:
        sizes["two"] = len(texts)

    await floor.hire(app, concurrency=4, lease_s=LONG_S * 6)
    ids = [*await floor.submit_many("one", ["a", "b"]), *await floor.submit_many("two", ["c", "d"])]
    assert await settled(floor, ids) == [JobState.SUCCEEDED] * 4
    assert sizes == {"one": 2, "two": 2}


async def test_each_job_has_its_own_outcome(floor: Floor) -> None:
    """A job that the handler fails, snoozes or discards does so alone; what it says nothing of has succeeded."""
    app, seen = App("test"), []

    @app.batch("index", size=5, wait=0.05, retry=ONCE)
    async def index(texts: Batch[str, None]) -> None:
        for item in texts:
            seen.append((item.payload, item.fence))
            match item.payload:
                case "fails":
                    item.fail(ValueError("no text"))
                case "snoozes" if item.fence == 1:
                    item.fail(Snooze(0.0))
                case "discards":
                    item.fail(Discard("not wanted"))
                case "succeeds":
                    item.succeed()

    await floor.hire(app)
    ids = await floor.submit_many("index", ["fails", "snoozes", "discards", "succeeds", "says nothing"])
    states = await settled(floor, ids)
    assert [*states] == [JobState.DEAD, JobState.SUCCEEDED, JobState.CANCELLED, *[JobState.SUCCEEDED] * 2]
    error = (await floor.job(ids[0])).error
    assert error is not None
    assert (error.type, error.message) == ("ValueError", "no text")
    assert sorted(fence for payload, fence in seen if payload == "snoozes") == [1, 2]


async def test_a_job_of_a_batch_holds_its_own_key_back(floor: Floor) -> None:
    """An item that is told to come back later holds back the jobs of its key, and those of others run."""
    app, seen = App("test"), []

    @app.batch("push", size=2, wait=0.05, key="customer")
    async def push(items: Batch[dict[str, str], None]) -> None:
        for item in items:
            seen.append(item.payload["customer"])
            if item.payload["customer"] == "acme":
                item.fail(Snooze(LONG_S, gate="key"))

    await floor.hire(app)
    first = await floor.submit("push", {"customer": "acme"}, key="acme")
    await floor.until(first, JobState.SCHEDULED)
    second, third = [await floor.submit("push", {"customer": one}, key=one) for one in ("acme", "other")]
    await settled(floor, [third])
    assert seen == ["acme", "other"]
    assert (await floor.job(second)).state is JobState.QUEUED


async def test_what_the_handler_raises_fails_the_jobs_without_outcome(floor: Floor) -> None:
    """An exception of the handler is the failure of each job that has no outcome yet, with its own traceback."""
    app = App("test")

    @app.batch("index", size=3, wait=LONG_S, retry=ONCE)
    async def index(texts: Batch[str, None]) -> None:
        next(item for item in texts if item.payload == "done").succeed()
        raise ConnectionError("the index is away")

    await floor.hire(app, lease_s=LONG_S * 6)
    ids = await floor.submit_many("index", ["done", "b", "c"])
    assert await settled(floor, ids) == [JobState.SUCCEEDED, JobState.DEAD, JobState.DEAD]
    errors = [(await floor.job(job_id)).error for job_id in ids[1:]]
    assert [error.type for error in errors if error] == ["ConnectionError"] * 2
    assert len({error.traceback for error in errors if error}) == 1


async def test_a_job_has_one_outcome(floor: Floor) -> None:
    """A second outcome of a job is refused, and the first one stands."""
    app, refused = App("test"), []

    @app.batch("index", size=1)
    async def index(texts: Batch[str, None]) -> None:
        texts[0].succeed()
        with pytest.raises(HandlerError) as caught:
            texts[0].fail(ValueError())
        refused.append(str(caught.value))

    await floor.hire(app)
    assert (await floor.run("index", "a")).state is JobState.SUCCEEDED
    assert len(refused) == 1


async def test_a_payload_that_cannot_be_decoded_fails_alone(floor: Floor) -> None:
    """A job whose payload is none of the type is dead, and no call has it."""
    app, calls = App("test"), []

    @app.batch("index", size=3, wait=0.05)
    async def index(numbers: Batch[int, None]) -> None:
        calls.extend(numbers.payloads)

    await floor.hire(app)
    ids = await floor.submit_many("index", [1, "no number", 3])
    assert await settled(floor, ids) == [JobState.SUCCEEDED, JobState.DEAD, JobState.SUCCEEDED]
    assert sorted(calls) == [1, 3]


async def test_a_cancelled_job_leaves_the_others_alone(floor: Floor) -> None:
    """A job that is cancelled while the handler runs is cancelled, unless the handler says what became of it."""
    app, go, items = App("test"), anyio.Event(), {}

    @app.batch("index", size=3, wait=LONG_S)
    async def index(texts: Batch[str, None]) -> None:
        items.update({item.payload: item for item in texts})
        await go.wait()
        items["finished"].succeed()

    await floor.hire(app, lease_s=LONG_S * 6)
    ids = await floor.submit_many("index", ["cancelled", "finished", "goes on"])
    await wait_until(lambda: bool(items), "the handler runs")
    await floor.cancel(ids[0])
    await floor.cancel(ids[1])
    await wait_until(lambda: items["cancelled"].cancelled and items["finished"].cancelled, "both jobs are stopped")
    assert not items["goes on"].cancelled
    go.set()
    assert await settled(floor, ids) == [JobState.CANCELLED, JobState.SUCCEEDED, JobState.SUCCEEDED]


async def test_a_stopped_job_leaves_a_call_that_goes_on(floor: Floor) -> None:
    """A job that is cancelled is settled after its time for clean-up, however long the handler runs for others."""
    app, go, begun = App("test"), anyio.Event(), anyio.Event()

    @app.batch("index", size=2, wait=LONG_S)
    async def index(texts: Batch[str, None]) -> None:
        begun.set()
        await go.wait()
        texts[0].succeed()

    await floor.hire(app, lease_s=LONG_S * 6, cleanup_s=0.05)
    ids = await floor.submit_many("index", ["a", "b"])
    await begun.wait()
    await floor.cancel(ids[0])
    assert (await floor.settled(ids[0])).state is JobState.CANCELLED
    assert (await floor.job(ids[1])).state is JobState.RUNNING
    go.set()
    assert (await floor.settled(ids[1])).state is JobState.SUCCEEDED


async def test_a_call_is_stopped_with_the_last_of_its_jobs(floor: Floor) -> None:
    """The handler is cancelled once each of its jobs was, and may clean up."""
    app, ended = App("test"), []

    @app.batch("index", size=2, wait=LONG_S)
    async def index(texts: Batch[str, None], ctx: BatchContext) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            await asyncio.sleep(0)
            ended.append(ctx.cancelled)

    await floor.hire(app, lease_s=LONG_S * 6)
    ids = await floor.submit_many("index", ["a", "b"])
    for job_id in ids:
        await floor.until(job_id, JobState.RUNNING)
        await floor.cancel(job_id)
    assert await settled(floor, ids) == [JobState.CANCELLED] * 2
    assert ended in ([True], [])  # the cancellation may have come before the call


async def test_a_job_that_waits_for_others_is_cancelled_at_once(floor: Floor) -> None:
    """A job that is cancelled before its call has begun is not in it."""
    app, calls = App("test"), []

    @app.batch("index", size=2, wait=LONG_S)
    async def index(texts: Batch[str, None]) -> None:
        calls.append(texts.payloads)

    hired = await floor.hire(app, lease_s=LONG_S * 6)
    first = await floor.submit("index", "cancelled")
    await wait_until(lambda: hired.worker.parts.gatherer.waiting == 1, "the job waits for others")
    await floor.cancel(first)
    assert (await floor.settled(first)).state is JobState.CANCELLED
    assert await settled(floor, await floor.submit_many("index", ["a", "b"])) == [JobState.SUCCEEDED] * 2
    assert [sorted(call) for call in calls] == [["a", "b"]]


async def test_a_timeout_is_that_of_each_attempt_and_begins_with_the_call(floor: Floor) -> None:
    """Jobs that wait for others for longer than their timeout run; those whose call takes longer have failed."""
    app, slow = App("test"), {"is": False}

    @app.batch("index", size=9, wait=0.3, timeout=0.2, retry=ONCE)
    async def index(texts: Batch[str, None]) -> None:
        if slow["is"]:
            await anyio.sleep_forever()

    await floor.hire(app)
    assert (await floor.run("index", "a")).state is JobState.SUCCEEDED
    slow["is"] = True
    ids = await floor.submit_many("index", ["a", "b"])
    assert await settled(floor, ids) == [JobState.DEAD] * 2
    error = (await floor.job(ids[0])).error
    assert error is not None
    assert error.type == "timeout"
    assert "sleep_forever" in error.traceback


async def test_a_draining_worker_begins_what_waits(floor: Floor) -> None:
    """The order to stop begins calls that are not full, because the worker claims no further job."""
    app, sizes = App("test"), []

    @app.batch("index", size=5, wait=LONG_S)
    async def index(texts: Batch[str, None]) -> None:
        sizes.append(len(texts))

    hired = await floor.hire(app, lease_s=LONG_S * 6)
    ids = await floor.submit_many("index", ["a", "b"])
    await wait_until(lambda: hired.worker.parts.gatherer.waiting == 2, "both jobs wait for others")
    hired.orders.stop.set()
    await hired.is_gone.wait()
    assert await settled(floor, ids) == [JobState.SUCCEEDED] * 2
    assert sizes == [2]


async def test_a_call_that_does_not_end_in_time_is_handed_back(floor: Floor) -> None:
    """The end of the grace stops the handler, and its jobs are handed back at no cost, but for those that it ended."""
    app, begun = App("test"), anyio.Event()

    @app.batch("index", size=2, wait=LONG_S)
    async def index(texts: Batch[str, None]) -> None:
        texts[0].succeed()
        begun.set()
        await anyio.sleep_forever()

    hired = await floor.hire(app, lease_s=LONG_S * 6, grace_s=0.0)
    ids = await floor.submit_many("index", ["a", "b"])
    await begun.wait()
    hired.orders.stop.set()
    await hired.is_gone.wait()
    states = sorted([(await floor.job(job_id)).state for job_id in ids])
    assert states == [JobState.QUEUED, JobState.SUCCEEDED]


async def test_jobs_that_another_worker_has_are_left_to_it(floor: Floor) -> None:
    """The handler is told of jobs whose lease was lost, and nothing that it says of them is committed."""
    app, go, items = App("test"), anyio.Event(), []

    @app.batch("index", size=2, wait=0.1)
    async def index(texts: Batch[str, None]) -> None:
        items.extend(texts)
        await go.wait()
        for item in texts:
            item.succeed()

    hired = await floor.hire(app, renew_every_s=0.1)
    ids = await floor.submit_many("index", ["a", "b"])
    await wait_until(lambda: len(items) == 2, "the handler runs")
    await floor.take_back(ids[0])
    await wait_until(lambda: all(item.cancelled for item in items[:2]), "the worker knows that the leases are lost")
    go.set()
    assert await settled(floor, ids) == [JobState.SUCCEEDED] * 2
    assert [(await floor.job(job_id)).deliveries for job_id in ids] == [2, 2]
    assert hired.attempts("index", "ok") == 2


async def test_a_plain_function_runs_in_a_thread(floor: Floor) -> None:
    """A `def` batch handler runs in one thread for all jobs of a call, and its items have the state of the app."""

    @asynccontextmanager
    async def lifespan() -> Any:
        yield "the pool"

    app, threads = App("test", lifespan=lifespan), []

    @app.batch("index", size=3, wait=LONG_S, retry=ONCE)
    def index(texts: SyncBatch[str, str], ctx: BatchContext[str]) -> None:
        threads.append(threading.get_ident())
        for item in texts:
            item.progress(50, "half")
            if item.payload == "fails":
                item.fail(ValueError())
            else:
                item.succeed(f"{item.payload} of {ctx.state}")

    await floor.hire(app, lease_s=LONG_S * 6)
    ids = await floor.submit_many("index", ["a", "b", "fails"])
    assert await settled(floor, ids) == [JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.DEAD]
    assert (await floor.job(ids[0])).result == "a of the pool"
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


async def test_a_child_is_of_one_job_of_the_call(floor: Floor) -> None:
    """An item submits children of its job; a submission that names no item is refused, and says what to do."""
    app, refusals, children = App("test"), [], []

    @app.job("child")
    async def child(text: str) -> str:
        return text

    @app.batch("index", size=2, wait=LONG_S)
    async def index(texts: Batch[str, None]) -> None:
        with pytest.raises(NotBoundError) as caught:
            await child.submit("whose?")
        refusals.append(str(caught.value))
        children.extend([await item.submit(child, item.payload) for item in texts])

    await floor.hire(app, lease_s=LONG_S * 6)
    assert await settled(floor, await floor.submit_many("index", ["a", "b"])) == [JobState.SUCCEEDED] * 2
    assert "item.submit" in refusals[0]
    assert sorted([(await floor.settled(one.id)).result for one in children]) == ["a", "b"]


async def test_calls_and_jobs_are_linked_in_traces(
    floor: Floor, tracer: JobTracer, exporter: InMemorySpanExporter
) -> None:
    """The span of a call links to the spans of its jobs, each of which links back."""
    app = App("test")

    @app.batch("index", size=2, wait=LONG_S)
    async def index(texts: Batch[str, None]) -> None: ...

    await floor.hire(app, tracer=tracer, lease_s=LONG_S * 6)
    await settled(floor, await floor.submit_many("index", ["a", "b"]))
    await wait_until(lambda: any(span.name == "call index" for span in exporter.get_finished_spans()), "a span")
    spans = exporter.get_finished_spans()
    (call,) = [span for span in spans if span.name == "call index"]
    own = [span for span in spans if span.name == "index"]
    assert {link.context.span_id for link in call.links} == {span.context.span_id for span in own}
    assert [link.context.span_id for span in own for link in span.links] == [call.context.span_id] * 2
    assert call.attributes is not None
    assert call.attributes["messaging.batch.message_count"] == 2


async def test_lines_of_a_call_name_its_jobs(floor: Floor) -> None:
    """The line of a call has the ids of its jobs."""
    app = App("test")

    @app.batch("index", size=2, wait=LONG_S)
    async def index(texts: Batch[str, None]) -> None: ...

    with capture_logs() as lines:
        await floor.hire(app, lease_s=LONG_S * 6)
        ids = await floor.submit_many("index", ["a", "b"])
        await settled(floor, ids)
    (line,) = [line for line in lines if line["event"] == "batch handler called"]
    assert sorted(line["job_ids"]) == sorted(ids)
