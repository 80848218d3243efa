"""A batch that has ended has a span from its submission to its end, and its callbacks are in its trace."""

import pytest
from dispatcher.batches.conftest import COMPLETE, Depot, T
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from millstream_streams import Broker
from millstream_telemetry import JobTracer, TraceContext


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Return what keeps the spans."""
    return InMemorySpanExporter()


async def test_a_batch_has_a_span_of_its_life(broker: Broker, exporter: InMemorySpanExporter) -> None:
    """The span says how the batch ended, and is written once whichever service ended it."""
    provider = TracerProvider(sampler=ALWAYS_ON)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    depot = Depot(broker, JobTracer(provider))
    sent = depot.tracer.send_batch("import", "BA", TraceContext())
    sent.stored()
    batch = await depot.create((COMPLETE,), members=2, trace=sent.context.traceparent)
    await depot.run_members()
    await depot.broker.batches.close(T, batch)
    await depot.run_callbacks()
    await depot.turn()
    (span,) = [one for one in exporter.get_finished_spans() if one.name == "batch import"]
    attributes = dict(span.attributes or {})
    assert attributes["millstream.batch.id"] == batch
    assert attributes["millstream.batch.state"] == "succeeded"
    assert attributes["millstream.batch.members.succeeded"] == 2
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == sent.context.trace_id
    traces = {one.context.trace_id for one in exporter.get_finished_spans() if one.context}
    assert traces == {span.context.trace_id}
