"""The frames of a traceback that are a user's own code: not ours, not of a library, not of Python."""

import linecache
import os
import sysconfig
import traceback
from pathlib import Path
from types import FrameType

_LIBRARIES = tuple(sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib"))
_PYTHON = (*(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")), "<frozen ")
_PARTS = "contracts streams history telemetry submission runtime testing workers ingest dispatcher reaper cli"
_OURS = {"millstream", *(f"millstream_{part}" for part in _PARTS.split())}
_NOT_OURS = ("millstream.handlers", "millstream_cli.demo")
"""Packages of ours that count as users' code."""


def own_frames(error: BaseException) -> list[str]:
    """Return `file:line in function: code` for each frame of a user, the outermost first.

    An app that is installed as a library has no other frames than those of libraries: then they are returned.
    """
    walked = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if not _is_ours(frame)]
    theirs = [(frame, line) for frame, line in walked if _is_library(frame) or not _is_python(frame)]
    own = [(frame, line) for frame, line in theirs if not _is_library(frame)]
    told = [_told(one.f_code.co_filename, line, f" in {one.f_code.co_name}") for one, line in own or theirs]
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        told.append(_told(error.filename, error.lineno))
    return told


def with_own_frames(text: str, error: BaseException) -> str:
    """Return a text with a line for each frame of a user below it."""
    return "".join((text, *(f"\n  {frame}" for frame in own_frames(error))))


def shown_path(file: str) -> str:
    """Return a path as short as it can be told: below the current folder without that."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):  # the folder may have been removed
        return file


def _told(file: str, line: int, place: str = "") -> str:
    code = linecache.getline(file, line).strip()
    return f"{shown_path(file)}:{line}{place}" + (f": {code}" if code else "")


def _is_ours(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in _OURS and not module.startswith(_NOT_OURS)


def _is_library(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_LIBRARIES)


def _is_python(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_PYTHON)
