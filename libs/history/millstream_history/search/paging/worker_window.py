"""Finds where a search by worker begins: a worker has run no job that was submitted after it was last seen.

There is no index of workers. So the search walks, and this saves it what is newer than a worker that has gone.
"""

from datetime import datetime

from millstream_history.search.paging.places import Place
from millstream_history.search.paging.timed_session import OutOfTimeError, TimedSession
from millstream_history.search.plan import Plan
from millstream_history.search.statement import Statement

WITHIN_S = 0.05


async def first_place(session: TimedSession, plan: Plan) -> Place | None:
    """Return where the first page begins; None for the end of the range."""
    if not plan.workers:
        return None
    statement = Statement()
    tenant, workers = statement.bind(plan.tenant), statement.bind(sorted(plan.workers))
    sql = (
        "SELECT max(last_at) AS last_at, count(*) AS known FROM worker_spans "  # noqa: S608
        f"WHERE tenant = {tenant} AND worker = ANY({workers}::text[])"
    )
    try:
        [row] = await session.fetch(sql, statement, WITHIN_S)
    except OutOfTimeError:
        return None
    last_at: datetime | None = row["last_at"]
    # Of a worker that is not known nothing is known either.
    if last_at is None or row["known"] < len(plan.workers) or (plan.end is not None and plan.end <= last_at):
        return None
    return Place(last_at)
