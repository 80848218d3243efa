"""Fixtures for the tests of telemetry."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from millstream_telemetry import JobTracer


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, as the services do."""
    return "asyncio"


@pytest.fixture
def clean_logging() -> Iterator[None]:
    """Restore what `configure_logs` changes for the whole process."""
    root, make_record = logging.getLogger(), logging.getLogRecordFactory()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.setLogRecordFactory(make_record)
    structlog.reset_defaults()


@pytest.fixture
def exported() -> InMemorySpanExporter:
    """Return the exporter that keeps the ended spans."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(exported: InMemorySpanExporter) -> Iterator[TracerProvider]:
    """Yield a provider that records unless the caller's context forbids it."""
    provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    yield provider
    provider.shutdown()


@pytest.fixture
def tracer(provider: TracerProvider) -> JobTracer:
    """Return the tracer under test."""
    return JobTracer(provider)
