"""The journal of faults, with their times, which is the only excuse that the checker accepts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

EVERYTHING = "everything"
"""The target of a fault that affects every service: Redis itself, or the whole machine."""
ENDINGS = frozenset({"kill", "end", "liveness"})
"""Faults that end a process."""
STALL = "stall"
"""The fault that the suite did not cause: the machine had no time for it."""


class Fault(Struct):
    """One fault. Times are Unix ms, as in the events of Redis, on the same machine."""

    kind: str
    target: str
    """A service such as `worker-1`, or everything."""
    begun_ms: int
    ended_ms: int | None = None
    """None while it lasts."""
    pid: int = 0
    """The process that the fault was done to; 0 for any of the service's."""

    def overlaps(self, begin_ms: int, end_ms: int) -> bool:
        """Return whether the fault was on at any time between two others."""
        return self.begun_ms <= end_ms and (self.ended_ms is None or self.ended_ms >= begin_ms)

    def excuses(self, service: str, pid: int, begin_ms: int, end_ms: int) -> bool:
        """Return whether the fault met a process of a service between two times."""
        if self.was_end_of(pid):
            # A process that has ended stays so, and what it had sent may still arrive: a claim of a dead worker.
            return self.begun_ms <= end_ms
        felt = self.target == EVERYTHING or (self.target == service and self.pid in {0, pid})
        return felt and self.overlaps(begin_ms, end_ms)

    def was_end_of(self, pid: int) -> bool:
        """Return whether the fault ended this process."""
        return self.kind in ENDINGS and self.pid == pid


class Journal:
    """Records faults."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def note(self, kind: str, target: str, pid: int = 0) -> Fault:
        """Record a fault that is over."""
        now = now_ms()
        fault = Fault(kind, target, now, now, pid)
        self.faults.append(fault)
        return fault

    @contextmanager
    def lasting(self, kind: str, target: str, pid: int = 0) -> Iterator[Fault]:
        """Record a fault that lasts as long as the block."""
        fault = Fault(kind, target, now_ms(), None, pid)
        self.faults.append(fault)
        try:
            yield fault
        finally:
            fault.ended_ms = now_ms()

    def write(self, path: Path) -> None:
        """Write the faults to a file beside the logs, a line of JSON each."""
        path.write_bytes(b"".join(msgspec.json.encode(fault) + b"\n" for fault in self.faults))


def now_ms() -> int:
    """Return the time, Unix ms."""
    return time.time_ns() // 1_000_000
