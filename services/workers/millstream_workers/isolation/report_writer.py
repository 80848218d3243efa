"""Sends the reports of a handler process to its worker."""

import os
import socket
import threading

from millstream_workers.isolation.frames import Report, encode_frame


class ReportWriter:
    """Sends all reports of this process. Any thread may call it.

    A process that a handler forks has the channel as well, and a file that it opens after it closed all files may have
    the channel's number: neither must be taken for the channel.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._pid = os.getpid()
        self._identity = os.fstat(channel.fileno())
        self._lock = threading.Lock()

    @property
    def is_fork(self) -> bool:
        """Whether this is a process that a handler has forked."""
        return os.getpid() != self._pid

    def send(self, report: Report) -> None:
        """Send a report, or nothing from a fork. Raises: OSError, when the channel was closed or replaced."""
        if self.is_fork:
            return
        frame = encode_frame(report)
        with self._lock:
            if not os.path.samestat(os.fstat(self._channel.fileno()), self._identity):
                raise OSError("another file has taken the place of the channel to the worker")
            self._channel.sendall(frame)
