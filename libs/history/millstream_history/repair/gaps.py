"""The times of which events were lost, by queue: they stay, so that charts can show them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_contracts import JobType, Queue, StatGap, Tenant
from millstream_history.connection.database import transaction
from millstream_history.connection.reading import Reader
from millstream_history.tables import EVENT_GAPS
from millstream_history.type_conditions import among

TAKEN_FOR = timedelta(minutes=2)
"""How long a process that reads the jobs of a gap again is waited for. It tells so with each pass."""

_COLUMNS = EVENT_GAPS.c


class Gaps:
    """The gaps of a history database. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader

    async def note(self, queue: Queue, first_at: datetime, last_at: datetime) -> None:
        """Note a gap of a queue, or that a known one is longer."""
        row = {**_key(queue), "first_at": first_at, "last_at": last_at}
        statement = insert(EVENT_GAPS).values(row)
        known = statement.on_conflict_do_update(
            index_elements=list(EVENT_GAPS.primary_key),
            set_={"last_at": statement.excluded.last_at, "closed_at": None},
            where=_COLUMNS.last_at < statement.excluded.last_at,
        )
        async with transaction(self._engine) as connection:
            await connection.execute(known)

    async def take(self, queue: Queue, who: str, now: datetime) -> bool:
        """Take the open gaps of a queue for TAKEN_FOR, or keep them. Returns: False while another process has them."""
        is_free = or_(_COLUMNS.taken_until.is_(None), _COLUMNS.taken_until < now, _COLUMNS.taken_by == who)
        statement = (
            update(EVENT_GAPS)
            .values(taken_by=who, taken_until=now + TAKEN_FOR)
            .where(*_is_of(queue), _COLUMNS.closed_at.is_(None), is_free)
        )
        async with transaction(self._engine) as connection:
            return (await connection.execute(statement)).rowcount > 0

    async def close(self, queue: Queue, last_at: datetime, now: datetime) -> None:
        """Note that the gaps of a queue up to this time are repaired as far as they can be."""
        statement = (
            update(EVENT_GAPS)
            .values(closed_at=now, taken_by=None, taken_until=None)
            .where(*_is_of(queue), _COLUMNS.last_at <= last_at, _COLUMNS.closed_at.is_(None))
        )
        async with transaction(self._engine) as connection:
            await connection.execute(statement)

    async def between(
        self, tenant: Tenant, job_type: JobType | None, begin: datetime, end: datetime, *, types: Sequence[str] = ()
    ) -> list[StatGap]:
        """Return the gaps that overlap a time, of one type or of all, without overlaps, oldest first.

        `types` are patterns of the types that count, where not all do.
        """
        statement = (
            select(_COLUMNS.first_at, _COLUMNS.last_at)
            .where(_COLUMNS.tenant == tenant, _COLUMNS.last_at >= begin, _COLUMNS.first_at < end)
            .where(*among(_COLUMNS.type, types))
            .order_by(_COLUMNS.first_at)
        )
        if job_type is not None:
            statement = statement.where(_COLUMNS.type == job_type)

        async def read(connection: AsyncConnection) -> Sequence[tuple[datetime, datetime]]:
            return [tuple(row) for row in await connection.execute(statement)]

        return _merged(await self._reader.read(read))


def _key(queue: Queue) -> dict[str, object]:
    return {"tenant": queue.tenant, "type": queue.type, "partition": queue.partition}


def _is_of(queue: Queue) -> list[ColumnElement[bool]]:
    return [_COLUMNS[name] == value for name, value in _key(queue).items()]


def _merged(times: Sequence[tuple[datetime, datetime]]) -> list[StatGap]:
    merged: list[StatGap] = []
    for begin, end in times:
        if merged and begin <= merged[-1].end:
            merged[-1] = StatGap(begin=merged[-1].begin, end=max(end, merged[-1].end))
        else:
            merged.append(StatGap(begin=begin, end=end))
    return merged
