"""The last log lines of an attempt, kept within a bound of lines and bytes to go with its end.

A line is kept as it is logged: what the log leaves out, by its level or as a payload, is not kept either. To keep one
never raises, whatever it holds.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Self

import msgspec
from structlog.typing import EventDict, WrappedLogger

from millstream_contracts import KeptLine, KeptLines, limits
from millstream_telemetry.error_text import storable
from millstream_telemetry.logs.job_fields import CallFields, current_job
from millstream_telemetry.logs.values import PlainCopy, exception_text

_OWN = frozenset({"event", "level", "timestamp", "service", "trace_id", "span_id", "exc_info", "stack_info"})
"""Fields of a line that stand elsewhere in what is kept, or say nothing beside the attempt."""

_OF_JOB = frozenset({"job_id", "type", "attempt", "job_ids", "jobs"})
_MAX_NAME_BYTES = 64
_SPENT_BYTES = 32
"""What a line takes beside its texts, at most."""

encode_line = msgspec.msgpack.Encoder().encode
decode_line = msgspec.msgpack.Decoder(KeptLine).decode


def keep_line(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Keep a line with the attempt whose handler has caused it. A processor, behind those that change fields."""
    job = current_job.get()
    if job is not None and job.keeper is not None:
        try:
            own = event.get("job_id")
            of_job = own if type(own) is str else ""
            job.keeper.keep(line_of(method, event, job), of_job)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S110 - a field's class may raise anything; the log has the line
            pass
    return event


def line_of(method: str, event: EventDict, job: Any = None) -> KeptLine:
    """Return a line as it is kept, cut to MAX_LOG_LINE_BYTES in all."""
    level = event.get("level")
    message, room = _cut(_text(event.get("event", "")), limits.MAX_LOG_LINE_BYTES - _SPENT_BYTES)
    fields: dict[str, str] = {}
    asked = event.get("exc_info")
    told = exception_text(asked) if asked else ""
    if told and room > 0:
        # The end of a long traceback is the part that names the cause.
        fields["exception"] = storable(told)[-room:].encode()[-room:].decode(errors="ignore")
        room -= len(fields["exception"].encode()) + len("exception") + 4
    for name, value in event.items():
        if name in _OWN or name.startswith("_") or _says_nothing(name, value, job):
            continue
        if room <= _MAX_NAME_BYTES:
            break
        key, _ = _cut(storable(name), _MAX_NAME_BYTES)
        fields[key], left = _cut(_text(value), room - len(key.encode()) - 4)
        room = left
    return KeptLine(round(time.time() * 1000), level if type(level) is str else method, message, fields)


class LineRing:
    """The last lines of an attempt, at most MAX_LOG_LINES of them and `max_bytes`. Any thread may add to it."""

    __slots__ = ("_bytes", "_left_out", "_lines", "_lock", "_max_bytes")

    def __init__(self, max_bytes: int, left_out: int = 0) -> None:
        self._max_bytes = max_bytes
        self._lines: deque[tuple[KeptLine, int]] = deque()
        self._bytes = 0
        self._left_out = left_out
        self._lock = threading.Lock()

    @classmethod
    def of(cls, parts: Iterable[KeptLines], max_bytes: int) -> Self:
        """Return a ring with the last lines of several parts, in the order of their times."""
        some = list(parts)
        ring = cls(max_bytes, sum(one.left_out for one in some))
        for line in sorted((line for one in some for line in one.lines), key=lambda line: line.at_ms):
            ring.add(line)
        return ring

    def add(self, line: KeptLine) -> None:
        """Add a line, in place of the oldest ones where there is no room beside them."""
        size = len(encode_line(line))
        with self._lock:
            self._lines.append((line, size))
            self._bytes += size
            while self._bytes > self._max_bytes or len(self._lines) > limits.MAX_LOG_LINES:
                self._bytes -= self._lines.popleft()[1]
                self._left_out += 1

    def kept(self) -> KeptLines:
        """Return the lines by now, and how many were left out before them."""
        with self._lock:
            return KeptLines(self._left_out, [line for line, _ in self._lines])


def last_lines(parts: Iterable[KeptLines], max_bytes: int) -> KeptLines | None:
    """Return the last lines of several parts together, in the order of their times; None where there are none."""
    kept = LineRing.of(parts, max_bytes).kept()
    return kept if kept.lines or kept.left_out else None


def _says_nothing(name: str, value: Any, job: Any) -> bool:
    """Return whether a field says what the attempt says: those of its job, and those of all jobs of its call."""
    if job is None or name not in _OF_JOB:
        return False
    if isinstance(job, CallFields) and name != "type":
        return name in {"job_ids", "jobs"} or (type(value) is str and value in job.job_ids)
    return type(value) in {str, int} and value == getattr(job, name, None)


def _text(value: Any) -> str:
    if type(value) is str:
        return storable(value[: limits.MAX_LOG_LINE_BYTES])
    plain = PlainCopy().of(value)
    text = plain if type(plain) is str else msgspec.json.encode(plain, enc_hook=repr).decode()
    return storable(text[: limits.MAX_LOG_LINE_BYTES])


def _cut(text: str, room: int) -> tuple[str, int]:
    """Return the beginning of a text in so many bytes, and how many of them are left."""
    encoded = text.encode()
    if len(encoded) <= room:
        return text, room - len(encoded)
    return encoded[: max(room, 0)].decode(errors="ignore"), 0
