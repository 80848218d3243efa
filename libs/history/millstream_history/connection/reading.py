"""Reads of the history that end in time, also when the database is silent.

A connection whose peer is silent takes seconds to be closed. So a read that is given up is cancelled and left to close
behind its caller, who has an error by then.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_history.connection.database import transaction
from millstream_history.errors import HistoryUnavailableError

T = TypeVar("T")

Work = Callable[[AsyncConnection], Awaitable[T]]
"""What a read does on its connection, in a transaction of its own."""


SILENCE_S = 0.15
"""How much longer than its budget a read is waited for, because a silent database keeps to no budget."""


class Reader:
    """Runs reads on the connections of an engine. Tasks may share it."""

    def __init__(self, engine: AsyncEngine, *, within_s: float | None = None) -> None:
        """Take the longest time of a read; None where each ends by itself."""
        self._engine = engine
        self.within_s = within_s
        """The longest time of a read without a budget, with the wait for a connection."""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def read(self, work: Work[T], *, budget_s: float | None = None) -> T:
        """Return what `work` returns. Raises: HistoryError, and what `work` raises.

        Work with a budget ends by itself when that is used up, and is waited for a little longer.
        """
        within_s = self.within_s
        if budget_s is not None:
            within_s = max(within_s or 0.0, budget_s + SILENCE_S)
        task = asyncio.get_running_loop().create_task(self._run(work))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task}, timeout=within_s)
            if task.done():
                return task.result()
        finally:
            task.cancel()
        raise HistoryUnavailableError(f"the history database is not available: no answer within {within_s:g} s", "away")

    async def aclose(self) -> None:
        """End the reads that were given up and are not closed yet."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self, work: Work[T]) -> T:
        async with transaction(self._engine) as connection:
            return await work(connection)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # of a read that was given up, no caller asks for it
