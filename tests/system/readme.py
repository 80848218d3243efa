"""Reads the commands and programs in README.md, and what it says that they print."""

import re
from pathlib import Path
from typing import NamedTuple

_LABEL = re.compile(r"\*\*(.+?)\*\*")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STARTS = (".venv/", "curl ", "make ", "git ")


class Step(NamedTuple):
    """What a reader types below one label, and then sees."""

    commands: list[str]
    prints: str
    """The text in the fence below the commands; `...` stands for anything."""


def steps(readme: Path) -> dict[str, Step]:
    """Return the steps by their bold labels, in order."""
    found: dict[str, Step] = {}
    label = ""
    for paragraph in readme.read_text().split("\n\n"):
        if match := _LABEL.match(paragraph):
            label = match[1].rstrip(":")
        elif paragraph.startswith("    ") and label:
            found[label] = Step(_commands(paragraph), "")
        elif (text := _text(paragraph)) is not None and label:
            found[label] = found[label]._replace(prints=text)
            label = ""
        elif paragraph.startswith("#"):
            label = ""
    return found


def programs(readme: Path) -> dict[str, str]:
    """Return the Python in it, by the name of the file that its first line says."""
    texts = [text for kind, text in _FENCE.findall(readme.read_text()) if kind == "python"]
    return {text.partition("\n")[0].removeprefix("# "): text for text in texts}


def printed_below(readme: Path, command: str) -> str:
    """Return the text in the first fence below a command."""
    [text, *_] = [text for kind, text in _FENCE.findall(readme.read_text().partition(f"\n    {command}\n")[2])]
    return text


def is_shown(printed: str, said: str) -> bool:
    """Return whether a program printed what README says, whatever `...` stands for, and however lines are folded."""
    pattern = "(.*)".join(re.escape(part) for part in " ".join(said.split()).split("..."))
    return re.fullmatch(pattern, " ".join(printed.split())) is not None


def _text(paragraph: str) -> str | None:
    match = _FENCE.match(paragraph.rstrip() + "\n") or _FENCE.match(paragraph.strip())
    return match[2] if match and match[1] == "text" else None


def _commands(paragraph: str) -> list[str]:
    lines = [line.removeprefix("    ") for line in paragraph.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith(_STARTS)]
    return ["\n".join(lines[start:end]) for start, end in zip(starts, [*starts[1:], None], strict=True)]
