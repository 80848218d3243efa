"""Calls a handler where its `isolation` says: on the loop, in a thread, or in a process that can be killed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio

from millstream.function_reader import is_awaitable
from millstream.gathering import BatchHandler
from millstream.handler import Handler
from millstream_streams import Delivery
from millstream_workers.attempt.running import NO_THREAD, Running
from millstream_workers.isolation.process_pool import ProcessPool
from millstream_workers.running.gatherer import Gatherer
from millstream_workers.running.thread_call import RunsInThread, ThreadCall


class Caller:
    """Calls handlers, and lets their exceptions through."""

    def __init__(self, concurrency: int, processes: ProcessPool, gatherer: Gatherer) -> None:
        # Its own: the default limiter of anyio has 40 places and is shared with everything else.
        self._threads = anyio.CapacityLimiter(concurrency)
        self._processes = processes
        self._gatherer = gatherer

    async def call(
        self, handler: Handler, arguments: tuple[Any, ...], running: Running, timeout_s: float | None
    ) -> Any:
        """Call a handler and return its result. A cancellation stops the handler as far as that is possible.

        What it returns is awaited where that is possible, wherever it runs: a plain function may wrap an async one.
        """
        if isinstance(handler, BatchHandler):
            return await self._gatherer.run(handler, arguments[0], running, self._call_in_thread)
        match handler.isolation:
            case "loop":
                value = handler.function(*arguments)
                return await value if is_awaitable(value) else value
            case "thread":
                value = await self._call_in_thread(partial(handler.function, *arguments), running)
                if not is_awaitable(value):
                    return value
                running.note_thread(None)
                return await value
            case "process":
                return await self._processes.call(handler.type, running, timeout_s)

    async def _call_in_thread(self, function: Callable[[], Any], running: RunsInThread) -> Any:
        running.note_thread(NO_THREAD)
        return await ThreadCall(function, running.note_thread).run(self._threads)


def queue_wait_s(delivery: Delivery) -> float:
    """Return how long a job was ready before it was claimed, by the clock of Redis."""
    return max(0.0, (delivery.claimed_at_ms - delivery.ready_at_ms) / 1000)
