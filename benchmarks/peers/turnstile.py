"""A Unix socket where worker processes wait until all are there, and through which they report latencies."""

import socket
from pathlib import Path
from typing import Self


class Turnstile:
    """A context manager, whose exit closes the workers' connections."""

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_s)
        self._socket.bind(str(folder / "turnstile"))
        self._socket.listen()
        self._timeout_s = timeout_s
        self._lines: list[socket.socket] = []

    def gather(self, count: int) -> list[int]:
        """Wait until this number of processes has arrived, and return their ids. Raises: TimeoutError."""
        pids = []
        while len(self._lines) < count:
            line, _ = self._socket.accept()
            line.settimeout(self._timeout_s)
            self._lines.append(line)
            pids.append(_number(line))
        return pids

    def open(self) -> None:
        """Let all processes go."""
        for line in self._lines:
            line.sendall(b"\n")

    def next_latency_ns(self) -> int:
        """Return the next latency that the only worker reports.

        Raises: TimeoutError; ConnectionError, when it has ended.
        """
        return _number(self._lines[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for line in (*self._lines, self._socket):
            line.close()


def _number(line: socket.socket) -> int:
    said = line.recv(8, socket.MSG_WAITALL)
    if len(said) < 8:
        raise ConnectionError("a worker process ended")
    return int.from_bytes(said, "little")
