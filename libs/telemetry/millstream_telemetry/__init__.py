"""Spans, metrics, logs, health and the runner of periodic duties. Names are in `names.py`."""

from millstream_telemetry.admin import AdminServer, serve_admin
from millstream_telemetry.attempt_span import Attempt
from millstream_telemetry.duties import Duty, DutyResult, DutyRunner
from millstream_telemetry.duty_service import run_duties
from millstream_telemetry.error_text import origin, storable, text_of, traceback_of, type_name
from millstream_telemetry.errors import AdminBindError, TelemetryError, TracingConfigError
from millstream_telemetry.failure_log import FailureLog
from millstream_telemetry.health import Health, HealthCheck, HealthOverview, HealthReport, Pulse
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
from millstream_telemetry.standard_streams import hold_standard_streams
from millstream_telemetry.stopping import (
    STACK_SIGNALS,
    StopOrders,
    heed_stop_signals,
    ignore_late_signals,
    prepare_signals,
    stop_signals,
)
from millstream_telemetry.trace_context import (
    NO_TRACE,
    TraceContext,
    current_trace_context,
    read_trace_context,
)
from millstream_telemetry.tracing import configure_tracing, end_tracing
from millstream_telemetry.wake import Wake

__all__ = [
    "NO_TRACE",
    "STACK_SIGNALS",
    "AdminBindError",
    "AdminServer",
    "Attempt",
    "DispatcherMetrics",
    "Duty",
    "DutyMetrics",
    "DutyResult",
    "DutyRunner",
    "FailureLog",
    "Health",
    "HealthCheck",
    "HealthOverview",
    "HealthReport",
    "HistoryMetrics",
    "IngestMetrics",
    "JobTracer",
    "Level",
    "LogSettings",
    "MetricRegistry",
    "Propagation",
    "Pulse",
    "ReaperMetrics",
    "RedisMetrics",
    "ServerSpan",
    "StopOrders",
    "TelemetryError",
    "TraceContext",
    "TracingConfigError",
    "Wake",
    "WorkerMetrics",
    "configure_logs",
    "configure_tracing",
    "configured_logs",
    "current_trace_context",
    "end_tracing",
    "heed_stop_signals",
    "hold_standard_streams",
    "ignore_late_signals",
    "origin",
    "prepare_signals",
    "read_trace_context",
    "run_duties",
    "serve_admin",
    "stop_signals",
    "storable",
    "text_of",
    "traceback_of",
    "type_name",
]
