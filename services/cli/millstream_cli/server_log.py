"""Reads the end of the log of an embedded server, for the error of a failed start."""

from pathlib import Path
from typing import Self

from msgspec import Struct

_LINES = 5


class ServerLog(Struct, frozen=True):
    """The log of a server, from one start on."""

    path: Path
    start: int
    """Where the lines of this start begin."""

    @classmethod
    def at_its_end(cls, path: Path) -> Self:
        """Return the log, for the lines that follow."""
        return cls(path, path.stat().st_size if path.exists() else 0)

    @property
    def end(self) -> str:
        """Return its last lines in a sentence."""
        with self.path.open("rb") as written:
            written.seek(self.start)
            lines = written.read().decode(errors="replace").strip().splitlines()
        return f"its log ({self.path}) ends:\n" + "\n".join(lines[-_LINES:])
