"""One log for a process: structlog's lines and those of libraries, through one renderer onto one stream.

Set up once by each service's entry point. JSON for machines, colours for a terminal; never a payload. To log
never raises, whatever is logged and whatever has become of the stream.
"""

import logging
from collections.abc import Sequence
from typing import Literal, TextIO

import structlog
from msgspec import Struct
from opentelemetry.trace import INVALID_SPAN, get_current_span
from structlog.typing import EventDict, Processor, WrappedLogger

from millstream_telemetry.logs.calls import StdlibHandler, logger_class, make_record
from millstream_telemetry.logs.job_fields import add_job, hide_secrets
from millstream_telemetry.logs.kept_lines import keep_line
from millstream_telemetry.logs.rendering import JsonRenderer, TerminalRenderer
from millstream_telemetry.logs.stream import LogStream

Level = Literal["debug", "info", "warning", "error", "critical"]

PAYLOAD_FIELDS = ("payload", "result", "body", "spec")
"""Fields that are struck from every line."""

_CHATTY_LIBRARIES = ("httpx2", "httpcore2", "httpx", "httpcore", "alembic")
"""They log every request, or each look at a schema, at `info`, which says nothing that our own lines do not."""


class LogSettings(Struct, frozen=True):
    """How a process logs, for another one that is to log in the same way."""

    service: str
    level: Level
    is_terminal: bool
    """Whether lines are for people."""


_settings: list[LogSettings] = []


def configured_logs() -> LogSettings | None:
    """Return how this process logs; None before :func:`configure_logs`."""
    return _settings[-1] if _settings else None


def configure_logs(service: str, level: Level, stream: TextIO, *, is_terminal: bool | None = None) -> None:
    """Write log lines of this level and above to a stream, one JSON object a line unless it is a terminal.

    Lines carry the trace and span that are current, and the job whose handler runs. A logger that was bound before
    this call keeps what it was bound to, so call this first; `structlog.get_logger().bind(...)` once per object,
    because an unbound logger is put together anew at every call.
    """
    settings = LogSettings(service, level, stream.isatty() if is_terminal is None else is_terminal)
    number = logging.getLevelNamesMapping()[level.upper()]
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _ServiceName(service),
        add_trace,
        add_job,
        drop_payloads,
        hide_secrets,
        keep_line,
    ]
    render = TerminalRenderer() if settings.is_terminal else JsonRenderer()

    def tell_lost(lines: int) -> str:
        event: EventDict = {"event": "log lines lost", "lines": lines}
        for processor in common:
            event = processor(None, "warning", event)  # type: ignore[assignment]
        return render(None, "warning", event)

    lines = LogStream(stream, tell_lost)
    structlog.configure(
        processors=[*common, render],
        wrapper_class=logger_class(number, service),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    _route_stdlib(number, StdlibHandler(lines, service, render), [_add_stdlib_name, *common], render)
    _settings[:] = [settings]


def add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the ids of the current span, unless the line has its own."""
    span = get_current_span()
    if span is INVALID_SPAN:
        return event
    context = span.get_span_context()
    if context.is_valid:
        event.setdefault("trace_id", f"{context.trace_id:032x}")
        event.setdefault("span_id", f"{context.span_id:016x}")
    return event


def drop_payloads(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Strike what may hold users' data."""
    for field in PAYLOAD_FIELDS:
        event.pop(field, None)
    return event


class _ServiceName:
    """Adds which service writes."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["service"] = self._service
        return event


def _add_stdlib_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    event["logger"] = record.name
    return event


def _route_stdlib(level: int, handler: StdlibHandler, chain: Sequence[Processor], render: Processor) -> None:
    """Have what libraries log through `logging` look the same and land on the same stream."""
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.setLogRecordFactory(make_record)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _CHATTY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.NOTSET if level <= logging.DEBUG else logging.WARNING)
    logging.captureWarnings(capture=True)
