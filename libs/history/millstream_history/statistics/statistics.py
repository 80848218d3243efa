"""Reads statistics: points of equal length between two times, of one type or of all."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_contracts import EventKind, JobType, StatPoint, Tenant
from millstream_history.connection.database import transaction
from millstream_history.connection.reading import Reader
from millstream_history.statistics.buckets import NONE, percentile
from millstream_history.tables import STATS_HOURS, STATS_MINUTES

MINUTES_KEPT, HOURS_KEPT = timedelta(days=14), timedelta(days=400)
HOUR = timedelta(hours=1)

_RUNS = (EventKind.SUCCEEDED, EventKind.RETRYING, EventKind.DEAD)
_HALF, _MOST = 0.5, 0.95

Counts = dict[tuple[str, int], int]
"""By kind and bucket the number of transitions."""


class Statistics:
    """The statistics of a history database. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader

    async def points(
        self, tenant: Tenant, job_type: JobType | None, *, begin: datetime, end: datetime, step: timedelta
    ) -> list[StatPoint]:
        """Return a point for each step from `begin` to before `end`, also where nothing happened.

        All three are whole minutes. A step of whole hours is read from the hours, which are kept for longer.
        """

        async def read(connection: AsyncConnection) -> Sequence[Any]:
            return (await connection.execute(_query(tenant, job_type, begin, end, step))).all()

        counts: dict[int, Counts] = {}
        for number, kind, bucket, n in await self._reader.read(read):
            counts.setdefault(number, {})[kind, bucket] = n
        steps = -((begin - end) // step)
        return [_point(begin + number * step, counts.get(number, {})) for number in range(steps)]

    async def forget(self, now: datetime) -> None:
        """Delete minutes and hours that are older than MINUTES_KEPT and HOURS_KEPT."""
        for table, kept in ((STATS_MINUTES, MINUTES_KEPT), (STATS_HOURS, HOURS_KEPT)):
            async with transaction(self._engine) as connection:
                await connection.execute(delete(table).where(table.c.at < now - kept))


def _query(tenant: Tenant, job_type: JobType | None, begin: datetime, end: datetime, step: timedelta) -> Any:
    is_hourly = step % HOUR == timedelta() and begin.minute == 0
    table = STATS_HOURS if is_hourly else STATS_MINUTES
    columns = table.c
    number = func.floor(
        func.extract("epoch", columns.at - begin) / step.total_seconds(),
    ).label("number")
    query = (
        select(number, columns.kind, columns.bucket, func.sum(columns.n))
        .where(columns.tenant == tenant, columns.at >= begin, columns.at < end)
        .group_by(number, columns.kind, columns.bucket)
    )
    return query if job_type is None else query.where(columns.type == job_type)


def _point(at: datetime, counts: Counts) -> StatPoint:
    kinds: Counter[str] = Counter()
    for (kind, _), n in counts.items():
        kinds[kind] += int(n)
    waits, runs = _durations(counts, (EventKind.STARTED,)), _durations(counts, _RUNS)
    return StatPoint(
        at=at.astimezone(UTC),
        submitted=kinds[EventKind.SUBMITTED],
        started=kinds[EventKind.STARTED],
        succeeded=kinds[EventKind.SUCCEEDED],
        retried=kinds[EventKind.RETRYING],
        dead=kinds[EventKind.DEAD],
        cancelled=kinds[EventKind.CANCELLED],
        expired=kinds[EventKind.EXPIRED],
        wait_p50_ms=percentile(waits, _HALF),
        wait_p95_ms=percentile(waits, _MOST),
        run_p50_ms=percentile(runs, _HALF),
        run_p95_ms=percentile(runs, _MOST),
    )


def _durations(counts: Counts, kinds: Iterable[EventKind]) -> dict[int, int]:
    found: Counter[int] = Counter()
    wanted = {str(kind) for kind in kinds}
    for (kind, bucket), n in counts.items():
        if kind in wanted and bucket != NONE:
            found[bucket] += int(n)
    return found
