"""A line of a service's log, read back from its JSON, and said in words."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from millstream_cli.wording import lasting
from millstream_telemetry.names import ATTEMPT_FINISHED

_SAID_ELSEWHERE = frozenset(
    {"event", "level", "timestamp", "service", "logger", "trace_id", "span_id", "fingerprint", "exception"}
)
"""Fields that a line for people has elsewhere, or not at all: ids of spans are for programs."""


class LogLine(msgspec.Struct, frozen=True):
    """One line, decoded."""

    event: str
    level: str
    timestamp: datetime
    fields: Mapping[str, Any]
    """All fields of the line, those above included."""

    @property
    def is_attempt(self) -> bool:
        """Whether it is the line about a finished attempt."""
        return self.event == ATTEMPT_FINISHED and "job_id" in self.fields and "outcome" in self.fields

    @property
    def is_success(self) -> bool:
        """Whether it is the line about an attempt that succeeded."""
        return self.is_attempt and self.fields["outcome"] == "ok"

    @property
    def exception(self) -> str:
        """Return the traceback; empty when there is none."""
        return str(self.fields.get("exception", ""))


class _Head(msgspec.Struct):
    event: str
    level: str
    timestamp: datetime


def read_log_line(line: str) -> LogLine | None:
    """Return what a line says; None for one that is no line of a service's log, such as the print of a handler."""
    if not line.startswith("{"):
        return None
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
        head = msgspec.convert(fields, _Head)
        return LogLine(head.event, head.level, head.timestamp, fields)
    except (msgspec.DecodeError, UnicodeError):
        return None


def say_attempt(fields: Mapping[str, Any]) -> str:
    """Return what became of an attempt, in words that follow the id of its job."""
    attempt = fields.get("attempt", 1)
    which = f"attempt {attempt} "
    match fields["outcome"]:
        case "ok":
            return f"succeeded in {_run_time(fields)}" + (f" at attempt {attempt}" if attempt != 1 else "")
        case "error":
            name = str(fields.get("error_type", "an error")).rpartition(".")[2]
            said = f": {fields['error']}" if fields.get("error") else ""
            return f"{which}failed with {name}{said}, {_what_next(fields)}"
        case "timeout":
            return f"{which}timed out after {_run_time(fields)}, {_what_next(fields)}"
        case "lost":
            return "lost: the lease ran out while it was running"
        case "handed_back":
            return "handed back"
        case outcome:
            return str(outcome)


def say_fields(fields: Mapping[str, Any]) -> str:
    """Return the fields that a line has besides its event, as `name=value`."""
    # The text of an error says what its type and its reason say in one word.
    left_out = _SAID_ELSEWHERE | {"error_type", "reason"} if "error" in fields else _SAID_ELSEWHERE
    shown = ((name, value) for name, value in fields.items() if name not in left_out)
    return "  ".join(f"{name}={value if isinstance(value, str) else _json(value)}" for name, value in shown)


def _what_next(fields: Mapping[str, Any]) -> str:
    delay_s = fields.get("delay_s")
    return "now dead" if delay_s is None else f"again in {lasting(delay_s)}"


def _run_time(fields: Mapping[str, Any]) -> str:
    return lasting(fields.get("run_ms", 0) / 1000)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
