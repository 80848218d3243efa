"""Answers where the handler of a running job is, for clients that ask.

It works in the thread of the lease keeper, so a handler that blocks the event loop is seen too.
"""

import asyncio
from collections.abc import Callable

import anyio
import msgspec
import structlog
from msgspec import Struct

from millstream_contracts import JobId, JobStack
from millstream_streams import Broker, StackRequest, StoreError
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.whereabouts import loop_stack

STACK_WITHIN_S = 3.0
"""How long a handler may take to tell where it is; its client waits for some seconds more."""


class StackTeller(Struct, frozen=True):
    """Tells the stacks of one worker's handlers. Lives on the loop of the lease keeper."""

    worker: str
    loop: asyncio.AbstractEventLoop
    """The loop of the handlers."""
    loop_thread: int
    find: Callable[[JobId], Running | None]
    """Returns what this worker runs of a job."""

    async def tell(self, broker: Broker, request: StackRequest) -> None:
        """Answer a request, unless the job has ended or its handler cannot be asked in time."""
        running = self.find(request.job_id)
        if running is None:
            return
        delivery = running.delivery
        with anyio.move_on_after(STACK_WITHIN_S):
            stack = await self._stack(running)
            answer = JobStack(running.id, delivery.attempts + 1, self.worker, stack)
            try:
                await broker.store.tell_stack(
                    delivery.queue, running.id, delivery.token, request.number, msgspec.msgpack.encode(answer)
                )
            except StoreError as error:
                structlog.get_logger().warning("stack not told", job_id=running.id, **error.fields)

    async def _stack(self, running: Running) -> str:
        if running.ask_process is not None:
            # Its channel belongs to the loop of the handlers.
            asked = asyncio.run_coroutine_threadsafe(running.ask_process(), self.loop)
            return await asyncio.wrap_future(asked)
        if running.thread is None and running.task and asyncio.current_task(self.loop) is running.task:
            # It has the loop now, perhaps in a function that no await leads to.
            return loop_stack(self.loop_thread) or running.whereabouts()
        return running.whereabouts()
