"""Reads statistics: points of equal length between two times, of one type or of all, and what each type did in them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_contracts import JobType, StatPoint, StatRelease, Tenant
from millstream_history.connection.database import transaction
from millstream_history.connection.reading import Reader
from millstream_history.statistics.by_type import FoundTypes, query_of_types, types_of
from millstream_history.statistics.summary import Counts, summary_of
from millstream_history.statistics.windows import HOURS_KEPT, MINUTES_KEPT, number_of_step, table_for
from millstream_history.tables import STATS_HOURS, STATS_MINUTES
from millstream_history.type_conditions import among

TYPES_WITHIN_S = 2.0
"""How long a read of all types may take. Of 200 busy types it takes about 0.4 s for an hour of minutes, 0.2 s for a day
of hours and 1.1 s for a week of them."""

_RELEASES = text(
    "SELECT release, min(first_at) AS at FROM worker_spans WHERE tenant = :tenant AND release <> '' "
    "GROUP BY release ORDER BY at"
)


class Statistics:
    """The statistics of a history database. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader

    async def points(
        self,
        tenant: Tenant,
        job_type: JobType | None,
        *,
        begin: datetime,
        end: datetime,
        step: timedelta,
        types: Sequence[str] = (),
    ) -> list[StatPoint]:
        """Return a point for each step from `begin` to before `end`, also where nothing happened.

        `types` are patterns of the types that count, where not all do.
        All three are whole minutes. A step of whole hours is read from the hours, which are kept for longer.
        """

        async def read(connection: AsyncConnection) -> Sequence[Any]:
            return (await connection.execute(_query(tenant, job_type, begin, end, step, types))).all()

        counts: dict[int, Counts] = {}
        for number, kind, bucket, n in await self._reader.read(read):
            counts.setdefault(number, {})[kind, bucket] = n
        steps = -((begin - end) // step)
        return [
            StatPoint(at=(begin + number * step).astimezone(UTC), **summary_of(counts.get(number, {})))
            for number in range(steps)
        ]

    async def by_type(
        self,
        tenant: Tenant,
        *,
        begin: datetime,
        end: datetime,
        step: timedelta,
        limit: int,
        types: Sequence[str] = (),
    ) -> FoundTypes:
        """Return what each type did from `begin` to before `end`, the busiest `limit` types first.

        The times and `types` are as those of `points`. It is one statement, whose rows are sums already.
        """
        query = query_of_types(tenant, begin, end, step, limit, types)

        async def read(connection: AsyncConnection) -> Sequence[Any]:
            return (await connection.execute(query)).all()

        rows = await self._reader.read(read, budget_s=TYPES_WITHIN_S)
        return types_of(rows, steps=-((begin - end) // step), limit=limit)

    async def releases(self, tenant: Tenant, begin: datetime, end: datetime) -> list[StatRelease]:
        """Return the releases whose first worker was seen from `begin` to before `end`, the oldest first.

        The first of all that are known did not take the place of another, so it is not among them.
        """

        async def read(connection: AsyncConnection) -> Sequence[Any]:
            return (await connection.execute(_RELEASES, {"tenant": tenant})).all()

        known = await self._reader.read(read)
        return [StatRelease(release=release, at=at.astimezone(UTC)) for release, at in known[1:] if begin <= at < end]

    async def forget(self, now: datetime) -> None:
        """Delete minutes and hours that are older than MINUTES_KEPT and HOURS_KEPT."""
        for table, kept in ((STATS_MINUTES, MINUTES_KEPT), (STATS_HOURS, HOURS_KEPT)):
            async with transaction(self._engine) as connection:
                await connection.execute(delete(table).where(table.c.at < now - kept))


def _query(
    tenant: Tenant, job_type: JobType | None, begin: datetime, end: datetime, step: timedelta, types: Sequence[str]
) -> Any:
    columns = table_for(begin, step).c
    number = number_of_step(columns.at, begin, step)
    query = (
        select(number, columns.kind, columns.bucket, func.sum(columns.n))
        .where(columns.tenant == tenant, columns.at >= begin, columns.at < end, *among(columns.type, types))
        .group_by(number, columns.kind, columns.bucket)
    )
    return query if job_type is None else query.where(columns.type == job_type)
