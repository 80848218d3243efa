"""Reads the jobs of a page, once their ids are known: the rows are wide."""

from collections.abc import Sequence

from millstream_contracts import Tenant
from millstream_history.projection.columns import JOB_ROWS, StoredJob, stored_job
from millstream_history.search.paging.found_rows import rows_of_ids
from millstream_history.search.paging.places import FoundId
from millstream_history.search.paging.timed_session import TimedSession
from millstream_history.search.statement import Statement

_LEFT_OUT = frozenset({"payload", "result"})
"""Columns of up to 256 KB each, which a list does not show."""

_COLUMNS = ", ".join(f"NULL AS {name}" if name in _LEFT_OUT else f"jobs.{name}" for name in JOB_ROWS.names)


async def read_jobs(session: TimedSession, tenant: Tenant, ids: Sequence[FoundId], within_s: float) -> list[StoredJob]:
    """Return the jobs of these ids without payload and result, in this order; a row that is gone is left out.

    Raises: OutOfTimeError.
    """
    if not ids:
        return []
    statement = Statement()
    sql = f"SELECT {_COLUMNS} FROM {rows_of_ids(statement, tenant, ids)}"  # noqa: S608
    rows = {row["id"]: row for row in await session.fetch(sql, statement, within_s)}
    return [stored_job(rows[one.id]) for one in ids if one.id in rows]
