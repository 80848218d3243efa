"""The cells of each row of `top`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from millstream_cli.top.snapshot import Snapshot
from millstream_cli.top.view import Table
from millstream_cli.wording import ago, lasting, printable, short_error
from millstream_contracts import DeadGroup, Job, QueueStatus, WorkerInfo

COLUMNS: Mapping[str, Sequence[str]] = {
    Table.QUEUES: ("type", "ready", "running", "scheduled", "dead", "oldest", "ended/min", "failed/min", ""),
    Table.WORKERS: ("worker", "busy", "memory", "loop lag", "seen", "state", "longest job"),
    Table.DEAD: ("type", "dead", "last", "place", "error"),
    "jobs": ("job", "state", "attempts", "submitted", "error"),
}
NUMBERS = frozenset({"ready", "running", "scheduled", "dead", "ended/min", "failed/min", "attempts", "busy", "memory"})
"""The columns whose cells are numbers."""

UNKNOWN = "\N{EN DASH}"


def cells_of(one: object, snapshot: Snapshot) -> Sequence[str]:
    """Return the cells of a row of one of the tables."""
    match one:
        case QueueStatus():
            return _queue(one, snapshot)
        case WorkerInfo():
            return _worker(one, snapshot.at)
        case DeadGroup():
            return _group(one, snapshot.at)
    raise TypeError(one)


def job_cells(job: Job, now: datetime) -> Sequence[str]:
    """Return the cells of a job."""
    age = ago(job.created_at, now)
    return job.id, str(job.state), f"{job.attempts:,}", age, printable(short_error(job.error))


def _queue(one: QueueStatus, snapshot: Snapshot) -> Sequence[str]:
    rates = snapshot.rates_of(one.type)
    return (
        one.type,
        _number(sum(one.queued.values())),
        _number(one.running),
        _number(one.scheduled),
        _number(one.dead),
        lasting(one.oldest_ready_age_s) if one.oldest_ready_age_s else "",
        *((UNKNOWN, UNKNOWN) if rates is None else map(_rate, rates)),
        "paused" if one.paused else "",
    )


def _worker(one: WorkerInfo, now: datetime) -> Sequence[str]:
    longest = one.running[0] if one.running else None
    return (
        printable(one.name),
        f"{one.busy:,} of {one.concurrency:,}",
        "" if one.rss_bytes is None else f"{one.rss_bytes >> 20:,} MiB",
        "" if one.loop_lag_ms is None else lasting(one.loop_lag_ms / 1000),
        ago(one.seen_at, now),
        printable(one.state),
        f"{lasting(max(0.0, (now - longest.started_at).total_seconds()))}  {longest.id}" if longest else "",
    )


def _group(one: DeadGroup, now: datetime) -> Sequence[str]:
    place = one.place.location if one.place else ""
    error = short_error(one.sample.error) or one.fingerprint
    last = one.last_died_at or one.last_seen
    return one.type, _number(one.count), ago(last, now), printable(place), printable(error)


def _number(value: int) -> str:
    return f"{value:,}"


def _rate(value: float) -> str:
    return f"{value:,.1f}" if 0 < value < 10 else f"{value:,.0f}"
