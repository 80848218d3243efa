"""Readers of the spans that workers export in tests."""

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TRACE_ID = "a" * 32
TRACEPARENT = f"00-{TRACE_ID}-{'b' * 16}-01"


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    """Return the spans of this name in the order in which they ended."""
    return [span for span in exporter.get_finished_spans() if span.name == name]


def attempts(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """Return the spans of deliveries in the order in which they ended."""
    return [span for span in exporter.get_finished_spans() if span.name.startswith("process ")]


def told(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    return dict(span.attributes or {})


def events(span: ReadableSpan) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of a span."""
    return [(event.name, dict(event.attributes or {})) for event in span.events]


def linked(span: ReadableSpan) -> list[int]:
    """Return the ids of the spans that a span links to."""
    return [link.context.span_id for link in span.links]


def id_of(span: ReadableSpan) -> int:
    """Return the id of a span."""
    assert span.context is not None
    return span.context.span_id
