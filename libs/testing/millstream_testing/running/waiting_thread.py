"""Calls plain handlers in the thread of the test, while that waits for the kit."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from millstream_testing.running.job_runner import in_background
from millstream_testing.running.kit_caller import THREADS, call_in_thread
from millstream_workers.attempt.attempt_result import Raised, Returned
from millstream_workers.running.thread_call import RunsInThread

T = TypeVar("T")

_Orders = SimpleQueue[Callable[[], None] | None]
"""What the thread of the test is to call while it waits; None when it waits no more."""


class WaitingThread:
    """The thread of a test. A handler that it calls may wait for the kit itself."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._waits: list[_Orders] = []
        """The waits of the thread that have not ended, the innermost last."""
        self._is_busy = False
        """Whether the thread is in a handler, which may wait for another one."""
        self._call_elsewhere = call_in_thread(anyio.CapacityLimiter(THREADS))

    def wait_for(self, portal: BlockingPortal, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run an async function on the loop of the kit and return what it returns; call handlers meanwhile."""
        if threading.get_ident() != self._thread:
            called: T = portal.call(call)
            return called
        orders: _Orders = SimpleQueue()
        self._waits.append(orders)
        try:
            future = portal.start_task_soon(call)
            future.add_done_callback(lambda _: orders.put(None))
            while (order := orders.get()) is not None:
                order()
            returned: T = future.result()
            return returned
        finally:
            self._waits.remove(orders)

    async def call_handler(self, function: Callable[[], Any], running: RunsInThread) -> Any:
        """Call a function in the thread of the test, or in another if that does not wait. Raises: what it raises."""
        if in_background.get() or self._is_busy or not self._waits:
            return await self._call_elsewhere(function, running)
        loop, context = asyncio.get_running_loop(), copy_context()
        ended: asyncio.Future[Returned | Raised] = loop.create_future()

        def call() -> None:
            try:
                happened: Returned | Raised = Returned(context.run(function))
            except BaseException as error:  # noqa: BLE001 - a handler may raise anything
                happened = Raised(error)
            self._is_busy = False
            loop.call_soon_threadsafe(ended.set_result, happened)

        running.note_thread(self._thread)
        self._is_busy = True
        self._waits[-1].put(call)
        try:
            happened = await asyncio.shield(ended)
        except asyncio.CancelledError:
            # It cannot be stopped. What it returns now is dropped, as a worker does it.
            await ended
            raise
        if isinstance(happened, Raised):
            raise happened.error
        return happened.value
