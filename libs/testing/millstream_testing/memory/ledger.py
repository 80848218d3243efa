"""The state machine of jobs in memory: each method is the transition of the script of the same name.

The rules of the transitions alone are written a second time here, because those of production are Lua. The suite
`tests/testing/conformance` holds that both are the same.
"""

import itertools

import msgspec

from millstream_contracts import (
    Cancelled,
    Dead,
    HandedBack,
    JobError,
    JobId,
    JobState,
    Outcome,
    Priority,
    Progress,
    Queue,
    RetryAt,
    Snoozed,
    Succeeded,
    limits,
)
from millstream_streams import ActionCode, CommitCode, Delivery, EnqueueCode, Enqueued, Idempotency, NewJob
from millstream_streams.store.specs import read_error, read_spec
from millstream_testing.memory.stored_job import StoredJob
from millstream_testing.memory.waiting_jobs import WaitingJobs
from millstream_testing.virtual_clock import VirtualClock

RETENTION_MS = 3_600_000
"""How long a job can be read that no commit ended, as `JobStore` has it."""

_encode = msgspec.msgpack.encode
_INDEX = {priority: index for index, priority in enumerate(Priority, start=1)}


class Ledger:
    """All jobs of a test, in the order in which they were submitted."""

    def __init__(self, clock: VirtualClock) -> None:
        self.jobs: dict[JobId, StoredJob] = {}
        self.waiting = WaitingJobs()
        self.letters: dict[Queue, list[tuple[int, JobId]]] = {}
        """The dead letters of each queue, oldest first, with the number of each."""
        self._clock = clock
        self._numbers = itertools.count(1)
        self._keys: dict[tuple[Queue, bytes], tuple[str, JobId, int]] = {}

    def find(self, job_id: str) -> StoredJob | None:
        """Return a job that can still be read."""
        job = self.jobs.get(JobId(job_id))
        if job is None or (job.forget_at_ms is not None and job.forget_at_ms <= self._clock.now_ms):
            return None
        return job

    def enqueue(self, queue: Queue, new: NewJob, parent: JobId | None = None) -> Enqueued:
        """Store a new job; once by its id, and once by its idempotency key for a day."""
        now_ms, known = self._clock.now_ms, new.idempotency
        if known and (earlier := self._remembered(queue, known, new.id)):
            return earlier
        if new.id in self.jobs:
            return Enqueued(EnqueueCode.STORED_BEFORE, new.id, now_ms)
        job = StoredJob(id=new.id, queue=queue, spec=new.spec, priority=new.priority, parent=parent)
        job.expires_at_ms = self._moment(new.expires_in_ms, new.expires_at_ms)
        job.asked_delay_ms = new.delay_ms
        self.jobs[job.id] = job
        run_at_ms = self._moment(new.delay_ms, new.run_at_ms)
        if new.parents is not None:
            job.after, job.after_failure = new.parents.all, new.parents.after_failure
            job.open_parents = {one for one in new.parents.open if one in self.jobs}
        if job.open_parents:
            self._block(job, new)
        is_due = run_at_ms is None or run_at_ms <= now_ms
        if not job.open_parents:
            self._make_ready(job) if is_due else self._schedule(job, run_at_ms or now_ms)
        if known:
            self._keys[queue, known.key] = known.fingerprint, job.id, now_ms + limits.IDEMPOTENCY_TTL_S * 1000
        return Enqueued(EnqueueCode.STORED, job.id, now_ms, None if is_due or job.open_parents else run_at_ms)

    def claim(self, job: StoredJob, *, worker: str, nonce: str) -> Delivery | None:
        """Hand a ready job to a worker; None for one that has not started in time and expires by this."""
        now_ms = self._clock.now_ms
        if job.expires_at_ms is not None and job.expires_at_ms <= now_ms:
            self._finish(job, JobState.EXPIRED, RETENTION_MS)
            return None
        self._move(job, JobState.RUNNING)
        job.deliveries += 1
        job.token = f"{job.deliveries}:{nonce}"
        job.worker, job.started_at_ms, job.progress = worker, now_ms, b""
        return Delivery(
            queue=job.queue,
            id=job.id,
            spec=read_spec(job.spec),
            priority_index=_INDEX[job.priority],
            entry=f"{job.entry}-0",
            token=job.token,
            attempts=job.attempts,
            deliveries=job.deliveries,
            crashes=job.crashes,
            ready_at_ms=job.ready_at_ms,
            claimed_at_ms=now_ms,
            last_error=read_error(job.error),
        )

    def commit(
        self, delivery: Delivery, outcome: Outcome, *, ttl_ms: int, progress: Progress | None = None
    ) -> CommitCode:
        """Commit what became of a delivery. One whose job another delivery has by now is refused."""
        job = self.find(delivery.id)
        if job is None:
            return CommitCode.UNKNOWN_JOB
        if job.state is not JobState.RUNNING or job.token != delivery.token:
            return CommitCode.COMMITTED_BEFORE if job.done_token == delivery.token else CommitCode.STALE
        job.done_token = delivery.token
        if progress is not None:
            job.progress = _encode(progress)
        return self._hand_back(job) if isinstance(outcome, HandedBack) else self._conclude(job, outcome, ttl_ms)

    def recover(self, job: StoredJob, *, max_crashes: int) -> None:
        """Take back a delivery whose worker is lost, and bury the job if that happened too often."""
        job.crashes += 1
        if job.cancel_asked_at_ms is not None:
            self._finish(job, JobState.CANCELLED, RETENTION_MS, "cancelled")
        elif job.crashes >= max_crashes:
            message = f"the worker vanished {job.crashes} times while running this job"
            self._bury(job, "crashed", JobError("crashed", message, "crashed", attempt=job.attempts + 1))
        else:
            self._make_ready(job)

    def release_due(self) -> None:
        """Make the jobs ready whose time has come."""
        now_ms = self._clock.now_ms
        for job in self.waiting.due(now_ms):
            if job.expires_at_ms is not None and job.expires_at_ms <= now_ms:
                self._finish(job, JobState.EXPIRED, RETENTION_MS)
            else:
                self._make_ready(job)

    def expire(self) -> None:
        """End the jobs that have not started in time."""
        for job in [one for one in self.waiting.unstarted() if (one.expires_at_ms or 0) <= self._clock.now_ms]:
            self._finish(job, JobState.EXPIRED, RETENTION_MS)

    def cancel(self, job_id: str) -> ActionCode:
        """Cancel a job that waits; note for one that runs that its worker is to stop it."""
        job = self.find(job_id)
        if job is None:
            return ActionCode.UNKNOWN_JOB
        if job.state is JobState.CANCELLED:
            return ActionCode.DONE_BEFORE
        if job.state is JobState.RUNNING:
            if job.cancel_asked_at_ms is not None:
                return ActionCode.DONE_BEFORE
            job.cancel_asked_at_ms, job.progress = self._clock.now_ms, b""
            job.version += 1
            return ActionCode.REQUESTED
        if job.state.is_settled:
            return ActionCode.WRONG_STATE
        self._finish(job, JobState.CANCELLED, RETENTION_MS, "cancelled")
        return ActionCode.DONE

    def redrive(self, job_id: str) -> ActionCode:
        """Make a dead job ready, with attempts and crashes counted from zero and no expiry."""
        if code := self._not_dead(job_id):
            return code
        job = self.jobs[JobId(job_id)]
        self._drop_letter(job)
        job.attempts = job.crashes = 0
        job.finished_at_ms = job.cancel_asked_at_ms = job.expires_at_ms = job.run_at_ms = None
        job.reason, job.because_of, job.progress = "", "", b""
        self._make_ready(job)
        return ActionCode.DONE

    def discard(self, job_id: str) -> ActionCode:
        """Let a dead job go."""
        if code := self._not_dead(job_id):
            return code
        job = self.jobs[JobId(job_id)]
        self._drop_letter(job)
        self._finish(job, JobState.CANCELLED, RETENTION_MS, "discarded")
        return ActionCode.DONE

    def _conclude(self, job: StoredJob, outcome: Outcome, ttl_ms: int) -> CommitCode:
        if isinstance(outcome, Succeeded | RetryAt | Dead):
            # A cancelled job keeps the attempts that it had.
            is_cancelled = job.cancel_asked_at_ms is not None and not isinstance(outcome, Succeeded)
            job.attempts += not is_cancelled
        if isinstance(outcome, Succeeded):
            job.result = bytes(outcome.result)
            self._finish(job, JobState.SUCCEEDED, ttl_ms)
        elif isinstance(outcome, Cancelled):
            self._finish(job, JobState.CANCELLED, ttl_ms, outcome.reason)
        elif job.cancel_asked_at_ms is not None:
            self._finish(job, JobState.CANCELLED, ttl_ms, "cancelled")
        elif isinstance(outcome, Dead):
            self._bury(job, outcome.reason, outcome.error)
        elif isinstance(outcome, RetryAt | Snoozed):
            if isinstance(outcome, RetryAt):
                job.error = _encode(outcome.error)
            self._postpone(job, outcome.after_ms)
        return CommitCode.COMMITTED

    def _hand_back(self, job: StoredJob) -> CommitCode:
        if job.cancel_asked_at_ms is not None:
            self._finish(job, JobState.CANCELLED, RETENTION_MS, "cancelled")
            return CommitCode.CANCELLED
        job.handbacks += 1
        self._make_ready(job)
        return CommitCode.COMMITTED

    def _postpone(self, job: StoredJob, after_ms: int) -> None:
        if after_ms > 0:
            self._schedule(job, self._clock.now_ms + after_ms)
        else:
            self._make_ready(job)

    def _block(self, job: StoredJob, new: NewJob) -> None:
        job.delay_ms, job.run_at_ms = new.delay_ms, new.run_at_ms
        self._move(job, JobState.BLOCKED)
        self.waiting.add_blocked(job)

    def _tell_children(self, parent: StoredJob) -> None:
        """Tell blocked jobs that this one has settled, as `resolve.lua` does."""
        for child in [one for one in self.waiting.blocked() if parent.id in one.open_parents]:
            if parent.state is JobState.SUCCEEDED or child.after_failure == "run":
                child.open_parents.remove(parent.id)
                if not child.open_parents:
                    self._unblock(child)
            elif parent.state is not JobState.DEAD or child.after_failure == "cancel":
                child.because_of = parent.id
                self._finish(child, JobState.CANCELLED, RETENTION_MS, f"parent_{parent.state}")

    def _unblock(self, job: StoredJob) -> None:
        run_at_ms = self._moment(job.delay_ms, job.run_at_ms)
        if run_at_ms is not None and run_at_ms > self._clock.now_ms:
            self._schedule(job, run_at_ms)
        else:
            job.run_at_ms = None
            self._make_ready(job)

    def _make_ready(self, job: StoredJob) -> None:
        self._move(job, JobState.QUEUED)
        job.ready_at_ms, job.token = self._clock.now_ms, ""
        self.waiting.add_ready(job)

    def _schedule(self, job: StoredJob, run_at_ms: int) -> None:
        self._move(job, JobState.SCHEDULED)
        job.run_at_ms, job.token = run_at_ms, ""
        self.waiting.add_scheduled(job)

    def _finish(self, job: StoredJob, state: JobState, ttl_ms: int, reason: str = "") -> None:
        self._move(job, state)
        now_ms = self._clock.now_ms
        job.finished_at_ms, job.forget_at_ms, job.token, job.reason = now_ms, now_ms + ttl_ms, "", reason
        job.open_parents = set()
        self._tell_children(job)

    def _bury(self, job: StoredJob, reason: str, error: JobError) -> None:
        self._move(job, JobState.DEAD)
        job.finished_at_ms, job.token, job.reason, job.error = self._clock.now_ms, "", reason, _encode(error)
        self.letters.setdefault(job.queue, []).append((next(self._numbers), job.id))
        self._tell_children(job)

    def _move(self, job: StoredJob, state: JobState) -> None:
        """Take a job from where it waits. Each transition has a version."""
        self.waiting.remove(job)
        job.state = state
        job.version += 1

    def _drop_letter(self, job: StoredJob) -> None:
        self.letters[job.queue] = [letter for letter in self.letters[job.queue] if letter[1] != job.id]

    def _not_dead(self, job_id: str) -> ActionCode | None:
        job = self.find(job_id)
        if job is None:
            return ActionCode.UNKNOWN_JOB
        return None if job.state is JobState.DEAD else ActionCode.WRONG_STATE

    def _moment(self, in_ms: int | None, at_ms: int | None) -> int | None:
        return at_ms if in_ms is None else self._clock.now_ms + in_ms

    def _remembered(self, queue: Queue, known: Idempotency, job_id: JobId) -> Enqueued | None:
        fingerprint, earlier, until_ms = self._keys.get((queue, known.key), ("", job_id, 0))
        if until_ms <= self._clock.now_ms:
            return None
        if fingerprint != known.fingerprint:
            return Enqueued(EnqueueCode.KEY_REUSED, earlier, self._clock.now_ms)
        code = EnqueueCode.STORED_BEFORE if earlier == job_id else EnqueueCode.REPLAYED
        return Enqueued(code, earlier, self._clock.now_ms)
