"""Reads the commands and programs in README.md."""

import re
from pathlib import Path

_LABEL = re.compile(r"\*\*(.+?)\*\*")
_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STARTS = (".venv/", "curl ", "make ", "git ")


def commands(readme: Path) -> dict[str, list[str]]:
    """Return the commands below each bold label, in order."""
    found: dict[str, list[str]] = {}
    label = ""
    for paragraph in readme.read_text().split("\n\n"):
        if match := _LABEL.match(paragraph):
            label = match[1].rstrip(":")
        elif paragraph.startswith("    ") and label:
            found.setdefault(label, []).extend(_commands(paragraph))
        elif paragraph.startswith("#"):
            label = ""
    return found


def programs(readme: Path) -> list[str]:
    """Return the Python programs, in order."""
    return _FENCE.findall(readme.read_text())


def _commands(paragraph: str) -> list[str]:
    lines = [line.removeprefix("    ") for line in paragraph.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith(_STARTS)]
    return ["\n".join(lines[start:end]) for start, end in zip(starts, [*starts[1:], None], strict=True)]
