"""An ingest that records a span of every request."""

from collections.abc import AsyncIterator

import pytest
from ingest.serving import DOORS, Ingest, running_ingest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker
from millstream_telemetry import JobTracer


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Return the exporter that receives the spans."""
    return InMemorySpanExporter()


@pytest.fixture(params=DOORS)
async def traced(
    broker: Broker, settings: IngestSettings, exporter: InMemorySpanExporter, request: pytest.FixtureRequest
) -> AsyncIterator[Ingest]:
    """Yield an ingest that traces every request."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with running_ingest(settings, JobTracer(provider), door=request.param) as running:
        yield running
    provider.shutdown()
