"""Every span, metric and log field. Names are in `names.py`."""

from millstream_telemetry.error_text import frames_of, origin, storable, text_of, traceback_of, type_name
from millstream_telemetry.errors import TelemetryError, TracingConfigError
from millstream_telemetry.logs.job_fields import SHOWN_JOBS, CallFields, JobFields, LineKeeper, current_job
from millstream_telemetry.logs.kept_lines import LineRing, decode_line, encode_line, last_lines
from millstream_telemetry.logs.setup import Level, LogSettings, configure_logs, configured_logs
from millstream_telemetry.metrics.every_service import CodecMetrics, DutyMetrics, RedisMetrics, ServiceMetrics
from millstream_telemetry.metrics.groups import (
    AuditMetrics,
    BatchMetrics,
    ConflictMetrics,
    ConsoleMetrics,
    DispatcherMetrics,
    HistoryMetrics,
    IngestMetrics,
    NoticeMetrics,
    OperationMetrics,
    ReaperMetrics,
    ScheduleMetrics,
    TenantMetrics,
    WebhookMetrics,
    WorkerMetrics,
    WorkflowMetrics,
)
from millstream_telemetry.metrics.registry import MetricRegistry
from millstream_telemetry.own_frames import calls_handlers, is_ours, stack_text
from millstream_telemetry.secret_texts import SecretTexts
from millstream_telemetry.tracing.attempt_span import Attempt
from millstream_telemetry.tracing.delivery_spans import MAX_LINKS, Attributes, PastDelivery, delivery_of
from millstream_telemetry.tracing.job_tracer import JobTracer, Propagation
from millstream_telemetry.tracing.request_span import ServerSpan
from millstream_telemetry.tracing.send_span import SendSpan
from millstream_telemetry.tracing.setup import configure_tracing, end_tracing
from millstream_telemetry.tracing.trace_context import (
    NO_TRACE,
    TraceContext,
    current_trace_context,
    link_current_span,
    read_trace_context,
    trace_field,
)

__all__ = [
    "MAX_LINKS",
    "NO_TRACE",
    "SHOWN_JOBS",
    "Attempt",
    "Attributes",
    "AuditMetrics",
    "BatchMetrics",
    "CallFields",
    "CodecMetrics",
    "ConflictMetrics",
    "ConsoleMetrics",
    "DispatcherMetrics",
    "DutyMetrics",
    "HistoryMetrics",
    "IngestMetrics",
    "JobFields",
    "JobTracer",
    "Level",
    "LineKeeper",
    "LineRing",
    "LogSettings",
    "MetricRegistry",
    "NoticeMetrics",
    "OperationMetrics",
    "PastDelivery",
    "Propagation",
    "ReaperMetrics",
    "RedisMetrics",
    "ScheduleMetrics",
    "SecretTexts",
    "SendSpan",
    "ServerSpan",
    "ServiceMetrics",
    "TelemetryError",
    "TenantMetrics",
    "TraceContext",
    "TracingConfigError",
    "WebhookMetrics",
    "WorkerMetrics",
    "WorkflowMetrics",
    "calls_handlers",
    "configure_logs",
    "configure_tracing",
    "configured_logs",
    "current_job",
    "current_trace_context",
    "decode_line",
    "delivery_of",
    "encode_line",
    "end_tracing",
    "frames_of",
    "is_ours",
    "last_lines",
    "link_current_span",
    "origin",
    "read_trace_context",
    "stack_text",
    "storable",
    "text_of",
    "trace_field",
    "traceback_of",
    "type_name",
]
