"""Tells the frames of users' code from those of Millstream, in tracebacks and stacks.

Built-in handlers and the jobs of the demo count as users' code.
"""

import re
import traceback
from collections.abc import Iterable
from functools import cache
from traceback import FrameSummary, StackSummary, TracebackException
from types import FrameType

_OURS = re.compile(
    r"[/\\]millstream(_contracts|_streams|_history|_telemetry|_submission|_runtime|_workers|_ingest|_dispatcher|_reaper|_cli)?"
    r"[/\\](?!handlers[/\\]|demo[/\\])[^<>]*\.py$"
)
_CALLERS = re.compile(
    r"[/\\]millstream_workers[/\\](running[/\\](calling|thread_call)|isolation[/\\]handler_process)\.py$"
)
"""The modules that call handlers: frames outside of these are those of loops and threads."""

_MAX_FRAMES = 200


@cache
def is_ours(file: str) -> bool:
    """Return whether a source file is one of Millstream."""
    return _OURS.search(file) is not None


@cache
def calls_handlers(file: str) -> bool:
    """Return whether a source file is one that calls handlers."""
    return _CALLERS.search(file) is not None


def own_frames(stack: Iterable[FrameSummary]) -> StackSummary:
    """Return the frames of users' code, outermost first; without those that surround the call of the handler."""
    frames = list(stack)
    callers = [number for number, frame in enumerate(frames) if calls_handlers(frame.filename)]
    inner = frames[callers[-1] + 1 :] if callers else frames
    return StackSummary.from_list([frame for frame in inner if not is_ours(frame.filename)])


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
