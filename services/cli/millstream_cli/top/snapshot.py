"""Reads all that `top` shows, over the API."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from millstream import ApiError, SyncClient
from millstream_contracts import DeadGroup, Job, QueueStatus, Stats, StatsByType, WorkerInfo

CHART = timedelta(hours=1)
RATES_OF = timedelta(minutes=5)
GROUPS_OF = timedelta(days=1)
MAX_JOBS = 200


class Past(Struct, frozen=True, kw_only=True):
    """What was read of the history."""

    stats: Stats
    by_type: StatsByType
    groups: list[DeadGroup]


class Snapshot(Struct, frozen=True, kw_only=True):
    """The installation at one moment."""

    at: datetime
    queues: list[QueueStatus]
    """By type."""
    workers: list[WorkerInfo]
    """By name."""
    past: Past | None = None
    """None without a history, and while it does not answer."""

    def rates_of(self, type: str) -> tuple[float, float] | None:
        """Return how many jobs of a type ended, and how many attempts failed, a minute; None where it is not known."""
        if self.past is None:
            return None
        by_type = self.past.by_type
        minutes = max((min(self.at, by_type.end) - by_type.begin).total_seconds() / 60, 1.0)
        found = next((one for one in by_type.items if one.type == type), None)
        if found is None:
            return (0.0, 0.0) if by_type.complete else None
        return (found.succeeded + found.dead) / minutes, (found.retried + found.dead) / minutes


def read_snapshot(client: SyncClient, past: Past | None) -> Snapshot:
    """Return the installation as it is, with what was read of the history before. Raises: MillstreamError."""
    return Snapshot(at=datetime.now(UTC), queues=client.queues(), workers=client.workers(), past=past)


def read_past(client: SyncClient) -> Past | None:
    """Return what the history tells; None without one, and while it does not answer."""
    try:
        return Past(
            stats=client.stats(since=CHART),
            by_type=client.stats_by_type(since=RATES_OF),
            groups=client.dead_groups(since=GROUPS_OF).items,
        )
    except ApiError:
        return None


def read_jobs(client: SyncClient, type: str, q: str | None) -> Sequence[Job]:
    """Return the jobs that a search finds, else those of a type that wait, run or are dead. Raises: MillstreamError."""
    page = client.jobs(q, limit=MAX_JOBS) if q is not None else client.jobs(type=type, limit=MAX_JOBS)
    return page.items
