"""Lets the same coroutines serve event loops and threads without one, for answers that come from another thread."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def has_loop() -> bool:
    """Whether an event loop of asyncio runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def answer_of(future: Future[T]) -> T:
    """Return what another thread answers: await it on an event loop, and without one wait in this thread."""
    return await asyncio.wrap_future(future) if has_loop() else future.result()


def run_blocking(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine that waits for nothing but :func:`answer_of`, in this thread, to its end."""
    if not has_loop():
        return _finish(call())
    # A `def` handler runs a loop of its own here, which stands still until this call returns.
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(copy_context().run, lambda: _finish(call())).result()


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        coroutine.close()
    raise RuntimeError("it waits for an event loop")
