"""The last log lines of an attempt, as they are kept with it."""

from datetime import datetime

from msgspec import Struct


class KeptLine(Struct, frozen=True, array_like=True):
    """One log line on its way to the history, and there."""

    at_ms: int
    """By the clock of the machine that wrote it."""
    level: str
    message: str
    fields: dict[str, str] = {}
    """What else the line has, each value as text, without what the attempt says already."""


class KeptLines(Struct, frozen=True, array_like=True):
    """The last log lines of one attempt, the oldest first."""

    left_out: int
    """Lines before these that found no room."""
    lines: list[KeptLine]
    sealed: bytes = b""
    """As they are stored of an encrypted type: the lines, encrypted, in place of them."""


class LogLine(Struct, kw_only=True, frozen=True):
    """One log line of an attempt."""

    at: datetime
    level: str
    """`debug`, `info`, `warning`, `error` or `critical`."""
    message: str
    fields: dict[str, str] = {}
    """What else the line has, each value as text. `exception` is the traceback of an exception that was logged."""
