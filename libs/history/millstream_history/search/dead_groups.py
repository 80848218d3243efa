"""Groups dead jobs by what they have died of: by type and fingerprint, from the counts of days; and when they died."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import DeadGroup, DeadSample, JobError, JobId, JobType, Tenant, place_of
from millstream_history.search.language.filters import like
from millstream_history.search.live_in_groups import count_live
from millstream_history.search.paging.timed_session import OutOfTimeError, Record, TimedSession
from millstream_history.search.releases_of_groups import find_releases
from millstream_history.search.statement import Statement

SHORT_RANGE = timedelta(days=1)
"""What is looked at where all of the range takes too long."""

TREND_HOURS = 24
TREND_OF = timedelta(days=2)
"""Of jobs that were submitted so long ago at most: the index has them by the time of their submission."""


_OF_NEWEST = "id, error, finished_at, created_at AS last"


class FoundGroups(Struct, frozen=True):
    """The largest groups, the largest first."""

    groups: list[DeadGroup]
    is_complete: bool
    """Whether they were counted in all of the range."""


async def find_dead_groups(
    session: TimedSession,
    tenant: Tenant,
    job_type: str | None,
    since: datetime,
    now: datetime,
    *,
    limit: int,
    with_live: bool,
    with_releases: bool = False,
    types: Sequence[str] = (),
) -> FoundGroups:
    """Return the `limit` largest groups of jobs that were submitted since then and are dead, the largest first.

    `with_live` also counts what else failed as they did, `with_releases` also finds which releases they died with.
    `types` are patterns of the types that count, where not all do.

    Raises: OutOfTimeError.
    """
    only = _Types(job_type, types)
    try:
        found = await _groups(session, tenant, only, since, session.left_s * 0.6, limit)
        is_complete = True
    except OutOfTimeError:
        found = await _groups(session, tenant, only, max(since, now - SHORT_RANGE), session.left_s * 0.7, limit)
        is_complete = False
    found = await _with_trends(session, tenant, only, found, now)
    if with_releases:
        found = await _with_releases(session, tenant, found)
    if with_live:
        found = await _with_live(session, tenant, found, now)
    return FoundGroups(found, is_complete)


class _Types(Struct, frozen=True):
    """Which job types are meant."""

    name: str | None
    """The one; None for all."""
    patterns: Sequence[str]
    """What one of which a type has to fit; empty for all."""

    def put(self, statement: Statement) -> str:
        """Return the condition, to stand behind others; nothing where all types are meant."""
        condition = "" if self.name is None else f" AND type = {statement.bind(self.name)}"
        if self.patterns:
            likes = [like(one, is_pattern=True) for one in self.patterns]
            condition += f" AND type LIKE ANY({statement.bind(likes)}::text[])"
        return condition


async def _groups(
    session: TimedSession, tenant: Tenant, only: _Types, since: datetime, within_s: float, limit: int
) -> list[DeadGroup]:
    statement = Statement()
    owner, begin = statement.bind(tenant), statement.bind(since)
    of_type = f"tenant = {owner}{only.put(statement)}"
    # The newest and the oldest of each are looked up by an index, once it is known which groups are shown.
    sql = (
        "WITH found AS MATERIALIZED (SELECT type, fingerprint, sum(n) AS n, "  # noqa: S608
        "min(day) FILTER (WHERE n > 0) AS first_day, max(day) FILTER (WHERE n > 0) AS last_day "
        f"FROM ({_counts(statement, of_type, since)}) counted "
        f"GROUP BY 1, 2 HAVING sum(n) > 0 ORDER BY n DESC, last_day DESC LIMIT {statement.bind(limit)}) "
        "SELECT found.type, found.fingerprint, n, newest.*, oldest.created_at AS first FROM found "
        f"CROSS JOIN LATERAL ({_edge(owner, begin, _OF_NEWEST, 'last_day', 'DESC')}) newest "
        f"CROSS JOIN LATERAL ({_edge(owner, begin, 'created_at', 'first_day', 'ASC')}) oldest "
        "ORDER BY n DESC, last DESC"
    )
    return [_group(row) for row in await session.fetch(sql, statement, within_s)]


def _counts(statement: Statement, of_type: str, since: datetime) -> str:
    """Return a query for how many jobs are dead of each day and group; those of one group and day add up.

    The count of a day does not tell which of its jobs were submitted before `since`. The shorter part of that day is
    counted: the later one in place of the count of the day, or the earlier one to be taken off it.
    """
    day = since.astimezone(UTC).date()
    first = statement.bind(day)
    begin, next_midnight = (datetime.combine(day + timedelta(days=number), time(), UTC) for number in (0, 1))
    takes_off = since - begin < next_midnight - since
    counted = [
        f"SELECT type, fingerprint, day, n FROM {table} WHERE {of_type} AND day {'>=' if takes_off else '>'} {first}"  # noqa: S608
        for table in ("dead_counts", "dead_changes")
    ]
    if since > begin:
        earlier, later, sign = (begin, since, "-") if takes_off else (since, next_midnight, "")
        counted.append(
            f"SELECT type, coalesce(fingerprint, ''), {first}::date, {sign}count(*)::int FROM jobs WHERE {of_type} "  # noqa: S608
            f"AND outcome = 'dead' AND created_at >= {statement.bind(earlier)} "
            f"AND created_at < {statement.bind(later)} GROUP BY 1, 2"
        )
    return " UNION ALL ".join(counted)


def _edge(owner: str, begin: str, columns: str, day: str, order: str) -> str:
    """Return a query for the newest or the oldest job of a group: of a day, or of all days if that has none.

    A day has none where those that are taken off its count, or a change that is not added to it yet, were its last
    ones; and a group without a fingerprint is not found by an equal one.
    """
    of_group = f"tenant = {owner} AND type = found.type AND outcome = 'dead' AND created_at >= {begin}"
    of_day = " AND ".join(
        f"created_at {compared} (found.{day} + {number})::timestamp AT TIME ZONE 'UTC'"
        for compared, number in ((">=", 0), ("<", 1))
    )
    the_edge = f"ORDER BY jobs.created_at {order} LIMIT 1"
    return (
        f"(SELECT {columns} FROM jobs WHERE {of_group} AND fingerprint = found.fingerprint AND {of_day} {the_edge}) "  # noqa: S608
        f"UNION ALL (SELECT {columns} FROM jobs WHERE {of_group} "
        f"AND fingerprint IS NOT DISTINCT FROM nullif(found.fingerprint, '') {the_edge}) LIMIT 1"
    )


def _group(row: Record) -> DeadGroup:
    error = None if row["error"] is None else msgspec.convert(row["error"], JobError)
    return DeadGroup(
        type=JobType(row["type"]),
        fingerprint=row["fingerprint"],
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


async def _with_releases(session: TimedSession, tenant: Tenant, groups: list[DeadGroup]) -> list[DeadGroup]:
    releases = await find_releases(session, tenant, groups) or {}
    nothing = (None, None)
    ends = [releases.get((one.type, one.fingerprint), nothing) for one in groups]
    return [
        replace(one, first_release=first, last_release=last) for one, (first, last) in zip(groups, ends, strict=True)
    ]


async def _with_trends(
    session: TimedSession, tenant: Tenant, only: _Types, groups: list[DeadGroup], now: datetime
) -> list[DeadGroup]:
    """Return groups with what is known of when their jobs died; without time, as they are."""
    statement = Statement()
    owner, asked_at = statement.bind(tenant), statement.bind(now)
    of_type = only.put(statement)
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
