"""Renders the fields of a log line, as JSON or for a terminal. Whatever the fields hold, there is a line.

A field that cannot be rendered is replaced by a text that says so; the others stay as they are. A line that is
too long is shortened field by field, so that it is still one JSON object.
"""

from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from millstream_telemetry.logs.values import MAX_VALUE_CHARS, PlainCopy, exception_text, kind_of, shown

MAX_LINE_CHARS = 65_536

_FIRST = ("event", "level", "timestamp", "service", "logger", "trace_id", "span_id", "job_id", "type", "attempt")
"""Fields that a line keeps when there are too many."""

_ENCODER = msgspec.json.Encoder(enc_hook=repr)


class JsonRenderer:
    """Renders one JSON object a line. The last processor of a chain."""

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        """Return the line. Never raises but KeyboardInterrupt."""
        try:
            if "exc_info" in event:
                _name_exception(event)
            line = _ENCODER.encode(event).decode()
            if len(line) <= MAX_LINE_CHARS:
                return line
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S110 - which field it was is found out below
            pass
        return _ENCODER.encode(_bounded(event)).decode()


class TerminalRenderer:
    """Renders lines for people. The last processor of a chain."""

    def __init__(self) -> None:
        # The default formatter prints local variables with a traceback, and payloads are among them.
        self._render = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str:
        """Return the line. Never raises but KeyboardInterrupt."""
        line = self._line(logger, method, dict(event))
        if line is None:
            fields = msgspec.json.decode(_ENCODER.encode(_bounded(event, MAX_LINE_CHARS // 2)))
            line = self._line(logger, method, dict(fields))
        return shown(fields, str) if line is None else line

    def _line(self, logger: WrappedLogger, method: str, fields: EventDict) -> str | None:
        """Return the line; None when these fields cannot be rendered, or not within the bounds."""
        try:
            line = str(self._render(logger, method, fields))
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - a user's class may raise anything
            return None
        return line if len(line) <= MAX_LINE_CHARS else None


def _name_exception(event: EventDict) -> None:
    """Replace `exc_info` by the traceback that it asks for."""
    asked = event.pop("exc_info")
    if asked is not None and asked is not False and (text := exception_text(asked)):
        event["exception"] = text


def _bounded(event: EventDict, room: int = MAX_LINE_CHARS) -> dict[str, Any]:
    """Return the fields as what JSON has, in so many characters; `left_out` says how many found no room."""
    fields: dict[str, Any] = {}
    if "exc_info" in event:
        _name_exception(event)
    for name in sorted(event, key=lambda name: name not in _FIRST):
        encoded = _encoded(name, event[name])
        needed = len(encoded) + len(name) + 4
        if needed <= room:
            room -= needed
            fields[shown(name, str)] = msgspec.Raw(encoded)
    if len(fields) < len(event):
        fields["left_out"] = len(event) - len(fields)
    return fields


def _encoded(name: str, value: Any) -> bytes:
    try:
        encoded = _ENCODER.encode(value)
        if len(encoded) <= MAX_VALUE_CHARS:
            return encoded
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001, S110 - a plain copy can be encoded
        pass
    if name == "exception" and type(value) is str:
        # The end of a long traceback is the part that names the cause.
        value = value[-MAX_VALUE_CHARS:]
    try:
        return _ENCODER.encode(PlainCopy().of(value))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a line without this field is better than none
        return _ENCODER.encode(f"<{kind_of(value)} raised {kind_of(error)}>")
