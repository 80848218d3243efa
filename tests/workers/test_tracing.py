"""Workers record in the trace of a job the outcome of each delivery, with a link to the delivery before."""

import time
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from streams.seeds import take_one
from structlog.testing import capture_logs
from waiting import wait_until
from workers.floor import Floor, queue_of_id, queue_of_type
from workers.spans import TRACE_ID, TRACEPARENT, attempts, events, id_of, linked, named, told

from millstream import App, Context, Dead, Discard, Retry, Snooze
from millstream_contracts import HandedBack, JobState
from millstream_telemetry import JobTracer, TraceContext
from millstream_telemetry.names import CLIENT_ID, CODE_FUNCTION, ERROR_TYPE, JOB_DELIVERY, JOB_OUTCOME
from millstream_telemetry.tracing.delivery_spans import delivery_span

TIMEOUT_S = 0.1
FOREVER_S = 600.0


async def told_by(exporter: InMemorySpanExporter, count: int) -> list[Any]:
    """Return the spans of deliveries once `count` are exported."""
    await wait_until(lambda: len(attempts(exporter)) >= count, f"{count} deliveries are exported")
    return attempts(exporter)


async def test_a_snooze_is_told_and_linked_to(floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer) -> None:
    """A snoozed delivery has the outcome and the event `snoozed` and no error, and the next one links to it."""
    app = App("test")

    @app.job("one")
    async def one(ctx: Context) -> None:
        if ctx.fence == 1:
            raise Snooze(0.01)

    await floor.hire(app, tracer=tracer)
    await floor.run("one", traceparent=TRACEPARENT)
    first, second = await told_by(exporter, 2)
    assert (told(first)[JOB_OUTCOME], first.status.status_code) == ("snoozed", StatusCode.UNSET)
    assert events(first) == [("snoozed", {"delay_s": 0.01})]
    assert (told(second)[JOB_OUTCOME], linked(second)) == ("ok", [id_of(first)])
    assert [span.status.status_code for span in named(exporter, "one")] == [StatusCode.UNSET] * 2


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError("no"), "attempts"), (Dead("account closed"), "account closed")]
)
async def test_the_last_attempt_of_a_dead_job_says_that_it_is_dead(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer, error: Exception, reason: str
) -> None:
    """The last attempt of a dead job has the outcome `dead` and the event `dead` with the reason."""
    app = App("test")

    @app.job("one", retry=Retry(max_attempts=2))
    async def one(ctx: Context) -> None:
        raise error if ctx.attempt == 2 else ValueError("first")

    await floor.hire(app, tracer=tracer)
    assert (await floor.run("one", traceparent=TRACEPARENT)).state is JobState.DEAD
    first, last = await told_by(exporter, 2)
    assert (told(first)[JOB_OUTCOME], told(last)[JOB_OUTCOME]) == ("error", "dead")
    assert [name for name, _ in events(first)] == ["retry scheduled"]
    assert events(last) == [("dead", {"millstream.job.reason": reason})]
    assert last.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("answer", ["ends", "fails"])
@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_timeout_marks_the_span_of_the_handler(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer, kind: str, answer: str
) -> None:
    """A timeout marks attempt and handler as failed by `timeout`, whatever the handler raises when it is stopped."""
    app = App("test")

    @app.job("loop", timeout=TIMEOUT_S, retry=Retry(max_attempts=1))
    async def on_loop() -> None:
        try:
            await anyio.sleep(FOREVER_S)
        finally:
            if answer == "fails":
                raise ConnectionError("closed")

    @app.job("thread", timeout=TIMEOUT_S, retry=Retry(max_attempts=1))
    def in_thread(ctx: Context) -> None:
        while not ctx.cancelled:
            time.sleep(0.01)
        if answer == "fails":
            raise ConnectionError("closed")

    await floor.hire(app, tracer=tracer)
    await floor.run(kind, traceparent=TRACEPARENT)
    (process,) = await told_by(exporter, 1)
    (handler,) = named(exporter, "on_loop" if kind == "loop" else "in_thread")
    for span in (process, handler):
        assert (span.status.status_code, told(span)[ERROR_TYPE]) == (StatusCode.ERROR, "timeout")


async def test_a_handler_that_a_client_has_stopped_has_not_failed(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer
) -> None:
    """A handler that is stopped by a cancellation of its job is not marked as failed, whatever it raises then."""
    app, runs = App("test"), anyio.Event()

    @app.job("one")
    async def one() -> None:
        runs.set()
        try:
            await anyio.sleep(FOREVER_S)
        finally:
            raise ConnectionError("closed")

    await floor.hire(app, tracer=tracer, renew_every_s=0.1)
    job_id = await floor.submit("one", traceparent=TRACEPARENT)
    await runs.wait()
    await floor.cancel(job_id)
    await floor.settled(job_id)
    (process,) = await told_by(exporter, 1)
    (handler,) = named(exporter, "one")
    assert [span.status.status_code for span in (process, handler)] == [StatusCode.UNSET] * 2
    assert told(process)[JOB_OUTCOME] == "cancelled"


async def test_a_discard_is_told_and_is_no_failure(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer
) -> None:
    """A discarded job has the outcome `cancelled` and no error."""
    app = App("test")

    @app.job("one")
    async def one() -> None:
        raise Discard("not wanted any more")

    await floor.hire(app, tracer=tracer)
    await floor.run("one", traceparent=TRACEPARENT)
    (process,) = await told_by(exporter, 1)
    assert (told(process)[JOB_OUTCOME], process.status.status_code) == ("cancelled", StatusCode.UNSET)


async def test_a_delivery_after_a_crash_links_to_the_one_that_was_lost(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer
) -> None:
    """A delivery links to the one before it even when the worker of that one was killed and exported nothing."""
    app = App("test")

    @app.job("one")
    async def one() -> None: ...

    job_id = await floor.submit("one", traceparent=TRACEPARENT)
    await take_one(floor.broker, queue_of_type("one"), "gone")
    await floor.take_back(job_id)
    await floor.hire(app, tracer=tracer)
    await floor.settled(job_id)
    (process,) = await told_by(exporter, 1)
    assert told(process)[JOB_DELIVERY] == 2
    lost = delivery_span(TraceContext(TRACEPARENT), job_id, 1)
    assert [f"{one:016x}" for one in linked(process)] == [lost.traceparent[36:52]]


async def test_a_delivery_that_was_not_run_is_told_and_linked_to(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer
) -> None:
    """A delivery that is handed back without having been run has a span, to which the next one links."""
    app = App("test")

    @app.job("one")
    async def one() -> None: ...

    job_id = await floor.submit("one", traceparent=TRACEPARENT)
    delivery = await take_one(floor.broker, queue_of_type("one"), "w1")
    hired = await floor.hire(app, tracer=tracer)
    hired.worker.parts.pipeline.decline(delivery)
    await floor.settled(job_id)
    first, second = await told_by(exporter, 2)
    assert (told(first)[JOB_OUTCOME], told(first)[JOB_DELIVERY]) == ("handed_back", 1)
    assert first.status.status_code is StatusCode.UNSET
    assert linked(second) == [id_of(first)]


async def test_a_delivery_that_was_not_run_makes_no_span_of_a_job_that_is_not_recorded(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer
) -> None:
    """A delivery that was not run has no span when its job has no recorded trace."""
    app = App("test")

    @app.job("one")
    async def one() -> None: ...

    hired = await floor.hire(app, tracer=tracer, types=("one",))
    for traceparent in ("", f"{TRACEPARENT[:-2]}00"):
        job_id = await floor.submit("other", traceparent=traceparent)
        hired.worker.parts.executor.skip(await take_one(floor.broker, queue_of_id(job_id)), HandedBack())
    assert attempts(exporter) == []


async def test_spans_name_the_worker_as_the_api_shows_it_and_the_function_of_the_handler(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer
) -> None:
    """Spans of deliveries and child jobs name the worker as the API shows it, and those of handlers their function."""
    app = App("test")

    @app.job("child")
    async def child() -> None: ...

    @app.job("parent")
    async def parent(ctx: Context) -> None:
        await ctx.submit("child")

    await floor.hire(app, tracer=tracer)
    await floor.run("parent", traceparent=TRACEPARENT)
    await told_by(exporter, 2)
    [worker] = await floor.broker.registry.workers()
    [send] = named(exporter, "send child")
    assert {told(span)[CLIENT_ID] for span in (*attempts(exporter), send)} == {worker.name}
    [handler] = named(exporter, "parent")
    assert told(handler)[CODE_FUNCTION] == f"{__name__}.{parent.function.__qualname__}"


async def test_lines_about_a_job_outside_of_its_attempt_carry_its_trace(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer
) -> None:
    """A log line about a job outside of its attempt has the trace id of the job."""
    app, fences = App("test"), list[int]()

    @app.job("one")
    async def one(ctx: Context) -> None:
        fences.append(ctx.fence)
        if ctx.fence == 1:
            await floor.take_back(ctx.job_id)

    with capture_logs() as lines:
        await floor.hire(app, tracer=tracer)
        job_id = await floor.submit("one", traceparent=TRACEPARENT)
        await wait_until(lambda: any(line["event"] == "outcome refused" for line in lines), "the outcome is refused")
        await floor.settled(job_id)
    (line,) = [line for line in lines if line["event"] == "outcome refused"]
    assert (line["job_id"], line["type"], line["trace_id"]) == (job_id, "one", TRACE_ID)
