"""Runs one action on every queue, so that one bad queue does not delay the others."""

from collections.abc import Awaitable, Callable, Iterable

import anyio

from millstream_contracts import Queue
from millstream_streams.errors import StoreError, StoreUnavailableError

AT_ONCE = 16
"""The number of calls under way at once: enough for a distant Redis, and few enough to leave room for others."""


async def for_each_queue(queues: Iterable[Queue], action: Callable[[Queue], Awaitable[None]]) -> None:
    """Run an action on each queue, in their order, on at most :data:`AT_ONCE` of them at the same time.

    An action that adds something up reads the sum after it has waited, not before. Raises: StoreUnavailableError once
    the actions under way have ended, because the rest is pointless without Redis, unless it is one node of several; the
    first other StoreError at the end; any other exception at once.
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
