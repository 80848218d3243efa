"""Writes whole lines onto the stream of the log. A stream that takes none loses lines, and nothing else."""

import json
import os
import re
import threading
from collections.abc import Callable
from typing import TextIO

_locks = [threading.RLock()]
"""The one lock of all log streams. Reentrant, because a signal handler may log while a line is being written."""


def _renew_lock() -> None:
    _locks[0] = threading.RLock()


# The lock of a forked process may be held by a thread that it does not have.
os.register_at_fork(after_in_child=_renew_lock)


class LogStream:
    """Writes lines; counts those that were lost, and says how many once lines can be written again."""

    def __init__(self, stream: TextIO, tell_lost: Callable[[int], str]) -> None:
        self._stream = stream
        self._tell_lost = tell_lost
        self._speaks_utf8 = (stream.encoding or "utf-8").lower() in {"utf-8", "utf8"}
        self.lost = 0
        """Lines that could not be written since the last one that could."""

    def write(self, line: str) -> None:
        """Write one line. Never raises but KeyboardInterrupt: a closed or full stream must not fail who logs."""
        try:
            with _locks[0]:
                self._put(line)
                if self.lost:
                    lost, self.lost = self.lost, 0
                    self._put(self._tell_lost(lost))
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - EPIPE, ENOSPC, a closed file, a signal handler in the middle of a write
            self.lost += 1

    # By these names loggers of structlog that users make themselves write to what they are given.
    msg = log = debug = info = warn = warning = error = exception = critical = fatal = write

    def _put(self, line: str) -> None:
        if self._speaks_utf8:
            try:
                self._stream.write(line + "\n")
            except UnicodeEncodeError:  # a lone surrogate
                self._stream.write(_in_ascii(line) + "\n")
        else:
            # Not left to the stream: what it puts for other letters is often no JSON.
            self._stream.write(_in_ascii(line) + "\n")
        self._stream.flush()


def _in_ascii(line: str) -> str:
    return line if line.isascii() else re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], line)
