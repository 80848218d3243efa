"""Bounds the log lines that a worker sends to Redis: they stay there until the history has them, and for a minute.

When all attempts fail at once, the lines of the first ones say why.
"""

import time
from collections.abc import Callable

from millstream_contracts import KeptLines
from millstream_telemetry import encode_line, last_lines

BYTES_PER_S = 64 << 10
BURST_BYTES = 1 << 20
"""What a worker may send at once that has sent little lately."""


class LineRate:
    """A bucket of bytes, which fills by BYTES_PER_S. Lives on the event loop."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._room = float(BURST_BYTES)
        self._at = now()

    def cut(self, kept: KeptLines) -> KeptLines | None:
        """Return the last of some lines for which there is room; None for none."""
        now = self._now()
        self._room = min(float(BURST_BYTES), self._room + (now - self._at) * BYTES_PER_S)
        self._at = now
        fitting = last_lines([kept], int(self._room))
        if fitting is None or not fitting.lines:
            return None
        self._room -= sum(len(encode_line(line)) for line in fitting.lines)
        return fitting
