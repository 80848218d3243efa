"""Every span, metric and log field. Names are in `names.py`."""

from millstream_telemetry.attempt_span import Attempt
from millstream_telemetry.error_text import origin, storable, text_of, traceback_of, type_name
from millstream_telemetry.errors import TelemetryError, TracingConfigError
from millstream_telemetry.logs import Level, LogSettings, configure_logs, configured_logs
from millstream_telemetry.metrics import (
    DispatcherMetrics,
    DutyMetrics,
    HistoryMetrics,
    IngestMetrics,
    ReaperMetrics,
    RedisMetrics,
    WorkerMetrics,
)
from millstream_telemetry.registry import MetricRegistry
from millstream_telemetry.request_span import ServerSpan
from millstream_telemetry.spans import JobTracer, Propagation
from millstream_telemetry.trace_context import (
    NO_TRACE,
    TraceContext,
    current_trace_context,
    read_trace_context,
)
from millstream_telemetry.tracing import configure_tracing, end_tracing

__all__ = [
    "NO_TRACE",
    "Attempt",
    "DispatcherMetrics",
    "DutyMetrics",
    "HistoryMetrics",
    "IngestMetrics",
    "JobTracer",
    "Level",
    "LogSettings",
    "MetricRegistry",
    "Propagation",
    "ReaperMetrics",
    "RedisMetrics",
    "ServerSpan",
    "TelemetryError",
    "TraceContext",
    "TracingConfigError",
    "WorkerMetrics",
    "configure_logs",
    "configure_tracing",
    "configured_logs",
    "current_trace_context",
    "end_tracing",
    "origin",
    "read_trace_context",
    "storable",
    "text_of",
    "traceback_of",
    "type_name",
]
