"""A worker process's link to the driver: it waits at the turnstile, counts completions and reports latencies.

Runs in the peers' own environments: standard library only.
"""

import mmap
import os
import socket
import threading
import time
from pathlib import Path

_SLOTS = 2  # completed jobs, and when the last one was, in ns of the monotonic clock
_GATE_S = 120.0


class Tally:
    """One per worker process.

    The count is in a mapped file, so that a completion costs no system call and no command.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file = mmap.mmap(-1, _SLOTS * 8)
        self._slots = memoryview(self._file).cast("Q")
        self._line: socket.socket | None = None

    def enter(self) -> None:
        """Report that this process is ready, and wait until the driver lets all processes begin at once.

        Raises: TimeoutError, when the driver does not.
        """
        folder = Path(os.environ["BENCH_TALLY"])
        with (folder / str(os.getpid())).open("w+b") as file:
            file.truncate(_SLOTS * 8)
            self._file = mmap.mmap(file.fileno(), _SLOTS * 8)
        self._slots = memoryview(self._file).cast("Q")
        self._line = socket.socket(socket.AF_UNIX)
        self._line.settimeout(_GATE_S)
        self._line.connect(str(folder / "turnstile"))
        self._line.sendall(os.getpid().to_bytes(8, "little"))
        self._line.recv(1)

    def done(self) -> None:
        """Count a completed job."""
        # A lock for all, though only systems with threads need it: every Python system pays the same.
        with self._lock:
            self._slots[1] = time.monotonic_ns()
            self._slots[0] += 1

    def stamped(self, sent_ns: int) -> None:
        """Report that the handler of a job begins, which was submitted at `sent_ns` of the monotonic clock."""
        took_ns = time.monotonic_ns() - sent_ns
        if self._line:
            self._line.sendall(took_ns.to_bytes(8, "little"))
