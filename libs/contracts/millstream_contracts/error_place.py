"""Finds the place of users' code in which an error was raised, in the text of a traceback."""

import re

from msgspec import Struct

_FRAME = re.compile(r'^ +(?:\| )*File "([^"\n]+)", line (\d{1,9})(?:, in (.+))?$', re.MULTILINE)
_NOT_OWN = re.compile(r"^<|[/\\](?:site-packages|dist-packages)[/\\]|[/\\]lib[/\\]python3[^/\\]*[/\\]")
_KEPT_PARTS = 2


class ErrorPlace(Struct, frozen=True):
    """A line of a source file."""

    file: str
    """The last two parts of its path."""
    line: int
    function: str

    @property
    def location(self) -> str:
        """Return file and line, such as `shop/mail.py:88`."""
        return f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return f"{self.location} in {self.function}"


def place_of(traceback: str) -> ErrorPlace | None:
    """Return the innermost frame that is no library's, else the innermost; None without frames.

    Of several tracebacks in one text, those of causes before, it is in the last.
    """
    last = traceback.rpartition("Traceback (most recent call last):")[2]
    frames = _FRAME.findall(last)
    if not frames:
        return None
    own = [frame for frame in frames if not _NOT_OWN.search(frame[0])]
    file, line, function = (own or frames)[-1]
    return ErrorPlace("/".join(re.split(r"[/\\]", file)[-_KEPT_PARTS:]), int(line), function)
