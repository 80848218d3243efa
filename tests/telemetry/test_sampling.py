"""A new trace is sampled before the SDK makes any span for it."""

import itertools
import random

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, ParentBasedTraceIdRatio, TraceIdRatioBased

from millstream_telemetry import JobTracer, TraceContext, current_trace_context
from millstream_telemetry.tracing.sampling import RootIds

SHARE = 0.25
CALLER = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")


@pytest.fixture
def tracer_of(exported):
    """Return a function that makes tracers with a given sampler."""

    def make(sampler, ids=None):
        provider = TracerProvider(sampler=sampler, id_generator=ids or RootIds(), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exported))
        return JobTracer(provider)

    return make


def requests(tracer, count=400):
    """Return the contexts of requests without a caller's trace."""
    contexts = []
    for _ in range(count):
        with tracer.server("POST", "/v1/jobs") as server:
            contexts.append(server.context)
    return contexts


def traces_of(exported):
    """Return the ids of the traces that were recorded, in order."""
    return [f"{span.context.trace_id:032x}" for span in exported.get_finished_spans()]


def test_a_request_is_recorded_when_the_sampler_would_record_its_trace(tracer_of, exported):
    """A request is recorded exactly when the sampler would record its trace id."""
    random.seed(4711)
    contexts = requests(tracer_of(ParentBasedTraceIdRatio(SHARE)))

    bound = TraceIdRatioBased(SHARE).bound
    assert sum(context.is_sampled for context in contexts) == pytest.approx(SHARE * len(contexts), rel=0.3)
    for context in contexts:
        assert context.is_sampled == (int(context.trace_id[16:], 16) < bound)
    assert traces_of(exported) == [context.trace_id for context in contexts if context.is_sampled]
    assert len({context.traceparent for context in contexts}) == len(contexts)


def test_a_trace_that_is_not_recorded_says_that_its_id_is_random(tracer_of):
    """The context of an unrecorded trace has the flag of a random id, as that of the SDK."""
    drawn = requests(tracer_of(ParentBasedTraceIdRatio(0.0)), 1)
    made = requests(tracer_of(ParentBasedTraceIdRatio(0.0), RandomIdGenerator()), 1)

    assert [context.traceparent[-2:] for context in (*drawn, *made)] == ["02", "02"]


def test_items_of_a_batch_are_recorded_one_by_one(tracer_of, exported):
    """Each item of a batch is sampled by itself, and an unrecorded one keeps the caller's unsampled context."""
    random.seed(4711)
    tracer = tracer_of(ParentBasedTraceIdRatio(SHARE))

    sent = [tracer.send("email.send", f"email.send_{n}", CALLER, is_batch_item=True) for n in range(400)]
    for send in sent:
        send.stored()

    stored = [send.context for send in sent]
    assert [context.trace_id for context in stored if context.is_sampled] == traces_of(exported)
    assert {context for context in stored if not context.is_sampled} == {CALLER}
    assert len(traces_of(exported)) == pytest.approx(SHARE * len(stored), rel=0.3)


def test_the_sdk_is_asked_where_the_sampler_or_the_ids_are_others(tracer_of, exported):
    """With a custom sampler or id generator the SDK decides."""
    for tracer in (
        tracer_of(ParentBased(ALWAYS_ON)),
        tracer_of(TraceIdRatioBased(1.0)),
        tracer_of(ParentBasedTraceIdRatio(1.0), RandomIdGenerator()),
    ):
        assert all(context.is_sampled for context in requests(tracer, 3))

    assert len(exported.get_finished_spans()) == 9


def test_a_request_that_is_not_recorded_is_the_current_trace(tracer_of):
    """The context of an unrecorded request is current, for log lines and for spans of libraries."""
    tracer = tracer_of(ParentBasedTraceIdRatio(0.0))

    with tracer.server("POST", "/v1/jobs") as server:
        inside = current_trace_context()

    assert inside.trace_id == server.trace_id != ""
    assert not current_trace_context().traceparent


def test_ids_that_are_all_zero_are_drawn_again(monkeypatch):
    """Ids of zeros only are drawn again, because they stand for no trace."""
    drawn = itertools.chain([1, 1 << 64, 0], itertools.count(1 << 64 | 1))
    monkeypatch.setattr(random, "getrandbits", lambda _bits: next(drawn))
    ids = RootIds()

    assert all(all(ids.draw()) for _ in range(3))


def test_an_id_that_was_put_back_is_drawn_once_more_and_only_once():
    """A trace id that was put back is the next one that is drawn, once."""
    ids = RootIds()
    trace_id, _ = ids.draw()
    ids.put_back(trace_id)

    assert ids.generate_trace_id() == trace_id
    assert ids.generate_trace_id() != trace_id
