"""What a page asks of the API, in requests: their number does not grow with what there is to show."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
from console.serving import Browser, running_console
from ingest.serving import Ingest, patient, remembering_ingest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from millstream_console.settings import ConsoleSettings
from millstream_ingest.settings import IngestSettings
from millstream_telemetry import JobTracer

FRAME = 3
"""Requests for the numbers beside the navigation, once in five seconds for all pages."""

WHO = 1
"""The request that asks who looks, once in two seconds for each session."""

BUDGETS = {
    "/": 9,
    "/queues": 3,
    "/queues/{type}": 5,
    "/jobs": 1,
    "/errors": 1,
    "/operations": 1,
    "/workers": 2,
    "/system": 1,
    "/webhooks": 1,
    "/schedules": 1,
    "/workflows": 1,
    "/batches": 1,
    "/templates": 1,
    "/audit": 1,
    "/keys": 1,
    "/sessions": 1,
    "/tenants": 1,
}
"""By page, the requests that it may make besides those of its frame and of its session."""

TYPES = [f"mail.to-{number}" for number in range(30)]


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """Return what gets a span for each request that ingest answers."""
    return InMemorySpanExporter()


@pytest.fixture(scope="module")
async def crowded(
    redis_url: str, namespace: str, database: str, exporter: InMemorySpanExporter
) -> AsyncIterator[Ingest]:
    """Yield an ingest with jobs of thirty types, which tells of each request."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    settings = patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0))
    async with remembering_ingest(settings, database, JobTracer(provider)) as running:
        for job_type in TYPES:
            await running.submit(job_type, delay_s=3600)
        yield running


@pytest.fixture
async def console(crowded: Ingest) -> AsyncIterator[Browser]:
    """Yield a console over it that has kept nothing yet."""
    async with running_console(ConsoleSettings(url=str(crowded.http.base_url))) as running:
        yield running


@pytest.mark.parametrize("path", BUDGETS)
async def test_page_asks_the_api_as_often_as_it_may(
    console: Browser, exporter: InMemorySpanExporter, path: str
) -> None:
    """Thirty queues cost as many requests as one."""
    exporter.clear()
    await console.get(path.format(type=TYPES[0]))
    asked = Counter(span.name for span in exporter.get_finished_spans() if span.name.startswith("GET "))
    assert asked
    assert asked.total() <= BUDGETS[path] + FRAME + WHO, asked
