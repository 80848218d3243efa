"""Reads statistics, each kept for a while: they are by the minute, and pages are read anew every two seconds."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from millstream import Client
from millstream_console.reading.kept import kept
from millstream_console.reading.past import Absence, unless_absent
from millstream_console.reading.ranges import Range
from millstream_contracts import DeadGroups, JobType, Stats, StatsByType

SHARE_OF_STEP = 0.1
"""Statistics are read anew when this share of one of their steps is over."""
HOUR_S, DAY_S, GROUPS_S = 6.0, 120.0, 6.0

_BY_TYPE_STEP = timedelta(minutes=2)
_RECENT_STEPS, _RECENT_MINUTES = 3, 6
"""What comes in and goes out now is that of the last steps, the one that is not over among them."""


class TypeFlow(Struct, frozen=True):
    """What comes in and goes out of the queue of one type."""

    in_per_s: float = 0.0
    out_per_s: float = 0.0
    ended: Sequence[float] = ()
    """Jobs that succeeded or died, in each step of the last hour."""
    failed: int = 0
    """Attempts that failed in the last hour."""


NO_FLOW = TypeFlow()


async def read_stats(client: Client, span: Range, job_type: str | None = None) -> Stats | Absence:
    """Return the statistics of a range, of one type or of all."""
    return await kept(
        client,
        ("stats", span.name, job_type),
        span.step.total_seconds() * SHARE_OF_STEP,
        lambda: unless_absent(client.stats(type=job_type, since=span.length, step=span.step)),
    )


async def read_day(client: Client, job_type: str | None = None) -> Stats | Absence:
    """Return the hours of the last day and of the hour that is not over."""
    return await kept(
        client,
        ("day", job_type),
        DAY_S,
        lambda: unless_absent(client.stats(type=job_type, since=timedelta(hours=26), step=timedelta(hours=1))),
    )


async def read_by_type(client: Client) -> StatsByType | Absence:
    """Return what each type did in the last hour."""
    return await kept(
        client,
        "by type",
        HOUR_S,
        lambda: unless_absent(client.stats_by_type(since=timedelta(hours=1), step=_BY_TYPE_STEP)),
    )


async def read_dead_groups(client: Client, job_type: str | None = None) -> DeadGroups | Absence:
    """Return the dead jobs by what they died of, the largest groups first."""
    return await kept(
        client, ("dead groups", job_type), GROUPS_S, lambda: unless_absent(client.dead_groups(type=job_type))
    )


def recent_flow(stats: Stats | Absence, now: datetime) -> TypeFlow:
    """Return what comes in and goes out now, of statistics by the minute."""
    if isinstance(stats, Absence) or not stats.points:
        return NO_FLOW
    recent = stats.points[-_RECENT_MINUTES:]
    recent_s = max(1.0, (now - recent[0].at).total_seconds())
    return TypeFlow(
        in_per_s=sum(point.submitted for point in recent) / recent_s,
        out_per_s=sum(point.succeeded + point.dead for point in recent) / recent_s,
        ended=[float(point.succeeded + point.dead) for point in stats.points],
        failed=sum(point.retried + point.dead for point in stats.points),
    )


def flows(stats: StatsByType | Absence, now: datetime) -> Mapping[JobType, TypeFlow]:
    """Return what comes in and goes out, by type; of those of which nothing happened there is none."""
    if isinstance(stats, Absence):
        return {}
    step = timedelta(seconds=stats.step_s)
    steps = max(1, (stats.end - stats.begin) // step)
    recent_s = max(1.0, (now - (stats.begin + step * max(0, steps - _RECENT_STEPS))).total_seconds())
    return {
        one.type: TypeFlow(
            in_per_s=sum(one.submitted_by_step[-_RECENT_STEPS:]) / recent_s,
            out_per_s=sum(one.ended_by_step[-_RECENT_STEPS:]) / recent_s,
            ended=[float(number) for number in one.ended_by_step],
            failed=one.retried + one.dead,
        )
        for one in stats.items
    }
