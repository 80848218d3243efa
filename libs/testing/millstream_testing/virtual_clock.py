"""The clock of the kit, which stands still until a test or a delay moves it."""

import time
from datetime import datetime

from millstream_contracts import moment


class VirtualClock:
    """Stands for the clock of Redis, by which every stored time and every refusal by time is."""

    def __init__(self, start: datetime | None = None) -> None:
        self.now_ms: int = int((time.time() if start is None else start.timestamp()) * 1000)
        """Unix ms."""

    def now_s(self) -> float:
        """Return Unix seconds."""
        return self.now_ms / 1000

    def now(self) -> datetime:
        """Return the time in UTC."""
        return moment(self.now_ms)

    def move_to(self, at_ms: int) -> None:
        """Move forward; a time that has passed changes nothing."""
        self.now_ms = max(self.now_ms, at_ms)
