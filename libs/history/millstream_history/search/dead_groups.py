"""Groups dead jobs by what they have died of: by type and fingerprint, from an index alone."""

from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from millstream_contracts import DeadGroup, DeadSample, JobError, JobId, JobType, Tenant
from millstream_history.search.paging.timed_session import OutOfTimeError, Record, TimedSession
from millstream_history.search.statement import Statement

MAX_GROUPS = 200
"""The largest groups are shown, and no more than these."""

SHORT_RANGE = timedelta(days=1)
"""What is looked at where all of the range takes too long."""


class FoundGroups(Struct, frozen=True):
    """The largest groups, the largest first."""

    groups: list[DeadGroup]
    is_complete: bool
    """Whether they were counted in all of the range."""


async def find_dead_groups(
    session: TimedSession, tenant: Tenant, job_type: str | None, since: datetime, now: datetime
) -> FoundGroups:
    """Return the groups of jobs that were submitted since then and are dead. Raises: OutOfTimeError."""
    try:
        return FoundGroups(await _groups(session, tenant, job_type, since, session.left_s * 0.6), is_complete=True)
    except OutOfTimeError:
        shorter = max(since, now - SHORT_RANGE)
        return FoundGroups(await _groups(session, tenant, job_type, shorter, session.left_s), is_complete=False)


async def _groups(
    session: TimedSession, tenant: Tenant, job_type: str | None, since: datetime, within_s: float
) -> list[DeadGroup]:
    statement = Statement()
    owner = statement.bind(tenant)
    of_type = f" AND type = {statement.bind(job_type)}" if job_type else ""
    # The newest of each is looked up by the same index, once it is known which groups are shown.
    sql = (
        "SELECT found.*, newest.id, newest.error FROM ("  # noqa: S608
        "SELECT type, fingerprint, count(*) AS n, min(created_at) AS first, max(created_at) AS last FROM jobs "
        f"WHERE tenant = {owner} AND outcome = 'dead' AND created_at >= {statement.bind(since)}{of_type} "
        f"GROUP BY type, fingerprint ORDER BY n DESC, last DESC LIMIT {statement.bind(MAX_GROUPS)}) found "
        f"CROSS JOIN LATERAL (SELECT id, error FROM jobs WHERE tenant = {owner} AND type = found.type "
        "AND fingerprint IS NOT DISTINCT FROM found.fingerprint AND outcome = 'dead' AND created_at = found.last "
        "LIMIT 1) newest ORDER BY n DESC, last DESC"
    )
    return [_group(row) for row in await session.fetch(sql, statement, within_s)]


def _group(row: Record) -> DeadGroup:
    error = None if row["error"] is None else msgspec.convert(row["error"], JobError)
    return DeadGroup(
        type=JobType(row["type"]),
        fingerprint=row["fingerprint"] or "",
        count=row["n"],
        first_seen=row["first"],
        last_seen=row["last"],
        sample=DeadSample(JobId(row["id"]), error),
    )
