"""One action on every queue, such that one bad queue does not keep the others waiting."""

from collections.abc import Awaitable, Callable, Iterable

import anyio

from millstream_contracts import Queue
from millstream_streams.errors import StoreError, StoreUnavailableError

AT_ONCE = 16
"""Calls under way at the same time: enough for a distant Redis, and too few to keep one from its other clients."""


async def for_each_queue(queues: Iterable[Queue], action: Callable[[Queue], Awaitable[None]]) -> None:
    """Do something on each queue, begun in their order, on at most :data:`AT_ONCE` of them at the same time.

    An action that adds something up reads the sum after it has waited, not before.
    Raises: StoreUnavailableError once what is under way has ended, for without Redis there is no point in going on,
    unless it is one node of several; any other StoreError at the end, the first one; what is none, at once.
    """
    waiting = list(queues)[::-1]
    failures: list[StoreError] = []

    async def work() -> None:
        while waiting:
            try:
                await action(waiting.pop())
            except StoreUnavailableError as error:
                if error.others_may_answer:
                    failures.append(error)
                else:
                    # Calls under way are not cut off: an answer that is not read is not counted either.
                    failures.insert(0, error)
                    waiting.clear()
            except StoreError as error:
                failures.append(error)

    try:
        async with anyio.create_task_group() as tasks:
            for _ in range(min(AT_ONCE, len(waiting))):
                tasks.start_soon(work)
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    if failures:
        raise failures[0]
