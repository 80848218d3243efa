"""Stores built jobs, queue by queue, as many at a time as one script call takes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from millstream_contracts import JobType, OnConflict, Queue
from millstream_streams import Blocked, EnqueueCode, Enqueued, JobStore, NotDurableError, StoreError
from millstream_submission.building import BuiltJob
from millstream_submission.dependencies import Dependencies, blocked_of, loads_of
from millstream_submission.known_queues import KnownQueues

_OTHERS = (EnqueueCode.REPLAYED, EnqueueCode.KEY_REUSED, EnqueueCode.RETURNED, EnqueueCode.UNIQUE_CONFLICT)
"""The codes of jobs that were not stored now or before, for another one is there."""


CountConflict = Callable[[JobType, OnConflict], None]
"""Takes the type of a job whose unique key another one held, and what it asks for then."""


def conflict_of(built: BuiltJob, enqueued: Enqueued) -> OnConflict | None:
    """Return what a job asks for whose unique key another one held; None where none did."""
    unique = built.job.unique
    return unique.on_conflict if unique is not None and (enqueued.holder or enqueued.replaced) else None


async def store_jobs(
    store: JobStore,
    queues: KnownQueues,
    built: Iterable[BuiltJob],
    dependencies: Dependencies | None = None,
    *,
    until_s: float | None = None,
    conflicted: CountConflict | None = None,
) -> list[Enqueued]:
    """Store jobs and return what became of each, in order.

    `dependencies` links those that wait for others; without it there are none. `until_s` is as in
    :meth:`JobStore.enqueue`. `conflicted` is called for each whose unique key another job held.
    Raises: StoreUnavailableError; then some of them may be stored.
    """
    jobs = list(built)
    answers: dict[int, Enqueued] = {}
    by_queue: defaultdict[Queue, list[int]] = defaultdict(list)
    for at, one in enumerate(jobs):
        by_queue[one.queue].append(at)
    await queues.make_known(by_queue)
    await queues.note_callbacks({one.queue for one in jobs if one.job.callback})
    for queue, places in by_queue.items():
        for load in loads_of((at, jobs[at].job) for at in places):
            stored = await store.enqueue(queue, [jobs[at].job for at in load], until_s=until_s)
            for at, enqueued in zip(load, stored, strict=True):
                answers[at] = enqueued
                if conflicted and (conflict := conflict_of(jobs[at], enqueued)):
                    conflicted(queue.type, conflict)
                if enqueued.code not in _OTHERS:
                    jobs[at].send.stored()
            linked = ((at, answers[at]) for at in load if answers[at].holder is None)
            blocked = [found for at, one in linked if (found := blocked_of(jobs[at].job, one.id))]
            if blocked and dependencies is not None:
                await link_stored(dependencies, queue, blocked)
    return [answers[at] for at in range(len(jobs))]


async def link_stored(dependencies: Dependencies, queue: Queue, blocked: Sequence[Blocked]) -> None:
    """Link jobs that are stored. What cannot be done now, the linker does: the jobs are accepted."""
    with suppress(StoreError):
        await dependencies.link(queue, blocked)


def tell_unconfirmed(built: Iterable[BuiltJob], error: NotDurableError) -> None:
    """End the `send` spans of jobs that are stored and will run, although their submitter receives an error."""
    for one in built:
        if one.job.id not in error.not_stored:
            one.send.stored(error)
