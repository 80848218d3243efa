"""Erases jobs from the history: `History.erasures`. What comes late of an erased job is stored without its data.

A job is marked first, then removed from Redis, and then blanked here. The lock below puts every batch that is stored
either wholly before the marks, so that it is blanked, or wholly behind them, so that it sees them.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_contracts import JobId, Tenant, made_at
from millstream_history.connection import locks
from millstream_history.connection.database import transaction
from millstream_history.connection.reading import Reader
from millstream_history.erasure.blanks import ERASED_COLUMNS, ERASED_STEP_COLUMNS, REASON, Key, blanked, keys_of
from millstream_history.projection.rows import Rows
from millstream_history.tables import ERASED_JOBS, JOBS, TRANSITIONS, WORKFLOW_NODES, WORKFLOWS

STORE = text("SELECT pg_advisory_xact_lock_shared(:lock)").bindparams(lock=locks.ERASURES)
"""Shares the lock of marks, in the transaction that stores."""
_MARK = text("SELECT pg_advisory_xact_lock(:lock)").bindparams(lock=locks.ERASURES)
_ARE_SOME = text("SELECT EXISTS (SELECT FROM erased_jobs)")
_AMONG = text("SELECT tenant, id FROM erased_jobs WHERE id = ANY(:ids)")
# What operations tell of single jobs holds values of payloads.
_FORGET_TOLD = (
    "UPDATE operations SET {0} = coalesce("
    "(SELECT jsonb_agg(one) FROM jsonb_array_elements({0}) one WHERE one->>'id' <> ALL(:ids)), '[]') "
    "WHERE tenant = :tenant AND EXISTS (SELECT FROM jsonb_array_elements({0}) one WHERE one->>'id' = ANY(:ids))"
)

_COLUMNS = ERASED_JOBS.c


class Erasures:
    """The erased jobs of a history database. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader

    async def known(self, tenant: Tenant, ids: Sequence[JobId]) -> dict[JobId, str | None]:
        """Return those of these jobs that the history has, each with the id of the workflow that it is of."""
        query = select(JOBS.c.id, JOBS.c.workflow_id).where(*_are(JOBS, "id", tenant, ids))
        async with transaction(self._engine) as connection:
            return {JobId(row.id): row.workflow_id for row in await connection.execute(query)}

    async def mark(self, tenant: Tenant, ids: Sequence[JobId], workflows: Iterable[str] = ()) -> None:
        """Have nothing of these jobs stored from now on but what is left of an erased one.

        `workflows` are those that the jobs are of: their results, and why nodes failed, are removed at once, and are
        not stored any more.
        """
        of_jobs = sorted(set(workflows))
        rows = [{"tenant": tenant, "id": one} for one in sorted({*ids, *of_jobs})]
        async with transaction(self._engine) as connection:
            await connection.execute(_MARK)
            await connection.execute(insert(ERASED_JOBS).values(rows).on_conflict_do_nothing())
            if of_jobs:
                ours = (WORKFLOWS.c.tenant == tenant, WORKFLOWS.c.id.in_(of_jobs))
                await connection.execute(update(WORKFLOWS).where(*ours).values(result=None, reason=REASON))
                ours = (WORKFLOW_NODES.c.tenant == tenant, WORKFLOW_NODES.c.workflow_id.in_(of_jobs))
                await connection.execute(update(WORKFLOW_NODES).where(*ours).values(reason=None))

    async def unmark(self, tenant: Tenant, ids: Collection[JobId]) -> None:
        """Take marks back, of jobs that are not erased after all."""
        statement = delete(ERASED_JOBS).where(_COLUMNS.tenant == tenant, _COLUMNS.id.in_(ids))
        async with transaction(self._engine) as connection:
            await connection.execute(statement)

    async def blank(self, tenant: Tenant, ids: Sequence[JobId]) -> None:
        """Remove what is stored of these jobs, also from what operations tell of them."""
        job = update(JOBS).where(*_are(JOBS, "id", tenant, ids))
        step = update(TRANSITIONS).where(*_are(TRANSITIONS, "job_id", tenant, ids))
        told = {"tenant": tenant, "ids": list(ids)}
        async with transaction(self._engine) as connection:
            await connection.execute(job.values(reason=REASON, **dict.fromkeys(ERASED_COLUMNS)))
            await connection.execute(step.values(dict.fromkeys(ERASED_STEP_COLUMNS)))
            for column in ("samples", "refusals"):
                await connection.execute(text(_FORGET_TOLD.format(column)), told)

    async def erased_at(self, tenant: Tenant, job_id: JobId) -> datetime | None:
        """Return when a job was erased; None when it was not."""
        query = select(_COLUMNS.erased_at).where(_COLUMNS.tenant == tenant, _COLUMNS.id == job_id)

        async def read(connection: AsyncConnection) -> datetime | None:
            return (await connection.execute(query)).scalar_one_or_none()

        return await self._reader.read(read)

    async def forget(self, before: datetime) -> None:
        """Forget the marks of jobs that were erased before then, when nothing of them can come any more."""
        async with transaction(self._engine) as connection:
            await connection.execute(delete(ERASED_JOBS).where(_COLUMNS.erased_at < before))


async def without_erased(connection: AsyncConnection, rows: Rows) -> Rows:
    """Return rows without what is erased, to be stored in the transaction of this connection."""
    await connection.execute(STORE)
    if not (await connection.execute(_ARE_SOME)).scalar_one():
        return rows
    keys = keys_of(rows)
    found = await connection.execute(_AMONG, {"ids": sorted({job_id for _, job_id in keys})})
    erased: set[Key] = {(row.tenant, row.id) for row in found} & keys
    return blanked(rows, erased) if erased else rows


def _are(table: Any, name: str, tenant: Tenant, ids: Sequence[JobId]) -> tuple[Any, ...]:
    """Return the condition that a row is of one of these jobs, with the days to look at."""
    times = [made_at(job_id) for job_id in ids]
    columns = table.c
    return columns.tenant == tenant, columns[name].in_(ids), columns.created_at.between(min(times), max(times))
