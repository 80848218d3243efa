"""Counts the jobs that failed as those of a group of dead jobs did, and have not ended: they may die next."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from millstream_contracts import DeadGroup, JobState, Tenant
from millstream_history.search.paging.timed_session import OutOfTimeError, TimedSession
from millstream_history.search.statement import Statement

LIVE_OF = timedelta(days=7)
"""Of jobs that were submitted so long ago at most: each day is a look into another partition."""

NEWEST_FAILED = 300
"""Of how many of the newest jobs that failed in the same way it is looked at whether they have ended."""

_SETTLED = [state.value for state in JobState if state.is_settled]


async def count_live(
    session: TimedSession, tenant: Tenant, groups: Sequence[DeadGroup], now: datetime
) -> Mapping[tuple[str, str], int] | None:
    """Return how many jobs of each group, by type and fingerprint, have not ended; None when there is no time."""
    known = [one for one in groups if one.fingerprint]
    if not known:
        return {}
    statement = Statement()
    owner = statement.bind(tenant)
    types, prints = (statement.bind([getattr(one, name) for one in known]) for name in ("type", "fingerprint"))
    # The index of fingerprints has no states: an index of what changes would keep rows from being updated in place.
    sql = (
        "SELECT sought.type, sought.fingerprint, count(*) AS n "  # noqa: S608
        f"FROM unnest({types}::text[], {prints}::text[]) AS sought (type, fingerprint) CROSS JOIN LATERAL ("
        f"SELECT type, state, outcome FROM jobs WHERE tenant = {owner} AND fingerprint = sought.fingerprint "
        f"AND created_at >= {statement.bind(now - LIVE_OF)} ORDER BY created_at DESC LIMIT {NEWEST_FAILED}) failed "
        f"WHERE failed.type = sought.type AND failed.outcome IS NULL AND failed.state <> ALL({statement.bind(_SETTLED)}"
        "::text[]) GROUP BY 1, 2"
    )
    try:
        rows = await session.fetch(sql, statement, session.left_s)
    except OutOfTimeError:
        return None
    return {(row["type"], row["fingerprint"]): row["n"] for row in rows}
