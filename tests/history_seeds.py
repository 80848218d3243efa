"""Jobs and transitions in a history database, as a dispatcher would have stored them."""

from collections.abc import Sequence

from millstream_contracts import Event, EventKind, Job, JobTransition, Queue, QueueEvents
from millstream_history import History, open_history, rows_of

WORKER = "host:1:a"

Step = tuple[EventKind, str]
"""A transition: what happened, and the state that it led to."""


def events_of(job: Job, steps: Sequence[Step], *, at_ms: int) -> list[Event]:
    """Return the events of one job, a second apart from `at_ms` on. Each start begins a delivery."""
    events, deliveries = [], 0
    for place, (kind, state) in enumerate(steps):
        deliveries += kind is EventKind.STARTED
        version = place + 1
        step = JobTransition(job.id, version, state, deliveries)
        events.append(Event(f"{version}-0", kind, at_ms + 1000 * place, WORKER if deliveries else "", [step]))
    return events


async def store(history: History, queue: Queue, job: Job, events: Sequence[Event] = ()) -> None:
    """Store a job as it is now, with these events."""
    await history.store(rows_of([QueueEvents(queue, list(events))], {queue: {job.id: job}}))


async def store_at(url: str, queue: Queue, job: Job, events: Sequence[Event] = ()) -> None:
    """Store a job in the database of this URL, with these events."""
    async with open_history(url) as history:
        await store(history, queue, job, events)
