"""Stores and finds audit records: `History.audit`. Any number of dispatchers store, one at a time.

A record is only ever added. One that is stored twice is stored once, because its id is looked for under the lock that
gives it its place in the chain.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Row, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_contracts import AuditEntry, AuditLink, AuditOutcome, AuditRecord, Tenant, chained
from millstream_history.connection import locks
from millstream_history.connection.database import transaction
from millstream_history.connection.reading import Reader
from millstream_history.tables import AUDIT_CUTS, AUDIT_RECORDS

MONTHS_AHEAD = 2

_LOCK = text("SELECT pg_advisory_xact_lock(:lock)").bindparams(lock=locks.AUDIT)
_MAKE = text("SELECT audit_make_month(:month)")
_DROP = text("SELECT audit_drop_month(:month)")
FIND_MONTHS = text(
    "SELECT to_date(right(relname, 6), 'YYYYMM') FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
    "WHERE inhparent = 'audit_records'::regclass AND relname ~ '^audit_records_[0-9]{6}$' ORDER BY 1"
)

_RECORD, _CUT = AUDIT_RECORDS.c, AUDIT_CUTS.c
_SHOWN = tuple(column for column in _RECORD if column.name != "stored_at")
_COLUMNS_OF_ENTRY = ("tenant", "id", "at", "action", "outcome", "key_id", "target")
"""The fields of an entry that have columns of their own. They are read from there, so that a change of one shows."""

_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(AuditEntry).decode


class AuditQuery(Struct, frozen=True, kw_only=True):
    """Which records a list has."""

    key_id: str | None = None
    action: str | None = None
    outcome: AuditOutcome | None = None
    target: str | None = None
    """What the target begins with."""
    after: datetime | None = None
    """Included, as `before` is not."""
    before: datetime | None = None
    is_oldest_first: bool = False


class AuditRecords:
    """The audit records of one history database. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader

    async def store(self, entries: Sequence[AuditEntry]) -> dict[Tenant, AuditLink]:
        """Store entries that are not stored yet, in their order, in one transaction.

        Returns: the last record of each of their tenants.
        """
        async with transaction(self._engine) as connection:
            await connection.execute(_LOCK)
            known = await _known(connection, entries)
            heads = {tenant: await _head(connection, tenant) for tenant in {entry.tenant for entry in entries}}
            rows = []
            for entry in entries:
                if (entry.tenant, entry.id) not in known:
                    known.add((entry.tenant, entry.id))
                    record = chained(entry, heads[entry.tenant])
                    heads[entry.tenant] = _link(record)
                    rows.append(_row(entry, record))
            if rows:
                await connection.execute(insert(AUDIT_RECORDS).values(rows))
        return {Tenant(tenant): head for tenant, head in heads.items() if head}

    async def page(self, tenant: Tenant, asked: AuditQuery, *, behind: int | None, limit: int) -> list[AuditRecord]:
        """Return records by their numbers, newest first unless asked otherwise, from behind a number on."""
        exact = {"key_id": asked.key_id, "action": asked.action, "outcome": asked.outcome}
        conditions: list[Any] = [_RECORD.tenant == tenant]
        conditions += (_RECORD[name] == str(wanted) for name, wanted in exact.items() if wanted is not None)
        if asked.target is not None:
            conditions.append(_RECORD.target.startswith(asked.target, autoescape=True))
        if asked.after is not None:
            # It was stored behind its time: that leaves out whole partitions.
            conditions += (_RECORD.at >= asked.after, _RECORD.stored_at >= asked.after - timedelta(days=1))
        if asked.before is not None:
            conditions.append(_RECORD.at < asked.before)
        if behind is not None:
            conditions.append(_RECORD.seq > behind if asked.is_oldest_first else _RECORD.seq < behind)
        order = _RECORD.seq if asked.is_oldest_first else _RECORD.seq.desc()
        query = select(*_SHOWN).where(*conditions).order_by(order).limit(limit)

        async def read(connection: AsyncConnection) -> list[AuditRecord]:
            return [_record(row) for row in await connection.execute(query)]

        return await self._reader.read(read)

    async def ends(self, tenant: Tenant) -> tuple[AuditLink | None, AuditLink | None]:
        """Return the last record that its retention has dropped, and the last that is there; None for none."""

        async def read(connection: AsyncConnection) -> tuple[AuditLink | None, AuditLink | None]:
            return await _cut(connection, tenant), await _last(connection, tenant)

        return await self._reader.read(read)

    async def make_months(self, today: date) -> int:
        """Make the missing partitions of this month and the next ones. Returns: how many were made."""
        wanted = _months_from(today, MONTHS_AHEAD + 1)
        async with transaction(self._engine) as connection:
            found = set((await connection.execute(FIND_MONTHS)).scalars())
            missing = [month for month in wanted if month not in found]
            if missing:
                await connection.execute(_LOCK)
            return sum([(await connection.execute(_MAKE, {"month": month})).scalar_one() for month in missing])

    async def drop_months(self, before: date) -> dict[date, int]:
        """Drop the months that were over before this day, and note where the chains were cut.

        Returns: how many records each of them had.
        """
        dropped: dict[date, int] = {}
        async with transaction(self._engine) as connection:
            await connection.execute(_LOCK)
            for month in (await connection.execute(FIND_MONTHS)).scalars():
                if _months_from(month, 2)[1] <= before:
                    dropped[month] = (await connection.execute(_DROP, {"month": month})).scalar_one()
        return dropped


async def _known(connection: AsyncConnection, entries: Sequence[AuditEntry]) -> set[tuple[str, str]]:
    query = select(_RECORD.tenant, _RECORD.id).where(_RECORD.id.in_([entry.id for entry in entries]))
    return {(row.tenant, row.id) for row in await connection.execute(query)}


async def _head(connection: AsyncConnection, tenant: str) -> AuditLink | None:
    return await _last(connection, tenant) or await _cut(connection, tenant)


async def _last(connection: AsyncConnection, tenant: str) -> AuditLink | None:
    query = select(_RECORD.seq, _RECORD.hash).where(_RECORD.tenant == tenant).order_by(_RECORD.seq.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return AuditLink(seq=row.seq, hash=row.hash) if row else None


async def _cut(connection: AsyncConnection, tenant: str) -> AuditLink | None:
    query = select(_CUT.seq, _CUT.hash).where(_CUT.tenant == tenant).order_by(_CUT.seq.desc()).limit(1)
    row = (await connection.execute(query)).one_or_none()
    return AuditLink(seq=row.seq, hash=row.hash) if row else None


def _link(record: AuditRecord) -> AuditLink:
    return AuditLink(seq=record.seq, hash=record.hash)


def _row(entry: AuditEntry, record: AuditRecord) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(entry, name) for name in _COLUMNS_OF_ENTRY}
    links = {"seq": record.seq, "previous": record.previous, "hash": record.hash}
    # Not JSONB, which would write numbers in another way than they were hashed.
    return {**values, **links, "outcome": str(entry.outcome), "entry": _encode(entry).decode(), "stored_at": func.now()}


def _record(row: Row[Any]) -> AuditRecord:
    """Return a row as a record, also one that was made unreadable: then its hash tells."""
    try:
        entry = _decode(row.entry)
        told: dict[str, Any] = {name: getattr(entry, name) for name in entry.__struct_fields__}
    except msgspec.MsgspecError:
        told = {}
    told |= {name: getattr(row, name) for name in _COLUMNS_OF_ENTRY}
    outcomes = {outcome.value: outcome for outcome in AuditOutcome}
    told["outcome"] = outcomes.get(row.outcome, AuditOutcome.UNKNOWN)
    return AuditRecord(**told, seq=row.seq, previous=row.previous, hash=row.hash)


def _months_from(day: date, count: int) -> list[date]:
    """Return the first days of some months, from that of a day on."""
    number = day.year * 12 + day.month - 1
    return [date(one // 12, one % 12 + 1, 1) for one in range(number, number + count)]
