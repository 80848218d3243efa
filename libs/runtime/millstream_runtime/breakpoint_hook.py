"""Stands for the debugger in processes that have no terminal: `breakpoint()` says where to run the handler instead.

Their standard input is empty, and a debugger that reads its end would fail the job.
"""

import inspect
from collections.abc import Mapping
from types import FrameType

import structlog

VARIABLE = "PYTHONBREAKPOINT"
"""Python's own variable: what `breakpoint()` calls."""
SUPERVISED = f"{__name__}.pass_over"
"""The hook of a worker that another process supervises."""
HANDLER_PROCESS = f"{__name__}.pass_over_in_handler_process"
"""The hook of a process that runs one handler."""


def breakpoint_environ(environ: Mapping[str, str], hook: str) -> dict[str, str]:
    """Return the environment for processes without a terminal. A hook that is set already stays."""
    return {VARIABLE: hook, **environ}


def pass_over(*_: object, **__: object) -> None:
    """Log where a breakpoint is that was passed over, and which worker stops there."""
    _say(
        inspect.currentframe(),
        "it needs a terminal: run `millstream up --workers 0` and, in another terminal, "
        "`MILLSTREAM_REDIS_URL=... millstream worker APP --debug` with the address of Redis that it prints",
    )


def pass_over_in_handler_process(*_: object, **__: object) -> None:
    """Log where a breakpoint is that was passed over, and how the handler stops there."""
    _say(inspect.currentframe(), "a handler process has no terminal: take `isolation` away while you debug the handler")


def _say(hook: FrameType | None, hint: str) -> None:
    caller = hook.f_back if hook else None
    place = f"{caller.f_code.co_filename}:{caller.f_lineno}" if caller else ""
    structlog.get_logger().warning("breakpoint passed over", at=place, hint=hint)
