"""What processes have written into files so far."""

from pathlib import Path


def whole_lines(file: Path) -> list[str]:
    """Return the lines of a file that is still written to: none where there is no file yet.

    A writer may be in the middle of its last line: that one counts once it has ended.
    """
    text = file.read_text() if file.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()
