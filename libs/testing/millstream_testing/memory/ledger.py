"""The state machine of jobs in memory: each method is the transition of the script of the same name.

The rules of the transitions alone are written a second time here, because those of production are Lua. The suite
`tests/testing/conformance` holds that both are the same.
"""

import itertools

import msgspec

from millstream.durable.steps import FOR_EVER_MS
from millstream_contracts import (
    Calling,
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
    Waiting,
    limits,
)
from millstream_streams import (
    ActionCode,
    CommitCode,
    Delivery,
    EnqueueCode,
    Enqueued,
    Idempotency,
    NewJob,
    SignalCode,
    UniqueKey,
)
from millstream_streams.store.specs import read_error, read_spec
from millstream_testing.memory.caps import above_a_cap
from millstream_testing.memory.flows import Flows
from millstream_testing.memory.kit_batches import KitBatches
from millstream_testing.memory.limits_of_types import LimitsOfTypes
from millstream_testing.memory.memory_breaker import verdict_of
from millstream_testing.memory.stored_job import StoredJob
from millstream_testing.memory.unique_keys import UniqueKeys, can_be_replaced
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
        self.limits = LimitsOfTypes()
        self.waiting = WaitingJobs(clock, self.limits)
        self.letters: dict[Queue, list[tuple[int, JobId]]] = {}
        """The dead letters of each queue, oldest first, with the number of each."""
        self._clock = clock
        self._numbers = itertools.count(1)
        self.flows = Flows(clock)
        self.batches = KitBatches(clock, self.jobs)
        self._unique = UniqueKeys()
        self._keys: dict[tuple[Queue, bytes], tuple[str, JobId, int]] = {}

    def find(self, job_id: str) -> StoredJob | None:
        """Return a job that can still be read."""
        job = self.jobs.get(JobId(job_id))
        if job is None or (job.forget_at_ms is not None and job.forget_at_ms <= self._clock.now_ms):
            return None
        return job

    def enqueue(self, queue: Queue, new: NewJob, parent: JobId | None = None, *, is_capped: bool = False) -> Enqueued:
        """Store a new job; once by its id, and once by its idempotency key for a day.

        `is_capped` says that the cap of its type holds for it.
        """
        now_ms, known = self._clock.now_ms, new.idempotency
        if known and (earlier := self._remembered(queue, known, new.id)):
            return earlier
        if new.id in self.jobs:
            return Enqueued(EnqueueCode.STORED_BEFORE, new.id, now_ms)
        if is_capped and (refused := above_a_cap(self.limits.of(queue.type), self.waiting, queue, new, now_ms)):
            return refused
        replaced = None
        if new.unique and (holder := self._unique.holder(queue, new.unique, now_ms)):
            if new.unique.on_conflict != "replace" or not can_be_replaced(holder):
                return self._kept_out(queue, new, new.unique, holder.id)
            self._finish(holder, JobState.CANCELLED, RETENTION_MS, "replaced")
            replaced = holder.id
        job = self._stored(queue, new, parent)
        run_at_ms = self._moment(new.delay_ms, new.run_at_ms)
        if job.open_parents:
            self._block(job, new)
        is_due = run_at_ms is None or run_at_ms <= now_ms
        if not job.open_parents:
            self._make_ready(job) if is_due else self._schedule(job, run_at_ms or now_ms)
        self._remember(queue, known, job.id)
        due_ms = None if is_due or job.open_parents else run_at_ms
        return Enqueued(EnqueueCode.STORED, job.id, now_ms, due_ms, replaced=replaced)

    def _stored(self, queue: Queue, new: NewJob, parent: JobId | None) -> StoredJob:
        """Return a new job, which is in no state yet."""
        job = StoredJob(
            id=new.id,
            queue=queue,
            spec=new.spec,
            priority=new.priority,
            key=new.key,
            parent=parent,
            node=new.node,
            in_batch=new.batch is not None,
            unique=new.unique,
        )
        job.expires_at_ms = self._moment(new.expires_in_ms, new.expires_at_ms)
        job.asked_delay_ms = new.delay_ms
        if new.unique and new.unique.held_ms is not None:
            job.held_until_ms = self._clock.now_ms + new.unique.held_ms
        self.jobs[job.id] = job
        self.batches.join(new.batch, job.id)
        self._unique.take(job)
        if new.parents is not None:
            job.after, job.after_failure = new.parents.all, new.parents.after_failure
            job.open_parents = {one for one in new.parents.open if one in self.jobs}
        return job

    def _kept_out(self, queue: Queue, new: NewJob, unique: UniqueKey, holder: JobId) -> Enqueued:
        """Return the answer for a job whose unique key another one holds."""
        code = EnqueueCode.RETURNED if unique.on_conflict == "return" else EnqueueCode.UNIQUE_CONFLICT
        if code is EnqueueCode.RETURNED:
            self._remember(queue, new.idempotency, holder)
        return Enqueued(code, holder, self._clock.now_ms)

    def _remember(self, queue: Queue, known: Idempotency | None, job_id: JobId) -> None:
        if known:
            until_ms = self._clock.now_ms + limits.IDEMPOTENCY_TTL_S * 1000
            self._keys[queue, known.key] = known.fingerprint, job_id, until_ms

    def claim(self, job: StoredJob, *, worker: str, nonce: str) -> Delivery | None:
        """Hand a ready job to a worker; None for one that has not started in time and expires by this."""
        now_ms = self._clock.now_ms
        if job.expires_at_ms is not None and job.expires_at_ms <= now_ms:
            self._finish(job, JobState.EXPIRED, RETENTION_MS)
            return None
        self.limits.of(job.queue.type).start(job, now_ms)
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
        is_cancelled = job.cancel_asked_at_ms is not None
        self._free(job, verdict_of(outcome, is_cancelled=is_cancelled))
        return self._hand_back(job) if isinstance(outcome, HandedBack) else self._conclude(job, outcome, ttl_ms)

    def recover(self, job: StoredJob, *, max_crashes: int) -> None:
        """Take back a delivery whose worker is lost, and bury the job if that happened too often."""
        job.crashes += 1
        self._free(job, -1)
        if job.cancel_asked_at_ms is not None:
            self._finish(job, JobState.CANCELLED, RETENTION_MS, "cancelled")
        elif job.crashes >= max_crashes:
            message = f"the worker vanished {job.crashes} times while running this job"
            self._bury(job, "crashed", JobError("crashed", message, "crashed", attempt=job.attempts + 1))
        else:
            self._make_ready(job)

    def release_due(self) -> None:
        """Make the jobs ready whose time has come."""
        for job in self.waiting.due(self._clock.now_ms):
            self._release(job)

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

    def run_now(self, job_id: str) -> ActionCode:
        """Make a job ready before its time."""
        job = self.find(job_id)
        if job is None:
            return ActionCode.UNKNOWN_JOB
        if job.state in {JobState.QUEUED, JobState.RUNNING}:
            return ActionCode.DONE_BEFORE
        if job.state is not JobState.SCHEDULED:
            return ActionCode.WRONG_STATE
        job.run_at_ms = None
        self._release(job)
        return ActionCode.DONE

    def set_priority(self, job_id: str, priority: Priority) -> ActionCode:
        """Give a job that has not started another priority; a ready one stands behind the others of that."""
        job = self.find(job_id)
        if job is None:
            return ActionCode.UNKNOWN_JOB
        if job.state not in {JobState.BLOCKED, JobState.SCHEDULED, JobState.QUEUED}:
            return ActionCode.WRONG_STATE
        if job.priority is priority:
            return ActionCode.DONE_BEFORE
        is_ready = job.state is JobState.QUEUED
        if is_ready:
            self.waiting.remove(job)
        job.priority = priority
        job.version += 1
        job.progress = b""
        if is_ready:
            self.waiting.add_ready(job)
        return ActionCode.DONE

    def redrive(self, job_id: str, *, fresh: bool = False) -> ActionCode:
        """Make a dead job ready, with attempts and crashes counted from zero and no expiry."""
        if code := self._not_dead(job_id):
            return code
        job = self.jobs[JobId(job_id)]
        if not self._unique.take_again(job, self._clock.now_ms):
            return ActionCode.UNIQUE_CONFLICT
        self._drop_letter(job)
        job.attempts = job.crashes = 0
        job.finished_at_ms = job.cancel_asked_at_ms = job.expires_at_ms = job.run_at_ms = None
        job.reason, job.because_of, job.progress = "", "", b""
        if fresh:
            job.steps, job.signals = {}, []
        self._make_ready(job)
        self.flows.note(job)
        self.batches.note(job)
        return ActionCode.DONE

    def discard(self, job_id: str) -> ActionCode:
        """Let a dead job go."""
        if code := self._not_dead(job_id):
            return code
        job = self.jobs[JobId(job_id)]
        self._drop_letter(job)
        self._finish(job, JobState.CANCELLED, RETENTION_MS, "discarded")
        return ActionCode.DONE

    def signal(self, job_id: str, name: str, payload: bytes, known: Idempotency | None = None) -> SignalCode:
        """Keep a signal for a job, which becomes ready if it waits for it."""
        job = self.find(job_id)
        if known and job and (earlier := self._remembered(job.queue, known, job.id)):
            return SignalCode.KEY_REUSED if earlier.code is EnqueueCode.KEY_REUSED else SignalCode.REPLAYED
        if job is None:
            return SignalCode.UNKNOWN_JOB
        if job.state.is_settled and job.state is not JobState.DEAD:
            return SignalCode.ENDED
        if len(job.signals) >= limits.MAX_KEPT_SIGNALS:
            return SignalCode.TOO_MANY
        job.signals = [*job.signals, (name, payload)]
        self._remember(job.queue, known, job.id)
        if job.state is not JobState.SCHEDULED or job.waiting_for != name:
            return SignalCode.KEPT
        job.run_at_ms = None
        self._make_ready(job)
        return SignalCode.DELIVERED

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
        else:
            self._go_on(job, outcome)
        return CommitCode.COMMITTED

    def _go_on(self, job: StoredJob, outcome: Outcome) -> None:
        """Make the transition of a job that is delivered again."""
        match outcome:
            case RetryAt(after_ms, error):
                job.error = _encode(error)
                self._postpone(job, after_ms)
            case Snoozed(after_ms, gate):
                if gate is not None:
                    held_ms = min(after_ms, round(limits.MAX_HOLD_S * 1000))
                    self.waiting.hold(job, gate, self._clock.now_ms + held_ms)
                self._postpone(job, after_ms)
            case Waiting():
                self._wait(job, outcome)
            case Calling():
                self._call(job, outcome)

    def _free(self, job: StoredJob, verdict: int) -> None:
        self.limits.of(job.queue.type).end(job.id, verdict, self._clock.now_ms)

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

    def _wait(self, job: StoredJob, outcome: Waiting) -> None:
        """Wait for a signal, unless it has come meanwhile."""
        has_come = any(name == outcome.signal for name, _ in job.signals)
        self._postpone(job, 0 if has_come else outcome.after_ms)
        job.waiting_for = "" if has_come else outcome.signal
        job.waits_for_ever = not has_come and outcome.after_ms >= FOR_EVER_MS

    def _call(self, job: StoredJob, outcome: Calling) -> None:
        """Wait for the jobs that a handler has called and that have not settled."""
        found = {one: self.find(one) for one in outcome.jobs}
        job.open_parents = {one for one, called in found.items() if called and not called.state.is_settled}
        job.token = ""
        if job.open_parents:
            self._move(job, JobState.BLOCKED)
            job.calls = True
            self.waiting.add_blocked(job)
        else:
            self._make_ready(job)

    def _block(self, job: StoredJob, new: NewJob) -> None:
        job.delay_ms, job.run_at_ms = new.delay_ms, new.run_at_ms
        self._move(job, JobState.BLOCKED)
        self.waiting.add_blocked(job)

    def _tell_children(self, parent: StoredJob) -> None:
        """Tell blocked jobs that this one has settled, as `resolve.lua` does."""
        for child in [one for one in self.waiting.blocked() if parent.id in one.open_parents]:
            if parent.state is JobState.SUCCEEDED or child.after_failure == "run" or child.calls:
                child.open_parents.remove(parent.id)
                if not child.open_parents:
                    self._unblock(child)
            elif parent.state is not JobState.DEAD or child.after_failure == "cancel":
                child.because_of = parent.id
                self._finish(child, JobState.CANCELLED, RETENTION_MS, f"parent_{parent.state}")

    def _unblock(self, job: StoredJob) -> None:
        run_at_ms = None if job.calls else self._moment(job.delay_ms, job.run_at_ms)
        job.calls = False
        if run_at_ms is not None and run_at_ms > self._clock.now_ms:
            self._schedule(job, run_at_ms)
        else:
            job.run_at_ms = None
            self._make_ready(job)

    def _make_ready(self, job: StoredJob) -> None:
        self._move(job, JobState.QUEUED)
        job.ready_at_ms, job.token = self._clock.now_ms, ""
        self.waiting.add_ready(job)

    def _release(self, job: StoredJob) -> None:
        if job.expires_at_ms is not None and job.expires_at_ms <= self._clock.now_ms:
            self._finish(job, JobState.EXPIRED, RETENTION_MS)
        else:
            self._make_ready(job)

    def _schedule(self, job: StoredJob, run_at_ms: int) -> None:
        self._move(job, JobState.SCHEDULED)
        job.run_at_ms, job.token = run_at_ms, ""
        self.waiting.add_scheduled(job)

    def _finish(self, job: StoredJob, state: JobState, ttl_ms: int, reason: str = "") -> None:
        self._move(job, state)
        now_ms = self._clock.now_ms
        if state is JobState.SUCCEEDED and job.held_until_ms is not None:
            ttl_ms = max(ttl_ms, job.held_until_ms - now_ms)
        job.finished_at_ms, job.forget_at_ms, job.token, job.reason = now_ms, now_ms + ttl_ms, "", reason
        job.open_parents, job.steps, job.signals = set(), {}, []
        self._tell_children(job)
        self.flows.note(job)
        self.batches.note(job)

    def _bury(self, job: StoredJob, reason: str, error: JobError) -> None:
        self._move(job, JobState.DEAD)
        job.finished_at_ms, job.token, job.reason, job.error = self._clock.now_ms, "", reason, _encode(error)
        self.letters.setdefault(job.queue, []).append((next(self._numbers), job.id))
        self._tell_children(job)
        self.flows.note(job)
        self.batches.note(job)

    def _move(self, job: StoredJob, state: JobState) -> None:
        """Take a job from where it waits. Each transition has a version."""
        self.waiting.remove(job)
        job.state, job.waiting_for, job.waits_for_ever = state, "", False
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
