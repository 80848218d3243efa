"""Stores built jobs, queue by queue, as many at a time as one script call takes."""

from collections import defaultdict
from collections.abc import Iterable

from millstream_contracts import JobId, Queue, limits
from millstream_streams import JobStore, NewJob
from millstream_submission.building import BuiltJob
from millstream_submission.known_queues import KnownQueues


async def store_jobs(store: JobStore, queues: KnownQueues, built: Iterable[BuiltJob]) -> list[JobId]:
    """Store jobs and return their ids, in order. Raises: StoreUnavailableError; then some of them may be stored."""
    ids: list[JobId] = []
    by_queue: defaultdict[Queue, list[NewJob]] = defaultdict(list)
    for one in built:
        ids.append(one.job.id)
        by_queue[one.queue].append(one.job)
    await queues.make_known(by_queue)
    for queue, jobs in by_queue.items():
        for start in range(0, len(jobs), limits.MAX_SCRIPT_JOBS):
            await store.enqueue(queue, jobs[start : start + limits.MAX_SCRIPT_JOBS])
    return ids
