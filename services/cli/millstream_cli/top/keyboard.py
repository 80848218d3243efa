"""Reads single keys of a terminal."""

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

_NAMES = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x1b": "escape",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",
    "\x1bOB": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1b[H": "home",
    "\x1b[F": "end",
}


class Keyboard:
    """The keys of a terminal from which lines are not read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting = ""

    def read(self, within_s: float) -> str:
        """Return the next key by its name, or an empty text when none was pressed in time."""
        if not self._waiting:
            ready, _, _ = select.select([self._descriptor], [], [], within_s)
            if ready:
                self._waiting = os.read(self._descriptor, 1024).decode(errors="replace")
                if not self._waiting:
                    raise EOFError  # the terminal is gone
        return self._take()

    def _take(self) -> str:
        for keys in sorted(_NAMES, key=len, reverse=True):
            if self._waiting.startswith(keys):
                self._waiting = self._waiting[len(keys) :]
                return _NAMES[keys]
        key, self._waiting = self._waiting[:1], self._waiting[1:]
        return key


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """Yield the keyboard of this process; at the end its terminal is as it was."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield Keyboard(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
