"""Snapshots of installations, for tests of `top`."""

from datetime import UTC, datetime, timedelta

from millstream_cli.top.snapshot import Past, Snapshot
from millstream_contracts import (
    DeadGroup,
    DeadSample,
    JobError,
    JobId,
    JobType,
    QueueStatus,
    RunningJob,
    StatPoint,
    Stats,
    StatsByType,
    TypeStats,
    WorkerInfo,
)

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
HOSTILE = "[bold]\x1b[2J\u202e\nx"


def queue(name: str, ready: int = 0) -> QueueStatus:
    """Return a queue."""
    return QueueStatus(
        type=JobType(name), partitions=1, queued={"normal": ready}, running=0, scheduled=0, blocked=0, dead=0
    )


def worker(name: str) -> WorkerInfo:
    """Return a worker that runs a job."""
    return WorkerInfo(
        name=name,
        types=[],
        concurrency=10,
        running=[RunningJob("a_1", NOW - timedelta(seconds=4))],
        busy=1,
        started_at=NOW,
        seen_at=NOW,
        rss_bytes=84 << 20,
    )


def group(name: str, message: str) -> DeadGroup:
    """Return a group of dead jobs."""
    error = JobError("shop.MailError", message)
    return DeadGroup(
        type=JobType(name),
        fingerprint="f1",
        count=3,
        first_seen=NOW,
        last_seen=NOW,
        sample=DeadSample(JobId("a_1"), error),
    )


def snapshot(queues: int = 3, workers: int = 2, groups: int = 2, *, has_past: bool = True) -> Snapshot:
    """Return an installation of this size."""
    begin, end = NOW - timedelta(minutes=2), NOW
    of_type = TypeStats(
        type=JobType("t.0"), succeeded=20, dead=2, submitted_by_step=[], ended_by_step=[], failed_by_step=[]
    )
    past = Past(
        stats=Stats(begin=begin, end=end, step_s=60, points=[StatPoint(at=begin, succeeded=7), StatPoint(at=end)]),
        by_type=StatsByType(begin=begin, end=end, step_s=60, items=[of_type]),
        groups=[group(f"t.{number}", HOSTILE) for number in range(groups)],
    )
    return Snapshot(
        at=NOW,
        queues=[queue(f"t.{number}", ready=1200) for number in range(queues)],
        workers=[worker(f"host:{number}:{HOSTILE}") for number in range(workers)],
        past=past if has_past else None,
    )
