"""One log for a process: structlog's lines and those of libraries, through one renderer onto one stream.

Set up once by each service's entry point. JSON for machines, colours for a terminal; never a payload.
"""

import logging
from collections.abc import Sequence
from typing import Any, Literal, TextIO

import msgspec
import structlog
from opentelemetry.trace import INVALID_SPAN, get_current_span
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error", "critical"]

PAYLOAD_FIELDS = ("payload", "result", "body", "spec")
"""Fields that are struck from every line, whoever put them there."""

_CHATTY_LIBRARIES = ("httpx", "httpcore")
"""They log every request at `info`, which says nothing that the job's own line does not."""

_ENCODER = msgspec.json.Encoder(enc_hook=repr)


def configure_logs(service: str, level: Level, stream: TextIO) -> None:
    """Write log lines of this level and above to a stream, one JSON object a line unless it is a terminal.

    Lines carry the trace and span that are current. A logger that was bound before this call keeps what it
    was bound to, so call this first; `structlog.get_logger().bind(...)` once per object, because an unbound
    logger is put together anew at every call.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _ServiceName(service),
        add_trace,
        drop_payloads,
    ]
    rendering = _rendering(stream.isatty())
    structlog.configure(
        processors=[*common, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _route_stdlib(number, stream, common, rendering)


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


def _rendering(is_terminal: bool) -> list[Processor]:
    if is_terminal:
        # The default formatter prints local variables with a traceback, and payloads are among them.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    return [structlog.processors.format_exc_info, _to_json]


def _to_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    try:
        return _ENCODER.encode(event).decode()
    except (TypeError, ValueError, OverflowError):
        # A lone surrogate or a key that is no string: a log line must never fail the job that writes it.
        return _ENCODER.encode({str(field): ascii(value) for field, value in event.items()}).decode()


def _add_stdlib_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    event["logger"] = record.name
    return event


def _route_stdlib(level: int, stream: TextIO, common: Sequence[Processor], rendering: Sequence[Processor]) -> None:
    """Have what libraries log through `logging` look the same and land on the same stream."""
    handler: logging.StreamHandler[Any] = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_add_stdlib_name, *common],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _CHATTY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.NOTSET if level <= logging.DEBUG else logging.WARNING)
    logging.captureWarnings(capture=True)
