"""Says how many workers there should be, from what queues hold and from which workers live."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from millstream_contracts import Demand, Queue, WorkerInfo, moment
from millstream_streams.store.deliveries import Depths

ALIVE_FOR = timedelta(seconds=30)
"""How long after its last heartbeat a process counts as alive: three heartbeats, where these come most rarely."""


def available(workers: Iterable[WorkerInfo], now_ms: int) -> list[WorkerInfo]:
    """Return the workers that are alive at this time of Redis, in Unix ms, and take jobs."""
    since = moment(now_ms) - ALIVE_FOR
    return [worker for worker in workers if worker.state == "active" and worker.seen_at >= since]


def takers_of(queue: Queue, workers: Iterable[WorkerInfo]) -> list[WorkerInfo]:
    """Return those of some workers that take the jobs of a queue."""
    return [worker for worker in workers if queue.type in worker.types and worker.serves(queue.tenant)]


def demand_of(queues: Iterable[Depths], workers: Sequence[WorkerInfo]) -> Demand:
    """Return the demand of some queues; `workers` are the available ones that take their jobs."""
    queued = running = due_soon = oldest_ms = 0
    for depths in queues:
        running += depths.running
        # More workers help neither a queue that is paused, nor one whose limits hold its jobs back.
        if not depths.paused:
            queued += sum(depths.queued) - depths.unstartable
            due_soon += depths.due_soon
            oldest_ms = max(oldest_ms, depths.oldest_ready_age_ms)
    slots = sum(worker.concurrency for worker in workers)
    return Demand(
        queued=queued,
        running=running,
        due_soon=due_soon,
        oldest_ready_age_s=oldest_ms / 1000,
        slots=slots,
        wanted_workers=wanted_workers(queued + running + due_soon, workers=len(workers), slots=slots),
    )


def wanted_workers(jobs: int, *, workers: int, slots: int) -> int:
    """Return how many workers have a slot for each job, if new ones have as many slots as those that live have.

    Without a live worker that is not known, and one is wanted for any number of jobs: it tells.
    """
    if not slots:
        return min(jobs, 1)
    # Rounded up, in whole numbers.
    return -(-jobs * workers // slots)
