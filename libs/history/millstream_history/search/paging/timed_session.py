"""Runs the statements of one search on one connection, under one budget of time.

Each statement is planned for its own values: a generic plan would read all of an index beside the one that helps.
"""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from millstream_history.errors import HistoryUnavailableError
from millstream_history.search.statement import Statement

_LEAST_MS = 1
_ABOUT_MS = 20

_BEGIN = (
    "BEGIN TRANSACTION READ ONLY; SET LOCAL plan_cache_mode = force_custom_plan; "
    "SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0; "
)
"""A search is one of many: neither does it take all processors, nor compile what ends in some milliseconds."""

Record = Any
"""A row of asyncpg: its values by name, and in order."""


class OutOfTimeError(Exception):
    """The time for a statement was over before it ended; it can be taken for not done.

    One that leaves the session becomes a HistoryUnavailableError.
    """


class TimedSession:
    """A read-only transaction; after a statement that ran out of time, another one."""

    def __init__(self, connection: AsyncConnection, budget_s: float, *, stretch: float = 1.0) -> None:
        """Take the budget. `stretch` times each second of it, and of a limit, is what a clock shows meanwhile."""
        self._connection = connection
        self._stretch = stretch
        self._give_up_at = time.monotonic() + budget_s * stretch
        self._driver: Any = None
        self._is_open = False
        self._limit_ms = 0

    @property
    def left_s(self) -> float:
        """Return what is left of the budget; less than 0 when it is used up."""
        return (self._give_up_at - time.monotonic()) / self._stretch

    async def __aenter__(self) -> Self:
        self._driver = (await self._connection.get_raw_connection()).driver_connection
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, OutOfTimeError):
            # Whatever it was doing, nothing else gets this connection.
            await self._connection.invalidate()
            return
        if self._is_open:
            await self._end()
        if isinstance(error, OutOfTimeError):
            raise HistoryUnavailableError(
                "the history database is not available: a statement took too long", "away"
            ) from error

    async def fetch(self, sql: str, statement: Statement, within_s: float) -> list[Record]:
        """Return the rows of a statement. Raises: OutOfTimeError, and what the driver raises."""
        within_ms = round(within_s * self._stretch * 1000)
        if within_ms < _LEAST_MS:
            raise OutOfTimeError
        await self._limit(within_ms)
        try:
            return await self._fetch(sql, statement.parameters)
        except asyncpg.QueryCanceledError as error:
            await self._end()
            raise OutOfTimeError from error

    async def _limit(self, within_ms: int) -> None:
        """Limit the next statement, in a transaction. A limit that is about the same already costs no round trip."""
        if self._is_open and within_ms * 3 // 4 <= self._limit_ms <= within_ms + _ABOUT_MS:
            return
        await self._driver.execute(f"{'' if self._is_open else _BEGIN}SET LOCAL statement_timeout = {within_ms}")
        self._is_open, self._limit_ms = True, within_ms

    async def _fetch(self, sql: str, parameters: Sequence[Any]) -> list[Record]:
        rows: list[Record] = await self._driver.fetch(sql, *parameters)
        return rows

    async def _end(self) -> None:
        self._is_open = False
        await self._driver.execute("ROLLBACK")
