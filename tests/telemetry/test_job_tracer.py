"""The job tracer makes the spans of a job."""

import asyncio
import contextvars
from contextlib import suppress

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from telemetry.jobs import SAMPLED, TRACE, UNSAMPLED, attempt_of

from millstream_telemetry import NO_TRACE, JobTracer, TraceContext, current_trace_context, names


def test_off_tracer_passes_the_callers_context_on():
    """Without tracing the caller's trace context still travels with the job, and no span is made."""
    tracer = JobTracer(None)

    with tracer.server("POST", "/v1/jobs", SAMPLED.traceparent, SAMPLED.tracestate) as server:
        send = tracer.send("email.send", "email.send_001", server.context)
        send.stored()
        stored = send.context
    with attempt_of(tracer, stored) as attempt, attempt.handler("send_email"):
        attempt.conclude("error", error_type="ValueError", message="no", delay_s=1.0)
        is_current = trace.get_current_span().get_span_context().is_valid

    assert not tracer.is_on
    assert stored == SAMPLED
    assert (attempt.traceparent, attempt.exemplar, attempt.trace_id) == ("", "", TRACE)
    assert not is_current


def test_attempt_makes_no_span_when_the_stored_context_is_not_sampled(tracer, exported):
    """An attempt whose stored context is not sampled makes no span, and user code inherits that."""
    with attempt_of(tracer, UNSAMPLED) as attempt, attempt.handler("send_email"):
        inside = current_trace_context()
        with trace.get_tracer("user", tracer_provider=None).start_as_current_span("user"):
            pass

    assert exported.get_finished_spans() == ()
    assert inside == UNSAMPLED
    assert (attempt.traceparent, attempt.exemplar, attempt.trace_id) == ("", "", TRACE)
    assert attempt.context == UNSAMPLED
    assert current_trace_context() == NO_TRACE


def test_user_spans_stay_out_of_an_unsampled_trace(tracer, provider, exported):
    """A span that a handler makes is not recorded when its job is not."""
    with attempt_of(tracer, UNSAMPLED), provider.get_tracer("user").start_as_current_span("query"):
        pass

    assert exported.get_finished_spans() == ()


def test_attempt_decides_anew_when_the_job_has_no_context(tracer, exported):
    """An attempt without a stored context makes its own sampling decision, as behind an ingest without tracing."""
    with attempt_of(tracer, NO_TRACE) as attempt:
        pass

    (span,) = exported.get_finished_spans()
    assert span.parent is None
    assert attempt.traceparent[3:35] == f"{span.context.trace_id:032x}"


def test_attempt_is_cheap_and_safe_when_the_provider_does_nothing():
    """OpenTelemetry's no-op provider is treated like none."""
    tracer = JobTracer(trace.NoOpTracerProvider())

    with attempt_of(tracer, NO_TRACE) as attempt, attempt.handler("send_email"):
        pass

    assert attempt.traceparent == ""
    assert tracer.send("email.send", "email.send_001", SAMPLED).context == SAMPLED


def test_attempt_carries_the_conventions_of_messaging(tracer, exported):
    """The span of an attempt has the attributes of the messaging conventions."""
    with tracer.of_client("host:7:ab").attempt(
        "email.send", "email.send_001", SAMPLED, attempt=2, delivery=5, queue_wait_ms=12.5, tenant="acme"
    ) as attempt:
        attempt.conclude("ok")

    (span,) = exported.get_finished_spans()
    assert (span.name, span.kind) == ("process email.send", SpanKind.CONSUMER)
    assert dict(span.attributes) == {
        "messaging.system": "millstream",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "email.send",
        "messaging.message.id": "email.send_001",
        "messaging.consumer.group.name": "workers",
        "messaging.client.id": "host:7:ab",
        "millstream.job.attempt": 2,
        "millstream.job.delivery": 5,
        "millstream.job.queue_wait_ms": 12.5,
        "millstream.job.tenant": "acme",
        "millstream.job.outcome": "ok",
    }
    assert set(span.attributes) <= {field.name for field in names.ATTRIBUTES}


def test_handler_span_records_the_exception_that_passes_through_it(tracer, exported):
    """The handler's span records the exception with its traceback, and the exception goes on."""
    with attempt_of(tracer) as attempt:
        with pytest.raises(ValueError, match="no such user"), attempt.handler("send_email"):
            raise ValueError("no such user")
        attempt.conclude("error", error_type="ValueError", message="no such user", delay_s=2.5)

    handler, process = exported.get_finished_spans()
    assert handler.parent.span_id == process.context.span_id
    for span in (handler, process):
        assert (span.status.status_code, span.attributes["error.type"]) == (StatusCode.ERROR, "ValueError")
    assert [event.name for event in handler.events] == ["exception"]
    assert [(event.name, dict(event.attributes)) for event in process.events] == [("retry scheduled", {"delay_s": 2.5})]


def test_handler_span_is_a_child_of_its_attempt_wherever_it_is_entered(tracer, exported):
    """The handler's span is a child of its attempt, also in a task or thread without its context."""
    with attempt_of(tracer) as attempt:

        def elsewhere():
            with attempt.handler("send_email"):
                pass

        contextvars.Context().run(elsewhere)

    handler, process = exported.get_finished_spans()
    assert handler.parent.span_id == process.context.span_id


def test_steering_exception_is_no_error(provider, exported):
    """An outcome request, such as a snooze, marks no span as failed."""
    tracer = JobTracer(provider, not_errors=(KeyError,))

    with pytest.raises(KeyError), attempt_of(tracer) as attempt, attempt.handler("send_email"):
        raise KeyError("snooze")

    assert [span.status.status_code for span in exported.get_finished_spans()] == [StatusCode.UNSET] * 2


def test_cancelled_handler_ends_its_span_without_an_error(tracer, exported):
    """A cancelled handler ends its span without an error."""
    with pytest.raises(KeyboardInterrupt), attempt_of(tracer) as attempt, attempt.handler("send_email"):
        raise KeyboardInterrupt

    assert [span.status.status_code for span in exported.get_finished_spans()] == [StatusCode.UNSET] * 2


def test_exception_that_leaves_the_attempt_marks_it_as_failed(tracer, exported):
    """An exception that leaves the attempt marks its span as failed, since it is a defect of the worker."""
    with pytest.raises(RuntimeError), attempt_of(tracer):
        raise RuntimeError("worker bug")

    (span,) = exported.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["millstream.job.outcome"] == "error"


def test_attempt_of_a_worker_that_is_ended_is_lost(tracer, exported):
    """The outcome of an attempt whose worker is cancelled is `lost`."""
    with pytest.raises(asyncio.CancelledError), attempt_of(tracer):
        raise asyncio.CancelledError

    (span,) = exported.get_finished_spans()
    assert span.attributes["millstream.job.outcome"] == "lost"
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    ("told", "status", "event"),
    [
        ({"outcome": "ok"}, StatusCode.UNSET, None),
        ({"outcome": "handed_back"}, StatusCode.UNSET, None),
        ({"outcome": "snoozed", "delay_s": 30.0}, StatusCode.UNSET, ("snoozed", {"delay_s": 30.0})),
        (
            {"outcome": "timeout", "error_type": "timeout", "delay_s": 0.0},
            StatusCode.ERROR,
            ("retry scheduled", {"delay_s": 0.0}),
        ),
        (
            {"outcome": "dead", "error_type": "ValueError", "reason": "attempts"},
            StatusCode.ERROR,
            ("dead", {"millstream.job.reason": "attempts"}),
        ),
        ({"outcome": "lost", "error_type": "lost"}, StatusCode.ERROR, None),
    ],
)
def test_attempt_says_what_became_of_the_delivery(tracer, exported, told, status, event):
    """The span of a delivery has its outcome as an attribute, and an event where the job goes on or is dead."""
    with attempt_of(tracer) as attempt:
        attempt.conclude(**told)

    (span,) = exported.get_finished_spans()
    assert span.attributes["millstream.job.outcome"] == told["outcome"]
    assert (span.status.status_code, span.attributes.get("error.type")) == (status, told.get("error_type"))
    assert [(one.name, dict(one.attributes)) for one in span.events] == ([event] if event else [])


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ConnectionError("closed")])
@pytest.mark.parametrize(("reason", "expected"), [("timeout", "timeout"), ("lost", "lost"), ("", None)])
def test_handler_that_was_stopped_says_why(tracer, exported, error, reason, expected):
    """The `error.type` of a stopped handler is the reason of the stop, whatever exception it ended with."""
    with (
        attempt_of(tracer) as attempt,
        suppress(type(error)),
        attempt.handler("send_email", stop_reason=lambda: reason),
    ):
        raise error

    handler, _ = exported.get_finished_spans()
    assert handler.attributes.get("error.type") == expected
    assert (handler.status.status_code is StatusCode.ERROR) is (expected is not None)
    assert [event.name for event in handler.events] == ["exception"] * isinstance(error, ConnectionError)


def test_handler_span_names_its_function(tracer, exported):
    """The span of a handler has the qualified name of its function."""
    with attempt_of(tracer) as attempt, attempt.handler("send_email", attempt_of):
        pass

    handler, _ = exported.get_finished_spans()
    assert dict(handler.attributes) == {"code.function.name": "telemetry.jobs.attempt_of"}


@pytest.mark.parametrize("is_on", [True, False], ids=["on", "off"])
@pytest.mark.parametrize("context", [SAMPLED, UNSAMPLED, NO_TRACE], ids=["sampled", "unsampled", "none"])
def test_every_span_is_current_inside_and_what_was_current_is_back_after_it(provider, context, is_on):
    """A span is current inside of its block, and the one before it is current again afterwards."""
    tracer = JobTracer(provider if is_on else None)
    around = TraceContext("00-" + "c" * 32 + "-" + "d" * 16 + "-01")
    with trace.use_span(around.as_span()):
        server = tracer.server("POST", "/v1/jobs", context.traceparent, context.tracestate)
        for span in (server, attempt_of(tracer, context), attempt_of(tracer, context).handler("send_email")):
            with suppress(ConnectionError), span:
                inside = current_trace_context()
                raise ConnectionError
            assert current_trace_context() == around
            expected = getattr(span, "context", inside) if is_on else around
            assert inside == expected


def test_an_exception_is_told_in_full_and_within_bounds(tracer, exported):
    """A recorded exception is bounded, and its traceback keeps the end."""

    def fail(depth):
        if depth:
            fail(depth - 1)
        raise ValueError("x" * 10_000)

    with attempt_of(tracer) as attempt:
        with pytest.raises(ValueError, match="xxx"), attempt.handler("send_email"):
            fail(2)
        attempt.conclude("error", error_type="ValueError", message="y" * 10_000)

    handler, process = exported.get_finished_spans()
    (event,) = handler.events
    assert event.attributes["exception.type"] == "ValueError"
    assert event.attributes["exception.message"] == "x" * 512
    assert len(event.attributes["exception.stacktrace"]) == 8_192
    assert event.attributes["exception.stacktrace"].endswith("xxx\n")
    assert [len(span.status.description) for span in (handler, process)] == [512, 512]


def test_a_traceback_stands_on_the_span_of_the_handler(tracer, exported):
    """The handler's span has the traceback."""

    def look_up_the_user():
        raise LookupError("no such user")

    with pytest.raises(LookupError), attempt_of(tracer) as attempt, attempt.handler("send_email"):
        look_up_the_user()

    handler, _ = exported.get_finished_spans()
    assert "look_up_the_user" in handler.events[0].attributes["exception.stacktrace"]


def test_an_exception_that_leaves_a_request_marks_it_as_failed(tracer, exported):
    """An exception that leaves a request marks its span as failed, and a disconnected client does not."""
    for error in (RuntimeError("bug"), KeyboardInterrupt()):
        with pytest.raises(type(error)), tracer.server("POST", "/v1/jobs"):
            raise error

    failed, stopped = exported.get_finished_spans()
    assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "bug")
    assert failed.attributes["error.type"] == "RuntimeError"
    assert stopped.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(("status", "code"), [(499, StatusCode.UNSET), (500, StatusCode.ERROR)])
def test_an_answer_of_500_is_the_first_that_is_an_error(tracer, exported, status, code):
    """A status from 500 on marks the span of a request as failed."""
    with tracer.server("POST", "/v1/jobs") as server:
        server.answered(status)

    assert exported.get_finished_spans()[0].status.status_code is code


def test_server_asks_a_sampler_that_ignores_callers(exported):
    """A sampler that ignores callers decides by itself, and a parent-based one follows the caller."""
    always = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    follows = TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)

    with JobTracer(always).server("POST", "/v1/jobs", UNSAMPLED.traceparent, UNSAMPLED.tracestate) as recorded:
        assert recorded.context.is_sampled
    with JobTracer(follows).server("POST", "/v1/jobs", UNSAMPLED.traceparent, UNSAMPLED.tracestate) as passed_on:
        assert passed_on.context == UNSAMPLED
        assert current_trace_context() == UNSAMPLED


@pytest.mark.parametrize("provided", [None, ParentBased(ALWAYS_ON)], ids=["off", "on"])
def test_request_of_which_no_span_is_made_is_not_described(provided):
    """The attributes of a request are read only when it has a span."""
    tracer = JobTracer(provided and TracerProvider(sampler=provided, shutdown_on_exit=False))

    with tracer.server("POST", "/v1/jobs", UNSAMPLED.traceparent, describe=lambda: pytest.fail("it was described")):
        pass


def test_server_says_how_it_answered(tracer, exported):
    """A 5xx marks the span of a request as failed, and a 4xx does not."""
    about = {"url.path": "/v1/jobs/batch"}
    for status in (202, 422, 503):
        with tracer.server(
            "POST", "/v1/jobs/batch", SAMPLED.traceparent, SAMPLED.tracestate, describe=lambda: about
        ) as server:
            server.carries(3)
            server.answered(status)

    spans = exported.get_finished_spans()
    assert [span.status.status_code for span in spans] == [
        StatusCode.UNSET,
        StatusCode.UNSET,
        StatusCode.ERROR,
    ]
    assert dict(spans[2].attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/jobs/batch",
        "url.path": "/v1/jobs/batch",
        "messaging.batch.message_count": 3,
        "http.response.status_code": 503,
        "error.type": "503",
    }
