"""Stores built jobs, queue by queue, as many at a time as one script call takes."""

from collections import defaultdict
from collections.abc import Iterable

from millstream_contracts import JobId, Queue, limits
from millstream_streams import JobStore, NotDurableError
from millstream_submission.building import BuiltJob
from millstream_submission.known_queues import KnownQueues


async def store_jobs(store: JobStore, queues: KnownQueues, built: Iterable[BuiltJob]) -> list[JobId]:
    """Store jobs and return their ids, in order. Raises: StoreUnavailableError; then some of them may be stored."""
    ids: list[JobId] = []
    by_queue: defaultdict[Queue, list[BuiltJob]] = defaultdict(list)
    for one in built:
        ids.append(one.job.id)
        by_queue[one.queue].append(one)
    await queues.make_known(by_queue)
    for queue, jobs in by_queue.items():
        for start in range(0, len(jobs), limits.MAX_SCRIPT_JOBS):
            load = jobs[start : start + limits.MAX_SCRIPT_JOBS]
            await store.enqueue(queue, [one.job for one in load])
            for one in load:
                one.send.stored()
    return ids


def tell_unconfirmed(built: Iterable[BuiltJob], error: NotDurableError) -> None:
    """End the `send` spans of jobs that are stored and will run, although their submitter receives an error."""
    for one in built:
        if one.job.id not in error.not_stored:
            one.send.stored(error)
