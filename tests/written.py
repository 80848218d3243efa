"""Reads the files that processes write."""

from pathlib import Path


def whole_lines(file: Path) -> list[str]:
    """Return the whole lines of a file that may still be written to, and none if there is no file yet.

    A line counts once it has ended, because its writer may be in the middle of it.
    """
    text = file.read_text() if file.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()
