"""Finds jobs that have not ended as far as the history knows, and that Redis does not have any more."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time
from itertools import pairwise

from millstream_contracts import JobId, Queue
from millstream_history import UNSETTLED_AT_ONCE, History
from millstream_streams import StoredJobs

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


async def unrecorded_ends(
    history: History, stored_jobs: StoredJobs, queue: Queue, *, begin: datetime = _FIRST, end: datetime
) -> AsyncIterator[list[JobId]]:
    """Yield such jobs of a queue that were made in this time, oldest first. Raises: HistoryError, StoreError.

    The end of one may be among events that are not stored yet.
    """
    days = [datetime.combine(day, time(), UTC) for day in await history.days.found()]
    # Day by day: each question then reads one partition.
    for first, last in pairwise([begin, *(day for day in days if begin < day < end), end]):
        after: JobId | None = None
        while True:
            ids = await history.repairer.unsettled(queue, begin=first, end=last, after=after)
            if ids:
                gone = (await stored_jobs.snapshots(queue, ids)).gone
                yield [job_id for job_id in ids if job_id in gone]
            if len(ids) < UNSETTLED_AT_ONCE:
                break
            after = ids[-1]
