"""Prints the output of several processes into one stream, each line after the name of its process."""

from collections.abc import Sequence
from typing import TextIO

_RESET = "\x1b[0m"
_COLOURS = ("\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[32m", "\x1b[34m", "\x1b[96m", "\x1b[93m", "\x1b[95m")


class LinePrinter:
    """A sink for the supervisor: `printer(name, line)`. Colours the names on a terminal, unless told otherwise."""

    def __init__(self, stream: TextIO, names: Sequence[str], *, colour: bool | None = None) -> None:
        self._stream = stream
        self._width = max(map(len, names), default=0)
        self._coloured = stream.isatty() if colour is None else colour
        self._colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}

    def __call__(self, name: str, line: str) -> None:
        """Print one line. Raises: BrokenPipeError, when the reader has left."""
        head = f"{name:<{self._width}} |"
        if self._coloured:
            head = f"{self._colours.get(name, '')}{head}{_RESET}"
        # One write, flushed: lines of several processes stay whole and in order.
        self._stream.write(f"{head} {line}\n")
        self._stream.flush()
