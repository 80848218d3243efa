"""Groups dead jobs by what they have died of: by type and fingerprint, from an index alone; and when they died."""

from datetime import datetime, timedelta

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import DeadGroup, DeadSample, JobError, JobId, JobType, Tenant, place_of
from millstream_history.search.live_in_groups import count_live
from millstream_history.search.paging.timed_session import OutOfTimeError, Record, TimedSession
from millstream_history.search.statement import Statement

MAX_GROUPS = 200
"""The largest groups are shown, and no more than these."""

SHORT_RANGE = timedelta(days=1)
"""What is looked at where all of the range takes too long."""

TREND_HOURS = 24
TREND_OF = timedelta(days=2)
"""Of jobs that were submitted so long ago at most: the index has them by the time of their submission."""


class FoundGroups(Struct, frozen=True):
    """The largest groups, the largest first."""

    groups: list[DeadGroup]
    is_complete: bool
    """Whether they were counted in all of the range."""


async def find_dead_groups(
    session: TimedSession, tenant: Tenant, job_type: str | None, since: datetime, now: datetime, *, with_live: bool
) -> FoundGroups:
    """Return the groups of jobs that were submitted since then and are dead, and what else failed as they did.

    Raises: OutOfTimeError.
    """
    try:
        found = await _groups(session, tenant, job_type, since, session.left_s * 0.6)
        is_complete = True
    except OutOfTimeError:
        found = await _groups(session, tenant, job_type, max(since, now - SHORT_RANGE), session.left_s * 0.7)
        is_complete = False
    found = await _with_trends(session, tenant, job_type, found, now)
    if with_live:
        found = await _with_live(session, tenant, found, now)
    return FoundGroups(found, is_complete)


async def _groups(
    session: TimedSession, tenant: Tenant, job_type: str | None, since: datetime, within_s: float
) -> list[DeadGroup]:
    statement = Statement()
    owner = statement.bind(tenant)
    of_type = f" AND type = {statement.bind(job_type)}" if job_type else ""
    # The newest of each is looked up by the same index, once it is known which groups are shown.
    sql = (
        "SELECT found.*, newest.id, newest.error, newest.finished_at FROM ("  # noqa: S608
        "SELECT type, fingerprint, count(*) AS n, min(created_at) AS first, max(created_at) AS last FROM jobs "
        f"WHERE tenant = {owner} AND outcome = 'dead' AND created_at >= {statement.bind(since)}{of_type} "
        f"GROUP BY type, fingerprint ORDER BY n DESC, last DESC LIMIT {statement.bind(MAX_GROUPS)}) found "
        f"CROSS JOIN LATERAL (SELECT id, error, finished_at FROM jobs WHERE tenant = {owner} AND type = found.type "
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
        error_type=error.type if error else None,
        message=error.message if error else None,
        place=place_of(error.traceback) if error else None,
        last_died_at=row["finished_at"],
    )


async def _with_live(session: TimedSession, tenant: Tenant, groups: list[DeadGroup], now: datetime) -> list[DeadGroup]:
    live = await count_live(session, tenant, groups, now)
    return groups if live is None else [replace(one, live=live.get((one.type, one.fingerprint), 0)) for one in groups]


async def _with_trends(
    session: TimedSession, tenant: Tenant, job_type: str | None, groups: list[DeadGroup], now: datetime
) -> list[DeadGroup]:
    """Return groups with what is known of when their jobs died; without time, as they are."""
    statement = Statement()
    owner, asked_at = statement.bind(tenant), statement.bind(now)
    of_type = f" AND type = {statement.bind(job_type)}" if job_type else ""
    sql = (
        "SELECT type, fingerprint, floor(extract(epoch FROM "  # noqa: S608
        f"{asked_at}::timestamptz - finished_at) / 3600)::int AS hours_ago, count(*) AS n, max(finished_at) AS last "
        f"FROM jobs WHERE tenant = {owner} AND outcome = 'dead' AND created_at >= {statement.bind(now - TREND_OF)} "
        f"AND finished_at > {statement.bind(now - timedelta(hours=TREND_HOURS))}{of_type} GROUP BY 1, 2, 3"
    )
    try:
        rows = await session.fetch(sql, statement, session.left_s)
    except OutOfTimeError:
        return groups
    by_group: dict[tuple[str, str], list[Record]] = {}
    for row in rows:
        by_group.setdefault((row["type"], row["fingerprint"] or ""), []).append(row)
    return [_with_trend(one, by_group.get((one.type, one.fingerprint), [])) for one in groups]


def _with_trend(group: DeadGroup, rows: list[Record]) -> DeadGroup:
    trend, last_died_at = [0] * TREND_HOURS, group.last_died_at
    for row in rows:
        # The clock of a worker's Redis may be ahead of that by which this is asked.
        trend[TREND_HOURS - 1 - max(0, row["hours_ago"])] += row["n"]
        last_died_at = max(last_died_at or row["last"], row["last"])
    return replace(group, trend=trend, last_died_at=last_died_at)
