"""Keeps standard output and error usable after the terminal or the reader of a service has gone."""

import errno
import os
import sys
from typing import Any, TextIO, cast

_GONE = frozenset({errno.EPIPE, errno.EIO})
"""Errors of a pipe without a reader, and of a closed terminal: neither comes back."""


def hold_standard_streams() -> None:
    """Discard output, instead of failing, once nothing takes it. For services; a command ends instead."""
    for number in (0, 1, 2):
        # Without this, a connection would get the number of a closed stream, and output would go into it.
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _lasting(sys.stdout, 1)
    sys.stderr = _lasting(sys.stderr, 2)


def _lasting(stream: TextIO | None, number: int) -> TextIO:
    if isinstance(stream, LastingStream):
        return cast("TextIO", stream)
    # `stream` is None when the process was started without it.
    return cast("TextIO", LastingStream(stream or open(number, "w", closefd=False)))


class LastingStream:
    """A text stream whose writes do not fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, or discard it."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._let_go(error)
            return len(text)

    def flush(self) -> None:
        """Flush the buffer, or discard it."""
        try:
            self._stream.flush()
        except OSError as error:
            self._let_go(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _let_go(self, error: OSError) -> None:
        """Redirect a stream that is gone to the null device: its buffer, and what others write to the descriptor."""
        if error.errno in _GONE:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
