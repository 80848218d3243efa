"""The job tracer makes the spans of a job."""

import contextvars
from contextlib import suppress

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind, StatusCode

from millstream_telemetry import NO_TRACE, JobTracer, TraceContext, current_trace_context, names

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = TraceContext(f"00-{TRACE}-{SPAN}-01", "vendor=1")
UNSAMPLED = TraceContext(f"00-{TRACE}-{SPAN}-00", "vendor=1")


@pytest.fixture
def exported():
    """Return the exporter that keeps the ended spans."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(exported):
    """Yield a provider that records unless the caller's context forbids it."""
    provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    yield provider
    provider.shutdown()


@pytest.fixture
def tracer(provider):
    """Return the tracer under test."""
    return JobTracer(provider)


def attempt_of(tracer, stored=SAMPLED, **more):
    """Return the first attempt of a job."""
    return tracer.attempt("email.send", "email.send_001", stored, attempt=1, delivery=1, **more)


def test_off_tracer_passes_the_callers_context_on():
    """Without tracing the caller's trace context still travels with the job, and no span is made."""
    tracer = JobTracer(None)

    with tracer.server("POST", "/v1/jobs", SAMPLED.traceparent, SAMPLED.tracestate) as server:
        stored = tracer.send("email.send", "email.send_001", server.context)
    with attempt_of(tracer, stored) as attempt, attempt.handler("send_email"):
        attempt.fail("ValueError", "no", retry_in_s=1.0)
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
    assert tracer.send("email.send", "email.send_001", SAMPLED) == SAMPLED


def test_attempt_carries_the_conventions_of_messaging(tracer, exported):
    """The span of an attempt has the attributes of the messaging conventions."""
    with tracer.attempt(
        "email.send", "email.send_001", SAMPLED, attempt=2, delivery=5, queue_wait_ms=12.5, tenant="acme"
    ):
        pass

    (span,) = exported.get_finished_spans()
    assert (span.name, span.kind) == ("process email.send", SpanKind.CONSUMER)
    assert dict(span.attributes) == {
        "messaging.system": "millstream",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "email.send",
        "messaging.message.id": "email.send_001",
        "messaging.consumer.group.name": "workers",
        "millstream.job.attempt": 2,
        "millstream.job.delivery": 5,
        "millstream.job.queue_wait_ms": 12.5,
        "millstream.job.tenant": "acme",
    }
    assert set(span.attributes) <= {field.name for field in names.ATTRIBUTES}


def test_handler_span_records_the_exception_that_passes_through_it(tracer, exported):
    """The handler's span records the exception with its traceback, and the exception goes on."""
    with attempt_of(tracer) as attempt:
        with pytest.raises(ValueError, match="no such user"), attempt.handler("send_email"):
            raise ValueError("no such user")
        attempt.fail("ValueError", "no such user", retry_in_s=2.5)

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


def test_send_carries_the_conventions_of_messaging(tracer, exported):
    """The producer span has the messaging attributes and the job id, and ends before the job is stored."""
    for tenant in ({}, {"tenant": "acme"}):
        tracer.send("email.send", "email.send_001", NO_TRACE, **tenant)

    spans = exported.get_finished_spans()
    assert [(span.name, span.kind) for span in spans] == [("send email.send", SpanKind.PRODUCER)] * 2
    assert [span.attributes["millstream.job.tenant"] for span in spans] == ["default", "acme"]
    assert dict(spans[1].attributes) == {
        "messaging.system": "millstream",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "email.send",
        "messaging.message.id": "email.send_001",
        "millstream.job.tenant": "acme",
    }


def test_an_attempt_links_to_the_one_before_it(tracer, exported):
    """An attempt links to the one before it, and the first attempt to none."""
    with attempt_of(tracer) as first:
        pass
    with attempt_of(tracer, previous=first.traceparent):
        pass

    spans = exported.get_finished_spans()
    assert [[link.context.span_id for link in span.links] for span in spans] == [[], [spans[0].context.span_id]]


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

    with pytest.raises(ValueError, match="xxx"), attempt_of(tracer) as attempt, attempt.handler("send_email"):
        fail(2)
    attempt.fail("ValueError", "y" * 10_000)

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


@pytest.mark.parametrize(
    ("propagation", "options", "links"),
    [
        ("auto", {}, False),
        ("auto", {"delay_s": 300.0}, False),
        ("auto", {"delay_s": 300.1}, True),
        ("auto", {"is_batch_item": True}, True),
        ("child", {"delay_s": 3600.0, "is_batch_item": True}, False),
        ("link", {}, True),
    ],
)
def test_send_links_or_continues_as_propagation_says(provider, exported, propagation, options, links):
    """A long delay or a batch item starts a trace that links to the caller's, unless the propagation says otherwise."""
    tracer = JobTracer(provider, propagation=propagation)

    stored = tracer.send("email.send", "email.send_001", SAMPLED, **options)

    (span,) = exported.get_finished_spans()
    assert (stored.trace_id != TRACE) is links
    assert [f"{link.context.span_id:016x}" for link in span.links] == ([SPAN] if links else [])
    assert (span.parent is None) is links
    assert stored.traceparent[36:52] == f"{span.context.span_id:016x}"


def test_send_keeps_tracestate_when_it_continues_the_trace(tracer):
    """A job that continues the caller's trace keeps its tracestate."""
    assert tracer.send("email.send", "email.send_001", SAMPLED).tracestate == "vendor=1"


def test_send_passes_an_unsampled_caller_on_unchanged(tracer, exported):
    """The context of an unsampled caller is stored unchanged."""
    assert tracer.send("email.send", "email.send_001", UNSAMPLED) == UNSAMPLED
    assert exported.get_finished_spans() == ()


def test_send_of_a_linked_job_that_is_not_recorded_stores_an_unsampled_context(exported):
    """A linked job that is not recorded stores an unsampled context, so that no attempt decides anew."""
    provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
    tracer = JobTracer(provider)

    assert tracer.send("email.send", "email.send_001", SAMPLED, is_batch_item=True) == UNSAMPLED


def test_server_asks_a_sampler_that_ignores_callers(exported):
    """A sampler that ignores callers decides by itself, and a parent-based one follows the caller."""
    always = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
    follows = TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)

    with JobTracer(always).server("POST", "/v1/jobs", UNSAMPLED.traceparent, UNSAMPLED.tracestate) as recorded:
        assert recorded.context.is_sampled
    with JobTracer(follows).server("POST", "/v1/jobs", UNSAMPLED.traceparent, UNSAMPLED.tracestate) as passed_on:
        assert passed_on.context == UNSAMPLED
        assert current_trace_context() == UNSAMPLED


def test_server_says_how_it_answered(tracer, exported):
    """A 5xx marks the span of a request as failed, and a 4xx does not."""
    for status in (202, 422, 503):
        with tracer.server("POST", "/v1/jobs/batch", SAMPLED.traceparent, SAMPLED.tracestate) as server:
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
        "messaging.batch.message_count": 3,
        "http.response.status_code": 503,
        "error.type": "503",
    }


def test_recover_bury_and_redrive_link_to_the_attempt_they_concern(tracer, exported):
    """Spans of recover, bury and redrive are in the job's trace, with a link to the attempt."""
    with attempt_of(tracer) as attempt:
        pass
    last = attempt.traceparent
    tracer.recover("email.send", "email.send_001", SAMPLED, attempt=last, reason="crashed")
    tracer.bury("email.send", "email.send_001", SAMPLED, attempt=last, reason="crashed")
    tracer.redrive("email.send", "email.send_001", SAMPLED, attempt=last)

    _, *notes = exported.get_finished_spans()
    assert [(span.name, span.kind) for span in notes] == [
        (name, SpanKind.INTERNAL) for name in ("recover", "bury", "redrive")
    ]
    for span in notes:
        assert f"{span.parent.span_id:016x}" == SPAN
        assert [f"{link.context.span_id:016x}" for link in span.links] == [last[36:52]]
    assert notes[0].attributes["millstream.job.reason"] == "crashed"


@pytest.mark.parametrize("stored", [NO_TRACE, UNSAMPLED])
def test_recover_makes_no_span_when_the_job_is_not_recorded(tracer, exported, stored):
    """A recovery makes no span when its job is not recorded."""
    tracer.recover("email.send", "email.send_001", stored, reason="crashed")

    assert exported.get_finished_spans() == ()
