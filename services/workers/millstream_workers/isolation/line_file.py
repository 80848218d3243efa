"""The file in which a handler process keeps the last log lines of its job, and which its worker reads.

It has no name and both have it open. The process writes it through a mapping of its memory, so that a line costs no
message, and is there for the worker also after SIGKILL.

The file is a head and two halves. Lines fill one half, and then the other, which is emptied before: whatever has become
of the process, one of them has whole lines, and both together the last ones.
"""

import mmap
import os
import struct
import tempfile
import threading

from millstream_contracts import UNDECODABLE, KeptLine, KeptLines, limits
from millstream_telemetry import decode_line, encode_line, last_lines

_HEAD = struct.Struct("<QIIII")
"""Number of the order, lines in all, the half that is being filled, and the bytes that are used of each."""
_LENGTH = struct.Struct("<H")


def _half_bytes(max_bytes: int) -> int:
    return max_bytes + _LENGTH.size * limits.MAX_LOG_LINES + 2 * limits.MAX_LOG_LINE_BYTES


class LineFile:
    """The worker's side of one process's file."""

    def __init__(self, max_bytes: int) -> None:
        """Make the file; `max_bytes` is what all lines of a job may take. Raises: OSError."""
        self.max_bytes = max_bytes
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it is open as long as its process lives
        self._file.truncate(_HEAD.size + 2 * _half_bytes(max_bytes))

    @property
    def descriptor(self) -> int:
        """The descriptor that the process inherits."""
        return self._file.fileno()

    def read(self, number: int) -> KeptLines | None:
        """Return the lines of the job of an order; None when there are none, or the head is not one of `LineWriter`."""
        if self._file.closed:
            return None
        head = os.pread(self.descriptor, _HEAD.size, 0)
        if len(head) < _HEAD.size:
            return None
        order, lines, half, *used = _HEAD.unpack(head)
        if order != number or not lines or half > 1:
            return None
        found = [line for place in (1 - half, half) for line in self._lines(place, used[place])]
        return last_lines([KeptLines(max(0, lines - len(found)), found)], self.max_bytes)

    def _lines(self, half: int, used: int) -> list[KeptLine]:
        size = _half_bytes(self.max_bytes)
        data = os.pread(self.descriptor, min(used, size), _HEAD.size + half * size)
        found: list[KeptLine] = []
        place = 0
        while place + _LENGTH.size <= len(data):
            (length,) = _LENGTH.unpack_from(data, place)
            place += _LENGTH.size
            try:
                found.append(decode_line(data[place : place + length]))
            except UNDECODABLE:
                break
            place += length
        return found

    def close(self) -> None:
        """Close the worker's end."""
        self._file.close()


class LineWriter:
    """The side of the handler process. Any thread may call it; what a handler forks writes nothing."""

    def __init__(self, descriptor: int, max_bytes: int) -> None:
        """Take the file. The mapping stays where a handler closes all files."""
        self._half_bytes = _half_bytes(max_bytes)
        self._map = mmap.mmap(descriptor, _HEAD.size + 2 * self._half_bytes)
        os.close(descriptor)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._number = self._lines = self._half = 0
        self._used = [0, 0]

    def begin(self, number: int) -> None:
        """Forget the lines of the last job: from here on they are of this order."""
        with self._lock:
            self._number, self._lines, self._half, self._used = number, 0, 0, [0, 0]
            self._note()

    def keep(self, line: KeptLine, job_id: str) -> None:
        """Keep a line."""
        del job_id  # the process runs one job at a time, that of the current order
        if os.getpid() != self._pid:
            return
        encoded = encode_line(line)
        record = _LENGTH.pack(len(encoded)) + encoded
        with self._lock:
            if self._used[self._half] + len(record) > self._half_bytes:
                self._half = 1 - self._half
                self._used[self._half] = 0
                self._note()
            place = _HEAD.size + self._half * self._half_bytes + self._used[self._half]
            self._map[place : place + len(record)] = record
            self._used[self._half] += len(record)
            self._lines += 1
            self._note()

    def _note(self) -> None:
        self._map[: _HEAD.size] = _HEAD.pack(self._number, self._lines, self._half, *self._used)
