"""Judges one queue: its state in a word that has a shape."""

from millstream_contracts import QueueStatus

LATE_S = 60.0
"""A ready job that waits longer than this wants a look."""


def ready(queue: QueueStatus) -> int:
    """Return how many jobs of a queue are ready, of all priorities."""
    return sum(queue.queued.values())


def held(queue: QueueStatus) -> int:
    """Return how many jobs a queue holds that have not ended."""
    return ready(queue) + queue.running + queue.scheduled + queue.blocked


def state_of(queue: QueueStatus, *, has_worker: bool = True) -> str:
    """Return the state of a queue: `paused`, `lost` where no worker handles what waits, `stalled` or `active`."""
    if queue.paused:
        return "paused"
    if ready(queue) and not has_worker:
        return "lost"
    return "stalled" if queue.oldest_ready_age_s > LATE_S else "active"
