"""Judges one queue: its state in a word that has a shape."""

from millstream_contracts import BreakerState, QueueStatus

LATE_S = 60.0
"""A ready job that waits longer than this wants a look."""


def ready(queue: QueueStatus) -> int:
    """Return how many jobs of a queue are ready, of all priorities."""
    return sum(queue.queued.values())


def held(queue: QueueStatus) -> int:
    """Return how many jobs a queue holds that have not ended."""
    return ready(queue) + queue.running + queue.scheduled + queue.blocked


def state_of(queue: QueueStatus, *, has_worker: bool = True) -> str:
    """Return the state of a queue in a word.

    `paused`, `open` or `half-open` by its circuit breaker, `parked` while a handler holds it back, `lost` where no
    worker handles what waits, `stalled` or
    `active`.
    """
    if queue.paused:
        return "paused"
    if queue.breaker not in {None, BreakerState.CLOSED}:
        return "half-open" if queue.breaker is BreakerState.HALF_OPEN else "open"
    if queue.held_until is not None:
        return "parked"
    if ready(queue) and not has_worker:
        return "lost"
    # What a limit holds back is late on purpose, but for the one job that was let in to wake a worker.
    is_held_back = 0 < queue.parked >= ready(queue) - 1
    return "stalled" if queue.oldest_ready_age_s > LATE_S and not is_held_back else "active"
