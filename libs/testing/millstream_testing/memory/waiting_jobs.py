"""The jobs that wait: ready ones by priority in their order, and those that wait for a time."""

import itertools
from collections.abc import Callable, Iterator

from millstream_contracts import JobId, JobType, Priority, SnoozeGate
from millstream_testing.memory.limits_of_types import LimitsOfTypes
from millstream_testing.memory.stored_job import StoredJob
from millstream_testing.virtual_clock import VirtualClock


class WaitingJobs:
    """What Redis has in the ready streams, in `due` and in `expiring`, and what handlers hold back."""

    def __init__(self, clock: VirtualClock, limits: LimitsOfTypes) -> None:
        self._clock = clock
        self._limits = limits
        self._held: dict[tuple[JobType, str | None], int] = {}
        """Up to when types are held back, and keys of types, in Unix ms."""
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
        return next(self.ready(wanted), None)

    def ready(self, wanted: Callable[[StoredJob], bool]) -> Iterator[StoredJob]:
        """Yield the ready jobs that are wanted and may start, in their order, as if each of them started."""
        now_ms, limits = self._clock.now_ms, self._limits
        for jobs in self._ready.values():
            found = (job for job in jobs.values() if self._held_until(job) <= now_ms and wanted(job))
            yield from limits.order(list(found), now_ms) if limits.hold_anything else found

    def hold(self, job: StoredJob, gate: SnoozeGate, until_ms: int) -> None:
        """Let no job of the type of a job start until then, or none of its key. A hold is never made shorter."""
        if gate == "type" or job.key:
            held = job.queue.type, None if gate == "type" else job.key
            self._held[held] = max(self._held.get(held, 0), until_ms)

    def end_hold(self, job_type: JobType, key: str | None) -> None:
        """Let the jobs of a type start that is held back, or those of a key of it."""
        self._held.pop((job_type, key), None)

    def held_until(self, job_type: JobType, key: str | None) -> int:
        """Return up to when a type is held back, or a key of it, in Unix ms; 0 where it never was."""
        return self._held.get((job_type, key), 0)

    def held(self) -> Iterator[tuple[StoredJob, int]]:
        """Yield the ready jobs that wait for a time, and for which, in Unix ms: a hold, a rate or an open breaker."""
        now_ms = self._clock.now_ms
        for job in (job for jobs in self._ready.values() for job in jobs.values()):
            of_limits = self._limits.of(job.queue.type).free_at_ms(job, now_ms) or 0
            if (until_ms := max(self._held_until(job), of_limits)) > now_ms:
                yield job, until_ms

    def count(self, wanted: Callable[[StoredJob], bool], *, with_scheduled: bool) -> int:
        """Return how many of the jobs that are ready, or scheduled as well, are wanted."""
        places = [*self._ready.values(), *([self._scheduled] if with_scheduled else ())]
        return sum(wanted(job) for jobs in places for job in jobs.values())

    def _held_until(self, job: StoredJob) -> int:
        of_key = self._held.get((job.queue.type, job.key), 0) if job.key else 0
        return max(self._held.get((job.queue.type, None), 0), of_key)

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
        """Return the next time at which a job is due, expires or is held back no more, in Unix ms; None without one."""
        due = [job.run_at_ms for job in self._scheduled.values() if job.run_at_ms is not None]
        late = [job.expires_at_ms for job in self.unstarted() if job.expires_at_ms is not None]
        return min([*due, *late, *(until_ms for _, until_ms in self.held())], default=None)
