"""Calls handlers in a test: on the loop or in a thread, or calls the stub that stands in for one."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import anyio

from millstream.function_reader import is_awaitable, is_coroutine_function
from millstream.gathering import BatchHandler
from millstream.handler import Handler
from millstream_testing.running.stub import Stub
from millstream_workers.attempt.running import NO_THREAD, Running
from millstream_workers.running.calling import Caller
from millstream_workers.running.gatherer import Gatherer
from millstream_workers.running.thread_call import CallThread, RunsInThread, ThreadCall

THREADS = 40


class KitCaller(Caller):
    """Calls handlers. One with `isolation="process"` runs in this process, because a test has to see what it does."""

    def __init__(self, stubs: Mapping[str, Stub[Any, Any]], call_thread: CallThread | None) -> None:
        """`call_thread` calls plain functions; without it they are called in threads, as a worker does it."""
        self._stubs = stubs
        self._call_thread = call_thread or call_in_thread(anyio.CapacityLimiter(THREADS))

    def gather_with(self, gatherer: Gatherer) -> None:
        """Gather the jobs of batch handlers by this."""
        self._gatherer = gatherer

    async def call(
        self,
        handler: Handler,
        arguments: tuple[Any, ...],
        running: Running,
        timeout_s: float | None,  # noqa: ARG002 - `running` knows it
    ) -> Any:
        """Call a handler or its stub, and return what it returns."""
        stub = self._stubs.get(handler.type)
        if stub is not None and (behave := stub.take()) is not None:
            return await behave(_payload(handler, arguments), running)
        if isinstance(handler, BatchHandler):
            return await self._gatherer.run(handler, arguments[0], running, self._call_thread)
        if handler.isolation == "loop" or is_coroutine_function(handler.function):
            value = handler.function(*arguments)
        else:
            value = await self._call_thread(partial(handler.function, *arguments), running)
            running.note_thread(None)
        return await value if is_awaitable(value) else value


def _payload(handler: Handler, arguments: tuple[Any, ...]) -> Any:
    if isinstance(handler, BatchHandler):
        return arguments[0].payload
    return arguments[0] if handler.signature.takes_payload else None


def call_in_thread(limiter: anyio.CapacityLimiter) -> CallThread:
    """Return what calls functions in threads, as a worker does it."""

    async def call(function: Callable[[], Any], running: RunsInThread) -> Any:
        running.note_thread(NO_THREAD)
        return await ThreadCall(function, running.note_thread).run(limiter)

    return call
