"""Makes and drops the partitions of days, by functions that run with the rights of the user that migrates."""

from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_history.connection import locks
from millstream_history.connection.database import transaction

DAYS_BEFORE, DAYS_AHEAD = 1, 14
"""The days around today that have partitions: jobs are stored late, and ids may be of a clock that is ahead."""
SWEPT_AT_ONCE = 1_000

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)").bindparams(lock=locks.DAYS)
_MAKE = text("SELECT history_make_day(:day)")
_DROP = text("SELECT history_drop_day(:day)")
_SWEEP = text("SELECT history_sweep(:before, :most)")
_FORGET_WORKERS = text("DELETE FROM worker_spans WHERE last_at < :before")
FIND_DAYS = text(
    "SELECT to_date(right(relname, 8), 'YYYYMMDD') FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
    "WHERE inhparent = 'jobs'::regclass AND relname ~ '^jobs_[0-9]{8}$' ORDER BY 1"
)


class Days:
    """The partitions of a history database. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def found(self) -> list[date]:
        """Return the days that have partitions, in order."""
        async with transaction(self._engine) as connection:
            return list((await connection.execute(FIND_DAYS)).scalars())

    async def ahead(self, today: date) -> int:
        """Return how many days from tomorrow on have partitions without a gap; -1 when today has none."""
        return days_ahead(await self.found(), today)

    async def make(self, today: date) -> list[date]:
        """Make the missing partitions around a day. Returns: the days that were made.

        Each is made in a transaction of its own: it waits a second at most for the rows that other writers hold.
        """
        found = set(await self.found())
        wanted = [today + timedelta(days=number) for number in range(-DAYS_BEFORE, DAYS_AHEAD + 1)]
        return [day for day in wanted if day not in found and await self._make_one(day)]

    async def drop(self, before: date) -> dict[date, int]:
        """Drop the partitions of days before this one. Returns: for each, how many living jobs were kept.

        The rows of jobs that have not ended move to the default partition.
        """
        dropped: dict[date, int] = {}
        for day in await self.found():
            if day < before:
                async with transaction(self._engine) as connection:
                    if await _is_alone(connection):
                        dropped[day] = (await connection.execute(_DROP, {"day": day})).scalar_one()
        return dropped

    async def sweep(self, before: date) -> int:
        """Delete from the default partition the jobs that ended before this day, and forget workers as old.

        Returns: how many jobs were deleted, SWEPT_AT_ONCE at most.
        """
        async with transaction(self._engine) as connection:
            await connection.execute(_FORGET_WORKERS, {"before": _midnight(before)})
            swept = await connection.execute(_SWEEP, {"before": _midnight(before), "most": SWEPT_AT_ONCE})
            return int(swept.scalar_one())

    async def _make_one(self, day: date) -> bool:
        async with transaction(self._engine) as connection:
            # Another dispatcher is at it.
            if not await _is_alone(connection):
                return False
            return bool((await connection.execute(_MAKE, {"day": day})).scalar_one())


def days_ahead(found: list[date], today: date) -> int:
    """Return how many days from tomorrow on are among these without a gap; -1 when today is not."""
    days, number = set(found), 0
    while today + timedelta(days=number) in days:
        number += 1
    return number - 1


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


async def _is_alone(connection: AsyncConnection) -> bool:
    return bool((await connection.execute(_TRY_LOCK)).scalar_one())
