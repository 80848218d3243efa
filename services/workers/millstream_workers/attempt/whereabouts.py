"""The whereabouts of a handler that still runs: the stack of its task or thread, as text. Nothing here raises."""

import asyncio
import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from millstream_contracts import limits
from millstream_telemetry import stack_text, storable

_MAX_DEPTH = 200
_INNER = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))
"""The frame of a coroutine, a generator and an asynchronous generator, and what each waits for."""

_LOOPS = tuple(f"{Path(asyncio.__file__).parent}{os.sep}{name}.py" for name in ("runners", "base_events", "events"))
"""The modules that run a loop, its callbacks and the steps of its tasks; uvloop has no frames."""


def task_stack(task: "asyncio.Task[Any] | None") -> str:
    """Return where a task waits, down to the innermost coroutine; empty when that cannot be told."""
    try:
        return _text(_awaiting(task.get_coro())) if task is not None else ""
    except Exception:  # noqa: BLE001 - frames change meanwhile, and awaitables of users may be anything
        return ""


def thread_stack(thread: int) -> str:
    """Return what a thread does, by its number; empty when it has ended."""
    try:
        return _text(_frames_of(thread))
    except Exception:  # noqa: BLE001 - the thread goes on meanwhile
        return ""


def loop_stack(thread: int) -> str:
    """Return what the loop of a thread runs, by the thread's number; empty when it runs no code of users."""
    try:
        frames = _frames_of(thread)
        outside = [number for number, frame in enumerate(frames) if frame.f_code.co_filename in _LOOPS]
        return _text(frames[outside[-1] + 1 :]) if outside else ""
    except Exception:  # noqa: BLE001 - the thread goes on meanwhile
        return ""


def _frames_of(thread: int) -> list[FrameType]:
    """Return the frames of a thread, outermost first; none when it has ended."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _awaiting(waiting: Any) -> list[FrameType]:
    """Return the frames of a coroutine and of all that it waits for, outermost first."""
    frames: list[FrameType] = []
    for _ in range(_MAX_DEPTH):
        inner = next((names for names in _INNER if hasattr(waiting, names[0])), None)
        if inner is None:
            break
        frame = getattr(waiting, inner[0])
        if frame is not None:
            frames.append(frame)
        waiting = getattr(waiting, inner[1])
    return frames


def _text(frames: list[FrameType]) -> str:
    return storable(stack_text(frames)[-limits.MAX_ERROR_CHARS :])
