"""Stores built jobs, queue by queue, as many at a time as one script call takes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress

from millstream_contracts import JobId, Queue
from millstream_streams import Blocked, EnqueueCode, JobStore, NotDurableError, StoreError
from millstream_submission.building import BuiltJob
from millstream_submission.dependencies import Dependencies, blocked_of, loads_of
from millstream_submission.known_queues import KnownQueues

_EARLIER = (EnqueueCode.REPLAYED, EnqueueCode.KEY_REUSED)


async def store_jobs(
    store: JobStore, queues: KnownQueues, built: Iterable[BuiltJob], dependencies: Dependencies | None = None
) -> list[JobId]:
    """Store jobs and return their ids, in order: that of the earlier job for one whose idempotency key is known.

    `dependencies` links those that wait for others; without it there are none.
    Raises: StoreUnavailableError; then some of them may be stored.
    """
    jobs = list(built)
    ids = [one.job.id for one in jobs]
    by_queue: defaultdict[Queue, list[int]] = defaultdict(list)
    for at, one in enumerate(jobs):
        by_queue[one.queue].append(at)
    await queues.make_known(by_queue)
    await queues.note_callbacks({one.queue for one in jobs if one.job.callback})
    for queue, places in by_queue.items():
        for load in loads_of((at, jobs[at].job) for at in places):
            for at, enqueued in zip(load, await store.enqueue(queue, [jobs[at].job for at in load]), strict=True):
                ids[at] = enqueued.id
                if enqueued.code not in _EARLIER:
                    jobs[at].send.stored()
            blocked = [found for at in load if (found := blocked_of(jobs[at].job, ids[at]))]
            if blocked and dependencies is not None:
                await link_stored(dependencies, queue, blocked)
    return ids


async def link_stored(dependencies: Dependencies, queue: Queue, blocked: Sequence[Blocked]) -> None:
    """Link jobs that are stored. What cannot be done now, the linker does: the jobs are accepted."""
    with suppress(StoreError):
        await dependencies.link(queue, blocked)


def tell_unconfirmed(built: Iterable[BuiltJob], error: NotDurableError) -> None:
    """End the `send` spans of jobs that are stored and will run, although their submitter receives an error."""
    for one in built:
        if one.job.id not in error.not_stored:
            one.send.stored(error)
