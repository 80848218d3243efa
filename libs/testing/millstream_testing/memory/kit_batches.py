"""Follows the members of batches: which callbacks have fired, and where each batch is."""

from collections import Counter
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from millstream_contracts import (
    BatchCallbackStatus,
    BatchEvent,
    BatchId,
    BatchState,
    BatchStatus,
    FiredBatch,
    JobId,
    JobState,
    MemberState,
    moment,
)
from millstream_testing.memory.stored_job import StoredJob
from millstream_testing.virtual_clock import VirtualClock

_MEMBER_STATES = {
    JobState.SUCCEEDED: MemberState.SUCCEEDED,
    JobState.DEAD: MemberState.DEAD,
    JobState.CANCELLED: MemberState.CANCELLED,
    JobState.EXPIRED: MemberState.EXPIRED,
}


class Callback(Struct, kw_only=True):
    """A job that a batch submits for an event."""

    job: JobId
    content: bytes
    """Its submission in MessagePack."""
    fired: FiredBatch | None = None
    is_submitted: bool = False
    reason: str | None = None
    """Why it was refused."""


class KitBatch(Struct, kw_only=True):
    """A batch that a client of the test has made."""

    id: BatchId
    name: str
    callbacks: dict[BatchEvent, Callback]
    created_ms: int
    expires_ms: int
    retention_s: float
    members: list[JobId] = msgspec.field(default_factory=list)
    is_open: bool = True
    is_cancelled: bool = False
    reason: str | None = None
    finished_ms: int | None = None


class KitBatches:
    """The batches of a test. `jobs` are all jobs by their ids."""

    def __init__(self, clock: VirtualClock, jobs: Mapping[JobId, StoredJob]) -> None:
        self.all: dict[BatchId, KitBatch] = {}
        self.of_job: dict[JobId, KitBatch] = {}
        self.ready: list[Callback] = []
        """The callbacks that have fired, and whose jobs are yet to be stored."""
        self._clock = clock
        self._jobs = jobs

    def join(self, batch_id: BatchId | None, job_id: JobId) -> None:
        """Make a job a member. Of a batch that no client has made nothing is followed."""
        batch = self.all.get(batch_id) if batch_id is not None else None
        if batch is not None and job_id not in self.of_job:
            self.of_job[job_id] = batch
            batch.members.append(job_id)

    def note(self, job: StoredJob) -> None:
        """Draw what follows from the state that a job has now."""
        if batch := self.of_job.get(job.id):
            self.settle(batch)

    def settle(self, batch: KitBatch) -> None:
        """Fire the callbacks whose events have come, each once, and note the end of the batch."""
        counts = self.counts_of(batch)
        if counts[MemberState.DEAD]:
            self._fire(batch, BatchEvent.DEATH, counts)
        if batch.is_open or counts[MemberState.PENDING]:
            batch.finished_ms = None
            return
        self._fire(batch, BatchEvent.COMPLETE, counts)
        if counts[MemberState.SUCCEEDED] == len(batch.members):
            self._fire(batch, BatchEvent.SUCCESS, counts)
        if batch.finished_ms is None and self.state_of(batch).is_terminal:
            batch.finished_ms = self._clock.now_ms

    def close(self, batch: KitBatch, reason: str | None = None) -> None:
        """Let a batch take no more members, except from its members."""
        if batch.is_open:
            batch.is_open, batch.reason = False, reason
            self.settle(batch)

    def expire(self) -> None:
        """Close the batches whose time is over."""
        for batch in self.all.values():
            if batch.is_open and batch.expires_ms <= self._clock.now_ms:
                self.close(batch, "expired")

    def counts_of(self, batch: KitBatch) -> Counter[MemberState]:
        """Return how many members are in which state."""
        return Counter(self.member_state(job_id) for job_id in batch.members)

    def member_state(self, job_id: JobId) -> MemberState:
        """Return the state of a member."""
        return _MEMBER_STATES.get(self._jobs[job_id].state, MemberState.PENDING)

    def state_of(self, batch: KitBatch) -> BatchState:
        """Return where a batch is."""
        counts = self.counts_of(batch)
        if batch.is_open:
            return BatchState.OPEN
        if counts[MemberState.PENDING]:
            return BatchState.CANCELLING if batch.is_cancelled else BatchState.RUNNING
        if batch.is_cancelled:
            return BatchState.CANCELLED
        if counts[MemberState.DEAD]:
            return BatchState.STALLED
        return BatchState.SUCCEEDED if counts[MemberState.SUCCEEDED] == len(batch.members) else BatchState.FAILED

    def shown(self, batch: KitBatch) -> BatchStatus:
        """Return a batch as the API shows it."""
        return BatchStatus(
            id=batch.id,
            name=batch.name,
            state=self.state_of(batch),
            total=len(batch.members),
            counts={state: number for state, number in self.counts_of(batch).items() if number},
            callbacks={
                event: BatchCallbackStatus(
                    job=one.job, fired=one.fired is not None, submitted=one.is_submitted, reason=one.reason
                )
                for event, one in batch.callbacks.items()
            },
            created_at=moment(batch.created_ms),
            expires_at=moment(batch.expires_ms) if batch.is_open else None,
            finished_at=None if batch.finished_ms is None else moment(batch.finished_ms),
            retention_s=batch.retention_s,
            reason=batch.reason,
        )

    def _fire(self, batch: KitBatch, event: BatchEvent, counts: Mapping[MemberState, int]) -> None:
        callback = batch.callbacks.get(event)
        if callback is not None and callback.fired is None:
            told = {state: number for state, number in counts.items() if number}
            callback.fired = FiredBatch(id=batch.id, name=batch.name, event=event, counts=told)
            self.ready.append(callback)
