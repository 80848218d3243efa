"""A span keeps the whole context around it, trace state and baggage included."""

import pytest
from opentelemetry import baggage
from opentelemetry.context import attach, detach, get_value, set_value
from opentelemetry.sdk.trace import SpanProcessor
from telemetry.jobs import JOB_ID, JOB_TYPE, SAMPLED, UNSAMPLED, attempt_of

from millstream_telemetry import NO_TRACE, JobTracer, current_trace_context

OF_A_LIBRARY = "suppress_instrumentation"


class ParentsSeen(SpanProcessor):
    """A span processor that keeps the baggage of the parent of each span."""

    def __init__(self):
        self.baggage = {}

    def on_start(self, span, parent_context=None):
        """Note the baggage of the parent."""
        self.baggage[span.name] = dict(baggage.get_all(parent_context))


@pytest.fixture
def around():
    """Attach baggage and a value of a library to the current context."""
    token = attach(set_value(OF_A_LIBRARY, "kept", baggage.set_baggage("customer", "acme")))
    yield
    detach(token)


def spans_of(tracer, context):
    """Return a span of each kind that code is run in."""
    return {
        "server": tracer.server("POST", "/v1/jobs", context.traceparent, context.tracestate),
        "attempt": attempt_of(tracer, context),
        "handler": attempt_of(tracer, context).handler("send_email"),
    }


@pytest.mark.parametrize("kind", ["server", "attempt", "handler"])
@pytest.mark.parametrize("context", [SAMPLED, UNSAMPLED, NO_TRACE], ids=["sampled", "unsampled", "none"])
@pytest.mark.parametrize("is_on", [True, False], ids=["on", "off"])
def test_a_span_keeps_the_rest_of_the_context_that_it_is_entered_in(provider, around, kind, context, is_on):
    """A span changes nothing of the context that it is entered in but the current span."""
    with spans_of(JobTracer(provider if is_on else None), context)[kind]:
        assert baggage.get_all() == {"customer": "acme"}
        assert get_value(OF_A_LIBRARY) == "kept"
    assert baggage.get_all() == {"customer": "acme"}


@pytest.mark.parametrize("context", [SAMPLED, UNSAMPLED], ids=["sampled", "unsampled"])
def test_trace_state_goes_on_through_every_span(tracer, context):
    """The trace state of the caller reaches every span of a job, and the job itself."""
    with tracer.server("POST", "/v1/jobs", context.traceparent, context.tracestate) as server:
        assert current_trace_context().tracestate == "vendor=1"
        stored = tracer.send(JOB_TYPE, JOB_ID, server.context).context
    assert stored.tracestate == "vendor=1"
    with attempt_of(tracer, stored) as attempt:
        assert attempt.context.tracestate == current_trace_context().tracestate == "vendor=1"
        with attempt.handler("send_email"):
            assert current_trace_context().tracestate == "vendor=1"


def test_the_span_of_a_handler_starts_in_the_context_around_it(provider, tracer, around):
    """The span of a handler starts with the baggage of the context around it."""
    seen = ParentsSeen()
    provider.add_span_processor(seen)
    with attempt_of(tracer) as attempt, attempt.handler("send_email"):
        pass

    assert seen.baggage["send_email"] == {"customer": "acme"}
