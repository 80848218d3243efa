"""Finds the releases that the first and the last jobs of groups of dead jobs died with."""

from collections.abc import Mapping, Sequence

from millstream_contracts import DeadGroup, Tenant
from millstream_history.search.paging.timed_session import OutOfTimeError, TimedSession
from millstream_history.search.statement import Statement

LOOKED_AT = 20
"""Of how many jobs at either end it is looked for one whose worker is known: others died on none, or on one of an older
release that told none."""

Releases = tuple[str | None, str | None]
"""The first and the last."""


async def find_releases(
    session: TimedSession, tenant: Tenant, groups: Sequence[DeadGroup]
) -> Mapping[tuple[str, str], Releases] | None:
    """Return the releases of each group, by type and fingerprint; None when there is no time."""
    known = [one for one in groups if one.fingerprint]
    if not known:
        return {}
    statement = Statement()
    owner = statement.bind(tenant)
    types, prints, firsts, lasts = (
        statement.bind([getattr(one, name) for one in known])
        for name in ("type", "fingerprint", "first_seen", "last_seen")
    )
    # The jobs at the ends are known by their time: each is a look into one partition, or two.
    first = _edge(owner, "jobs.created_at >= sought.first AND jobs.created_at < sought.first + interval '1 day'", "ASC")
    last = _edge(owner, "jobs.created_at <= sought.last AND jobs.created_at > sought.last - interval '1 day'", "DESC")
    sql = (
        "SELECT sought.type, sought.fingerprint, oldest.release AS first_release, newest.release AS last_release "  # noqa: S608
        f"FROM unnest({types}::text[], {prints}::text[], {firsts}::timestamptz[], {lasts}::timestamptz[]) "
        "AS sought (type, fingerprint, first, last) "
        f"LEFT JOIN LATERAL ({first}) oldest ON true LEFT JOIN LATERAL ({last}) newest ON true"
    )
    try:
        rows = await session.fetch(sql, statement, session.left_s)
    except OutOfTimeError:
        return None
    return {(row["type"], row["fingerprint"]): (row["first_release"], row["last_release"]) for row in rows}


def _edge(owner: str, within: str, order: str) -> str:
    """Return a query for the release of the first job in an order whose worker told one."""
    return (
        "SELECT seen.release FROM (SELECT worker, created_at FROM jobs "  # noqa: S608
        f"WHERE tenant = {owner} AND type = sought.type AND fingerprint = sought.fingerprint AND outcome = 'dead' "
        f"AND {within} ORDER BY created_at {order} LIMIT {LOOKED_AT}) dead "
        f"JOIN worker_spans seen ON seen.tenant = {owner} AND seen.worker = dead.worker "
        f"WHERE seen.release IS NOT NULL ORDER BY dead.created_at {order} LIMIT 1"
    )
