"""Tells the frames of users' code from those of Millstream, in tracebacks and stacks.

Built-in handlers and the jobs of the demo count as users' code.
"""

import importlib.util
import os
import re
import sysconfig
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from traceback import FrameSummary, StackSummary, TracebackException
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

_PARTS = "contracts streams history telemetry submission runtime workers ingest dispatcher reaper testing cli"
_PACKAGES = ("millstream", *(f"millstream_{part}" for part in _PARTS.split()))
_NOT_OURS = ("handlers", "demo")
"""Folders of these packages that count as users' code."""

_CALLERS = re.compile(
    r"[/\\]millstream_(workers[/\\](running[/\\](calling|thread_call)|isolation[/\\]handler_process)"
    r"|testing[/\\]running[/\\](kit_caller|waiting_thread))\.py$"
)
"""The modules that call handlers: frames outside of these are those of loops and threads."""

_MAX_FRAMES = 200


@cache
def is_ours(file: str) -> bool:
    """Return whether a source file is in a package of Millstream; a user's folder may have the same name."""
    for folder in _folders():
        if file.startswith(folder):
            return not file[len(folder) :].startswith(tuple(f"{name}{os.sep}" for name in _NOT_OURS))
    return False


@cache
def _folders() -> tuple[str, ...]:
    """Return the folders of the packages that are installed, each with a separator at its end."""
    specs = (importlib.util.find_spec(name) for name in _PACKAGES)
    return tuple(f"{place}{os.sep}" for spec in specs if spec for place in spec.submodule_search_locations or ())


@cache
def calls_handlers(file: str) -> bool:
    """Return whether a source file is one that calls handlers."""
    return is_ours(file) and _CALLERS.search(file) is not None


def own_frames(stack: Iterable[FrameSummary]) -> StackSummary:
    """Return the frames of users' code, outermost first; without those that surround the call of the handler."""
    frames: list[FrameSummary] = users(list(stack), lambda frame: frame.filename)
    return StackSummary.from_list(frames)


def users(frames: Sequence[T], file_of: Callable[[T], str]) -> list[T]:
    """Return those of frames that are users' code, in their order."""
    callers = [number for number, frame in enumerate(frames) if calls_handlers(file_of(frame))]
    inner = frames[callers[-1] + 1 :] if callers else frames
    return [frame for frame in inner if not is_ours(file_of(frame))]


@cache
def is_installed(file: str) -> bool:
    """Return whether a source file belongs to Python or to an installed package."""
    return file.startswith(("<frozen ", *_installed_folders()))


@cache
def _installed_folders() -> tuple[str, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple(f"{path}{os.sep}" for name in names if (path := sysconfig.get_path(name)))


def fold(error: TracebackException) -> None:
    """Leave our own frames out of a traceback, and out of those of its causes and members."""
    seen: set[int] = set()
    waiting: list[TracebackException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        # None: Python prints no heading for a traceback without frames.
        one.stack = own_frames(one.stack or ()) or None  # type: ignore[assignment]
        waiting += (one.__cause__, one.__context__, *(one.exceptions or ()))


def stack_text(frames: Iterable[FrameType]) -> str:
    """Return the frames of users' code as text, outermost first. Local variables are not shown."""
    pairs = [(frame, frame.f_lineno) for frame in frames]
    stack = own_frames(StackSummary.extract(iter(pairs[-_MAX_FRAMES:])))
    return "".join(traceback.format_list(stack))
