"""Prints the output of several processes into one stream, each line after the name of its process."""

from collections.abc import Sequence
from typing import TextIO


class LinePrinter:
    """A sink for the supervisor: `printer(name, line)`. Lines are left as they are, for programs that read them."""

    def __init__(self, stream: TextIO, names: Sequence[str]) -> None:
        self._stream = stream
        self._width = max(map(len, names), default=0)

    def __call__(self, name: str, line: str) -> None:
        """Print one line. Raises: BrokenPipeError, when the reader has left."""
        # One write, flushed: lines of several processes stay whole and in order.
        self._stream.write(f"{name:<{self._width}} | {line}\n")
        self._stream.flush()

    def tick(self) -> None:
        """Do nothing: no line waits to be printed."""
