"""The jobs that wait: ready ones by priority in their order, and those that wait for a time."""

import itertools
from collections.abc import Callable, Iterator

from millstream_contracts import JobId, Priority
from millstream_testing.memory.stored_job import StoredJob


class WaitingJobs:
    """What Redis has in the ready streams, in `due` and in `expiring`."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._ready: dict[Priority, dict[JobId, StoredJob]] = {priority: {} for priority in Priority}
        self._scheduled: dict[JobId, StoredJob] = {}
        self._blocked: dict[JobId, StoredJob] = {}

    def add_ready(self, job: StoredJob) -> None:
        """Add a job behind the others of its priority."""
        job.entry = next(self._numbers)
        self._ready[job.priority][job.id] = job

    def add_scheduled(self, job: StoredJob) -> None:
        """Add a job that waits for its `run_at_ms`."""
        self._scheduled[job.id] = job

    def add_blocked(self, job: StoredJob) -> None:
        """Add a job that waits for others."""
        self._blocked[job.id] = job

    def blocked(self) -> Iterator[StoredJob]:
        """Yield the jobs that wait for others."""
        yield from self._blocked.values()

    def remove(self, job: StoredJob) -> None:
        """Remove a job from wherever it waits."""
        self._ready[job.priority].pop(job.id, None)
        self._scheduled.pop(job.id, None)
        self._blocked.pop(job.id, None)

    def next_ready(self, wanted: Callable[[StoredJob], bool]) -> StoredJob | None:
        """Return the first ready job of the highest priority that is wanted."""
        return next((job for jobs in self._ready.values() for job in jobs.values() if wanted(job)), None)

    def scheduled(self) -> Iterator[StoredJob]:
        """Yield the jobs that wait for a time."""
        yield from self._scheduled.values()

    def due(self, now_ms: int) -> list[StoredJob]:
        """Return the jobs whose time has come, by it and then by their ids, as a sorted set has them."""
        times = sorted((job.run_at_ms or 0, job.id) for job in self._scheduled.values())
        return [self._scheduled[job_id] for at_ms, job_id in times if at_ms <= now_ms]

    def unstarted(self) -> Iterator[StoredJob]:
        """Yield the jobs that have an expiry and were never handed to a worker."""
        for jobs in (*self._ready.values(), self._scheduled, self._blocked):
            yield from (job for job in jobs.values() if job.expires_at_ms is not None and not job.deliveries)

    def next_moment(self) -> int | None:
        """Return the next time, in Unix ms, at which a job is due or expires; None when none waits for one."""
        due = [job.run_at_ms for job in self._scheduled.values() if job.run_at_ms is not None]
        late = [job.expires_at_ms for job in self.unstarted() if job.expires_at_ms is not None]
        return min([*due, *late], default=None)
