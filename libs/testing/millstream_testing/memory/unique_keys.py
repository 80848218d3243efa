"""Which jobs hold unique keys in memory: the rules of _unique.lua."""

from millstream_contracts import JobState, Queue
from millstream_streams import UniqueKey
from millstream_testing.memory.stored_job import StoredJob

_ENDED = frozenset({JobState.DEAD, JobState.CANCELLED, JobState.EXPIRED})


class UniqueKeys:
    """The last job that has taken each key. Whether it still holds it, follows from its state."""

    def __init__(self) -> None:
        self._takers: dict[tuple[Queue, str], StoredJob] = {}

    def holder(self, queue: Queue, unique: UniqueKey, now_ms: int) -> StoredJob | None:
        """Return the job that holds a key; None where it is free."""
        taker = self._takers.get((queue, unique.digest))
        return taker if taker is not None and _holds(taker, now_ms) else None

    def take(self, job: StoredJob) -> None:
        """Have a job hold its key from now on."""
        if job.unique is not None:
            job.key_taken_at = job.deliveries
            self._takers[job.queue, job.unique.digest] = job

    def take_again(self, job: StoredJob, now_ms: int) -> bool:
        """Have a dead job hold its key once more, unless its window is over. Returns: False, where another one does."""
        if job.unique is None or (job.held_until_ms is not None and job.held_until_ms <= now_ms):
            return True
        if self.holder(job.queue, job.unique, now_ms) is not None:
            return False
        self.take(job)
        return True


def _holds(job: StoredJob, now_ms: int) -> bool:
    if job.unique is None or job.state in _ENDED:
        return False
    if job.held_until_ms is not None:
        return now_ms < job.held_until_ms
    if job.state is JobState.SUCCEEDED:
        return False
    return job.unique.scope != "queued" or job.deliveries == job.key_taken_at


def can_be_replaced(job: StoredJob) -> bool:
    """Whether a job has not been delivered since it took its key."""
    return job.deliveries == job.key_taken_at and job.state in {JobState.QUEUED, JobState.SCHEDULED, JobState.BLOCKED}
