"""Reads the text of a traceback, to show users' own frames and fold those of libraries. Nothing of it is executed."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec import Struct

_FRAME = re.compile(r'^\s*(?:\| *)*File "([^"\n]+)", line (\d{1,9})(?:, in (.+))?$')
_HEADER = re.compile(r"^[\s|+]*(?:Exception Group )?Traceback \(most recent call last\):")
_MARKS = re.compile(r"^[\s|]*[~^]+\s*$")
_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_LIBRARY = re.compile(r".*[/\\](?:(?:site|dist)-packages|lib[/\\]python3[^/\\]*)[/\\]([^/\\]+)")
_SHOWN_PARTS = 2


class Frame(Struct, frozen=True):
    """One line of a traceback."""

    path: str
    line: int
    function: str
    code: str = ""

    @property
    def library(self) -> str:
        """Return the name of the library that the frame belongs to; empty for a user's own."""
        if self.path.startswith("<"):
            return self.path.strip("<>").split()[0]
        found = _LIBRARY.match(self.path)
        return found[1].removesuffix(".py") if found else ""

    @property
    def place(self) -> str:
        """Return `file:line`, with as much of the path as tells files apart."""
        parts = re.split(r"[/\\]", self.path)
        return f"{'/'.join(parts[-_SHOWN_PARTS:])}:{self.line}"


class Raised(Struct, frozen=True):
    """One exception of a chain."""

    frames: list[Frame]
    """Outermost first."""
    text: str
    """Its type and message."""
    link: str = ""
    """How it belongs to the next one: `Caused by`, or `While handling`; empty for the last."""

    @property
    def kind(self) -> str:
        """Return the name of its type."""
        return self.text.partition(":")[0]

    @property
    def groups(self) -> Iterator[tuple[bool, Sequence[Frame]]]:
        """Yield runs of frames, and whether they are a user's own."""
        for is_own, frames in groupby(self.frames, key=lambda frame: not frame.library):
            yield is_own, list(frames)


def read_traceback(text: str) -> list[Raised]:
    """Return the exceptions of a traceback, the last that was raised first; nothing for a text without frames."""
    chain: list[Raised] = []
    section: list[str] = []
    for line in text.splitlines():
        stripped = line.strip(" |")
        if stripped in {_CAUSE, _CONTEXT}:
            chain.append(_raised(section, "Caused by" if stripped == _CAUSE else "While handling"))
            section = []
        else:
            section.append(line)
    chain.append(_raised(section, ""))
    return chain[::-1] if any(raised.frames for raised in chain) else []


def frames_of(text: str) -> list[Frame]:
    """Return the frames of a stack, outermost first."""
    return _raised(text.splitlines(), "").frames


def libraries_of(frames: Sequence[Frame]) -> str:
    """Return the names of the libraries of some frames, each once."""
    return ", ".join(dict.fromkeys(frame.library for frame in frames))


def _raised(lines: Sequence[str], link: str) -> Raised:
    frames: list[Frame] = []
    said: list[str] = []
    for line in lines:
        found = _FRAME.match(line)
        if found:
            frames.append(Frame(found[1], int(found[2]), found[3] or ""))
        elif _HEADER.match(line) or _MARKS.match(line) or not line.strip():
            continue
        elif frames and line.startswith("    ") and not said:
            last = frames[-1]
            frames[-1] = Frame(last.path, last.line, last.function, last.code or line.strip(" |"))
        elif not line.startswith("  ") or said:
            said.append(line)
    return Raised(frames, "\n".join(said), link)
