"""Keeps tasks that handlers start from ending the worker.

asyncio lets SystemExit and KeyboardInterrupt of any task out of the event loop, and so would end the process with all
jobs in it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from millstream.jobs.submitter import current_submitter
from millstream_telemetry import text_of, type_name
from millstream_workers.errors import HandlerExitError

_MAX_CHARS = 200


def guard_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Make the tasks that handlers start on this loop raise HandlerExitError instead."""
    loop.set_task_factory(_make_task)


def _make_task(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> "asyncio.Task[Any]":
    # Set in the context of handlers, and so in the contexts of all that they start.
    if current_submitter.get() is not None and asyncio.iscoroutine(coro):
        coro = _guarded(coro)
    return asyncio.Task(coro, loop=loop, **options)


async def _guarded(coro: Coroutine[Any, Any, Any]) -> Any:
    try:
        return await coro
    except (SystemExit, KeyboardInterrupt) as error:
        raise HandlerExitError(
            f"a task of the handler raised {type_name(error)}: {text_of(error, _MAX_CHARS)}"
        ) from error
