"""Stores built jobs, queue by queue, as many at a time as one script call takes."""

from collections import defaultdict
from collections.abc import Iterable

from millstream_contracts import JobId, Queue, limits
from millstream_streams import EnqueueCode, JobStore, NotDurableError
from millstream_submission.building import BuiltJob
from millstream_submission.known_queues import KnownQueues

_EARLIER = (EnqueueCode.REPLAYED, EnqueueCode.KEY_REUSED)


async def store_jobs(store: JobStore, queues: KnownQueues, built: Iterable[BuiltJob]) -> list[JobId]:
    """Store jobs and return their ids, in order: that of the earlier job for one whose idempotency key is known.

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
        for start in range(0, len(places), limits.MAX_SCRIPT_JOBS):
            load = places[start : start + limits.MAX_SCRIPT_JOBS]
            for at, enqueued in zip(load, await store.enqueue(queue, [jobs[at].job for at in load]), strict=True):
                ids[at] = enqueued.id
                if enqueued.code not in _EARLIER:
                    jobs[at].send.stored()
    return ids


def tell_unconfirmed(built: Iterable[BuiltJob], error: NotDurableError) -> None:
    """End the `send` spans of jobs that are stored and will run, although their submitter receives an error."""
    for one in built:
        if one.job.id not in error.not_stored:
            one.send.stored(error)
