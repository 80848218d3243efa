"""Answers what clients ask about batches in a test, as ingest does."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from millstream_contracts import (
    DEFAULT_TENANT,
    UNDECODABLE,
    BatchEvent,
    BatchId,
    BatchMember,
    BatchMemberPage,
    BatchPage,
    BatchState,
    BatchStatus,
    BatchSubmission,
    JobId,
    JobType,
    MemberState,
    Queue,
)
from millstream_contracts.ids import new_job_id
from millstream_streams import Enqueued
from millstream_submission import MSGPACK, SubmissionError, queue_for
from millstream_testing.memory.kit_batches import Callback, KitBatch
from millstream_testing.memory.ledger import Ledger
from millstream_testing.running.job_runner import JobRunner
from millstream_testing.running.parts import RunnerParts
from millstream_testing.surface.refusals import RefusedError, refusal
from millstream_testing.virtual_clock import VirtualClock

Store = Callable[[bytes, str, str], Awaitable[Enqueued]]
"""Stores a submission under an idempotency key, with the prefix of its place in the request. Raises: RefusedError."""

_decode = msgspec.msgpack.Decoder(BatchSubmission).decode
_encode = msgspec.msgpack.encode


class BatchDesk:
    """The batches of a test. Every method may raise RefusedError."""

    def __init__(
        self, parts: RunnerParts, ledger: Ledger, runner: JobRunner, clock: VirtualClock, store: Store
    ) -> None:
        self._parts = parts
        self._batches = ledger.batches
        self._runner = runner
        self._clock = clock
        self._store = store
        self._keys: dict[str, tuple[bytes, BatchId]] = {}

    async def create(self, content: bytes, key: str) -> BatchStatus:
        """Make a batch with its first members. All of it is checked before."""
        digest = hashlib.blake2b(content).digest()
        if known := self._keys.get(key):
            if known[0] != digest:
                raise RefusedError(422, "idempotency-key-reused")
            return self.shown(known[1])
        try:
            asked = _decode(content)
        except UNDECODABLE as error:
            raise RefusedError(422, "invalid-request", str(error)) from error
        if not asked.jobs and not asked.open:
            raise RefusedError(422, "invalid-request", "a batch without `jobs` has to be open")
        callbacks = {event: await self._callback(event, raw) for event in BatchEvent if (raw := _content(asked, event))}
        jobs = [bytes(one) for one in asked.jobs or ()]
        await self._check(jobs)
        batch = self._new(asked, callbacks)
        self._keys[key] = digest, batch.id
        for index, job in enumerate(jobs):
            self._batches.join(batch.id, (await self._store(job, f"{key}#{index}", f"/jobs/{index}")).id)
        if not asked.open:
            await self._closed(batch)
        return self._batches.shown(batch)

    def member_store(self, batch_id: str, by: str | None) -> Store:
        """Return what stores members of a batch."""
        batch = self._found(batch_id)
        may_add = by is not None and self._batches.of_job.get(JobId(by)) is batch
        if not batch.is_open and not (may_add and self._batches.member_state(JobId(by or "")) is MemberState.PENDING):
            detail = f"the batch is {self._batches.state_of(batch)}: only a member that has not ended adds to it"
            raise RefusedError(409, "batch-closed", detail)

        async def store(content: bytes, key: str, prefix: str) -> Enqueued:
            stored = await self._store(content, key, prefix)
            self._batches.join(batch.id, stored.id)
            return stored

        return store

    async def read(self, batch_id: str, wait_s: float) -> BatchStatus:
        """Return a batch; what keeps it going runs for `wait_s` at most."""
        batch = self._found(batch_id)
        if wait_s > 0:
            await self._runner.follow_batch(batch, self._clock.now_ms + round(wait_s * 1000))
        return self._batches.shown(batch)

    def settled_of(self, batch_id: str) -> set[JobId]:
        """Return the members of a batch that have settled: a test that waits for it has seen their ends."""
        members = self._found(batch_id).members
        return {one for one in members if self._batches.member_state(one) is not MemberState.PENDING}

    def page(self, state: str | None) -> BatchPage:
        """Return the batches, newest first."""
        found = [self._batches.shown(one) for one in reversed(self._batches.all.values())]
        return BatchPage(items=[one for one in found if state in {None, one.state}])

    def members(self, batch_id: str, state: str | None) -> BatchMemberPage:
        """Return the members of a batch."""
        rows = [BatchMember(job=one, state=self._batches.member_state(one)) for one in self._found(batch_id).members]
        return BatchMemberPage(items=[one for one in rows if state in {None, one.state}])

    async def close(self, batch_id: str) -> BatchStatus:
        """Close a batch."""
        batch = self._found(batch_id)
        await self._closed(batch)
        return self._batches.shown(batch)

    async def cancel(self, batch_id: str) -> BatchStatus:
        """Cancel the members of a batch that have not ended."""
        batch = self._found(batch_id)
        state = self._batches.state_of(batch)
        if state.is_terminal or state is BatchState.CANCELLING:
            raise RefusedError(409, "wrong-state", f"the batch is {state}, and can be cancelled no more")
        batch.is_open, batch.is_cancelled, batch.reason = False, True, "over the API"
        for job_id in list(batch.members):
            if self._batches.member_state(job_id) is MemberState.PENDING:
                await self._runner.cancel(job_id)
        self._batches.settle(batch)
        await self._runner.start_nodes()
        return self._batches.shown(batch)

    def shown(self, batch_id: str) -> BatchStatus:
        """Return a batch."""
        return self._batches.shown(self._found(batch_id))

    async def _closed(self, batch: KitBatch) -> None:
        self._batches.close(batch)
        await self._runner.start_nodes()

    def _found(self, batch_id: str) -> KitBatch:
        batch = self._batches.all.get(BatchId(batch_id))
        if batch is None:
            raise RefusedError(404, "batch-not-found", f"there is no batch `{batch_id[:64]}`")
        return batch

    def _new(self, asked: BatchSubmission, callbacks: dict[BatchEvent, Callback]) -> KitBatch:
        now_ms = self._clock.now_ms
        number = new_job_id(Queue(DEFAULT_TENANT, JobType("ba")), now_ms)
        batch = KitBatch(
            id=BatchId("BA" + number.removeprefix("ba")),
            name=asked.name,
            callbacks=callbacks,
            created_ms=now_ms,
            expires_ms=now_ms + round(asked.expires_in_s * 1000),
            retention_s=asked.retention_s,
        )
        self._batches.all[batch.id] = batch
        return batch

    async def _callback(self, event: BatchEvent, content: bytes) -> Callback:
        intake, prefix = self._parts.intake, f"/{event.value}"
        try:
            decoded = await intake.decode(DEFAULT_TENANT, content, MSGPACK, prefix)
            policy = await intake.admit(DEFAULT_TENANT, decoded, prefix)
        except SubmissionError as error:
            raise refusal(error) from error
        queue = queue_for(DEFAULT_TENANT, decoded, policy, None)
        submission = replace(decoded.submission, payload=Raw(decoded.payload))
        return Callback(job=new_job_id(queue, self._clock.now_ms), content=_encode(submission))

    async def _check(self, jobs: Sequence[bytes]) -> None:
        for index, content in enumerate(jobs):
            prefix = f"/jobs/{index}"
            try:
                decoded = await self._parts.intake.decode(DEFAULT_TENANT, content, MSGPACK, prefix)
                await self._parts.intake.admit(DEFAULT_TENANT, decoded, prefix)
            except SubmissionError as error:
                raise refusal(error) from error


def _content(asked: BatchSubmission, event: BatchEvent) -> bytes:
    return bytes(getattr(asked, event.value))
