"""Reads the jobs of a page, once their ids are known: the rows are wide."""

from collections.abc import Sequence

from millstream_contracts import Tenant
from millstream_history.projection.columns import JOB_ROWS, StoredJob, stored_job
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
    times, names = statement.bind([one.created_at for one in ids]), statement.bind([one.id for one in ids])
    # Newest first. The range says which partitions are not even to be planned for.
    newest, oldest = statement.bind(ids[0].created_at), statement.bind(ids[-1].created_at)
    sql = (
        f"SELECT {_COLUMNS} FROM unnest({times}::timestamptz[], {names}::text[]) AS wanted(at, id) "  # noqa: S608
        f"JOIN jobs ON jobs.created_at = wanted.at AND jobs.id = wanted.id AND jobs.tenant = {statement.bind(tenant)} "
        f"WHERE jobs.created_at >= {oldest} AND jobs.created_at <= {newest}"
    )
    rows = {row["id"]: row for row in await session.fetch(sql, statement, within_s)}
    return [stored_job(rows[one.id]) for one in ids if one.id in rows]
