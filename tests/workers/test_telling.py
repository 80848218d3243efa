"""Span, metrics and log line of an attempt agree, each in its own unit."""

import time

import anyio
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs
from waiting import wait_until
from workers.floor import Floor, Hired
from workers.spans import TRACEPARENT, attempts, named, told

from millstream import App, Retry
from millstream_contracts import Backoff, JobState
from millstream_telemetry import JobTracer
from millstream_telemetry.names import DELAY_S, ERROR_TYPE, JOB_OUTCOME, RETRY_SCHEDULED

WAITED_S = 1.5
RUN_S = 0.05


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the wait of every job before its claim to WAITED_S."""
    monkeypatch.setattr("millstream_workers.running.execution.queue_wait_s", lambda _: WAITED_S)


def value_of(hired: Hired, name: str, **labels: str) -> float:
    """Return the value of a metric of a worker."""
    return hired.metrics.get_sample_value(name, labels) or 0.0


async def test_a_wait_and_a_run_are_told_in_the_unit_of_their_names(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer, waited: None
) -> None:
    """Waits and runs are milliseconds in the span and the log line, and seconds in the metrics."""
    app = App("test")

    @app.job("one")
    async def one() -> None:
        await anyio.sleep(RUN_S)

    with capture_logs() as lines:
        hired = await floor.hire(app, tracer=tracer)
        await floor.run("one")
        await wait_until(lambda: value_of(hired, "millstream_job_run_seconds_count", type="one"), "it is measured")
    (span,) = attempts(exporter)
    assert span.attributes is not None
    assert span.attributes["millstream.job.queue_wait_ms"] == WAITED_S * 1000
    assert value_of(hired, "millstream_job_queue_wait_seconds_sum", type="one") == WAITED_S
    assert RUN_S <= value_of(hired, "millstream_job_run_seconds_sum", type="one") < 1000 * RUN_S
    (line,) = [line for line in lines if line["event"] == "attempt finished"]
    assert line["queue_wait_ms"] == WAITED_S * 1000
    assert 1000 * RUN_S <= line["run_ms"] < 1_000_000 * RUN_S


async def test_an_attempt_that_failed_tells_why_and_when_the_next_one_is(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer
) -> None:
    """Line and span of a failed attempt have the error and the delay in seconds, and the next attempt links to it."""
    app = App("test")

    @app.job("one", retry=Retry(max_attempts=2))
    async def one() -> None:
        raise ValueError("no")

    with capture_logs() as lines:
        await floor.hire(app, tracer=tracer)
        backoff = Backoff(kind="constant", base_s=0.25, jitter=False)
        job = await floor.run("one", backoff=backoff, traceparent=TRACEPARENT)
        await wait_until(lambda: len(attempts(exporter)) == 2, "both attempts are exported")
    first, second = attempts(exporter)
    failed = [line for line in lines if line["event"] == "attempt finished"]
    assert [line.get("delay_s") for line in failed] == [0.25, None]
    assert {(line["error_type"], line["outcome"]) for line in failed} == {("ValueError", "error")}
    assert [dict(event.attributes or {}) for event in first.events if event.name == RETRY_SCHEDULED] == [
        {DELAY_S: 0.25}
    ]
    assert job.state is JobState.DEAD
    assert [link.context.span_id for link in second.links] == [first.context.span_id]


async def test_an_attempt_whose_lease_was_lost_is_marked_as_failed(
    floor: Floor, exporter: InMemorySpanExporter, tracer: JobTracer
) -> None:
    """The span of an attempt whose lease was lost is marked as failed, since its job runs elsewhere by then."""
    app, fences = App("test"), list[int]()

    @app.job("one")
    async def one() -> None:
        fences.append(1)
        if len(fences) == 1:
            await anyio.sleep_forever()

    with capture_logs() as lines:
        await floor.hire(app, tracer=tracer, renew_every_s=0.1)
        job_id = await floor.submit("one", traceparent=TRACEPARENT)
        await wait_until(lambda: fences, "it runs")
        await floor.take_back(job_id)
        await floor.settled(job_id)
        await wait_until(lambda: len(attempts(exporter)) == 2, "both attempts are exported")
    by_status = {span.status.is_ok: span for span in attempts(exporter)}
    assert set(by_status) == {True, False}
    assert told(by_status[False])[JOB_OUTCOME] == told(by_status[False])[ERROR_TYPE] == "lost"
    assert {told(span).get(ERROR_TYPE) for span in named(exporter, "one")} == {"lost", None}
    lost = [line for line in lines if line["event"] == "attempt finished" and line["outcome"] == "lost"]
    assert [line["log_level"] for line in lost] == ["warning"]


async def test_the_lateness_of_the_loop_is_told_in_seconds(floor: Floor) -> None:
    """The lateness of the loop, which reveals a blocking handler, is measured in seconds."""
    app, blocked_s = App("test"), 0.7

    @app.job("block")
    async def block() -> None:
        time.sleep(blocked_s)  # noqa: ASYNC251 - what this is about

    hired = await floor.hire(app)
    await floor.run("block")
    lag = "millstream_worker_loop_lag_seconds"
    await wait_until(lambda: value_of(hired, f"{lag}_sum") > blocked_s / 10, "it is seen")
    assert value_of(hired, f"{lag}_sum") < 100 * blocked_s


async def test_a_worker_shows_no_more_busy_slots_than_it_has(floor: Floor) -> None:
    """A worker reports no more busy slots than it has, because jobs taken ahead do not run."""
    app = App("test")

    @app.job("one")
    async def one() -> None: ...

    hired = await floor.hire(app, concurrency=2)
    slots, shown = hired.worker.parts.slots, list[float]()
    for _ in range(3):
        slots.take()
        shown.append(value_of(hired, "millstream_worker_slots_busy"))
    for _ in range(3):
        slots.release_unrun()
    assert shown == [1.0, 2.0, 2.0]
    assert value_of(hired, "millstream_worker_slots") == 2.0
