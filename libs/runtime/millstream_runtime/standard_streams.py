"""Keeps standard output and error usable for a service whose terminal, or whose reader, has gone."""

import errno
import os
import sys
from typing import Any, TextIO, cast

_GONE = frozenset({errno.EPIPE, errno.EIO})
"""Of a pipe that nothing reads, and of a terminal that is closed: neither comes back."""


def hold_standard_streams() -> None:
    """Have output go nowhere, and not fail, once nothing takes it. For a service: a command should end instead."""
    for number in (0, 1, 2):
        # Else a connection would get one of these numbers, and be written to.
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _lasting(sys.stdout, 1)
    sys.stderr = _lasting(sys.stderr, 2)


def _lasting(stream: TextIO | None, number: int) -> TextIO:
    if isinstance(stream, LastingStream):
        return cast("TextIO", stream)
    # There is none where the process was started without.
    return cast("TextIO", LastingStream(stream or open(number, "w", closefd=False)))


class LastingStream:
    """A text stream whose writes do not fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose it."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._let_go(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or lose what is held."""
        try:
            self._stream.flush()
        except OSError as error:
            self._let_go(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _let_go(self, error: OSError) -> None:
        """Lead nowhere what nothing will ever take again: what the stream still holds, and what others write there."""
        if error.errno in _GONE:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
