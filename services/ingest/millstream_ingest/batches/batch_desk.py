"""What routes ask about batches: make, list, read, add members, close, cancel."""

import re
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from millstream_contracts import (
    BatchId,
    BatchMemberPage,
    BatchPage,
    BatchReceipt,
    BatchState,
    BatchStatus,
    MemberState,
    Tenant,
    new_job_id,
)
from millstream_ingest.batches.read_batch import ReadBatch, read_batch
from millstream_ingest.batches.shown_batch import shown, shown_member
from millstream_ingest.http.allowed_types import check_type
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.negotiation import BatchFormat, Encoding
from millstream_ingest.http.problems import BATCH_CLOSED, BATCH_NOT_FOUND, JOB_FORGOTTEN, WRONG_STATE
from millstream_ingest.inspection.name_pages import cursor_at, read_place
from millstream_ingest.submission.batch import BatchSubmitter
from millstream_ingest.submission.batch_request import BatchRequest
from millstream_ingest.submission.idempotency import IdempotencyKey, reused
from millstream_streams import (
    ActionCode,
    BatchCreated,
    Broker,
    CreateCode,
    NewBatch,
    NewCallback,
    StoredBatch,
    StoreError,
)
from millstream_submission import BacklogFullError, Intake, Membership, queue_for
from millstream_telemetry import JobTracer, TraceContext

_BATCH = re.compile(r"\d{1,16}(?:\.\d{1,9})? BA_[0-9a-f]{2}[0-9A-Z]{26}", re.ASCII)
_MEMBER = re.compile(r"\d{1,16}(?:\.\d{1,9})? [a-z0-9][a-z0-9.-]{0,63}_[0-9a-f]{2}[0-9A-Z]{26}", re.ASCII)


class AcceptedBatch(Struct, frozen=True):
    """A batch that is stored."""

    status: BatchStatus
    jobs: int
    """How many jobs came with it."""
    replayed: bool = False
    """Whether an earlier request with the same key made it."""


class BatchDesk:
    """The batches of all tenants. Every method may raise StoreError."""

    def __init__(self, broker: Broker, intake: Intake, submitter: BatchSubmitter, tracer: JobTracer) -> None:
        self._broker = broker
        self._batches = broker.batches
        self._intake = intake
        self._submitter = submitter
        self._tracer = tracer

    async def create(
        self,
        tenant: Tenant,
        body: bytes,
        encoding: Encoding,
        *,
        caller: TraceContext,
        key: IdempotencyKey | None,
        count: Callable[[int], Awaitable[None]],
        owner: str = "",
        types: Sequence[str] = (),
    ) -> AcceptedBatch:
        """Make the batch that a body describes, with its first members. All of it is checked before.

        `count` is called with the number of its jobs, and may refuse them. `owner` is who submits it. `types`
        are the patterns that the types of its jobs and callbacks have to match, where there are any.
        Raises: SubmissionError, BacklogFullError, IngestError (403, 410, 422), and what `count` raises.
        """
        read = await read_batch(self._intake, tenant, body, encoding)
        for event, callback in read.callbacks.items():
            check_type(types, callback.decoded.submission.type, f"/{event.value}/type")
        await count(len(read.jobs))
        format = BatchFormat(encoding, False)
        request = BatchRequest(tenant, read.jobs, format, caller=caller, key=key, strict=True, types=types, owner=owner)
        checked = await self._submitter.check(request)
        created = await self._create(tenant, read, caller, key, owner)
        replayed = created.code is CreateCode.REPLAYED
        found = (await self._batches.read(tenant, [created.id])).get(created.id)
        if found is None:
            detail = f"this key made the batch {created.id}, which has ended and can be read no longer"
            raise IngestError(JOB_FORGOTTEN, detail)
        # A repetition goes on where the first request was cut short.
        if read.jobs and found.state is BatchState.OPEN:
            try:
                await self._submitter.store_all(checked.as_members(Membership(created.id)))
            except (IngestError, StoreError, BacklogFullError):
                if key is None:
                    await self._give_up(tenant, created.id)
                raise
        if not read.submission.open:
            await self._batches.close(tenant, created.id)
        return AcceptedBatch(await self.find(tenant, created.id), len(read.jobs), replayed)

    async def page(
        self, tenant: Tenant, state: BatchState | None, *, cursor: str | None, limit: int, owner: str | None = None
    ) -> BatchPage:
        """Return a page of batches, newest first; with an `owner`, of those that it has made. Raises: CursorError."""
        states = None if state is None else frozenset({state})
        found, following = await self._batches.page(
            tenant, states=states, owner=owner, start=read_place(cursor, _BATCH), limit=limit
        )
        return BatchPage(items=[shown(one) for one in found], next_cursor=cursor_at(following))

    async def find(self, tenant: Tenant, batch_id: BatchId) -> BatchStatus:
        """Return a batch. Raises: IngestError (404)."""
        return shown(await self._stored(tenant, batch_id))

    async def members(
        self, tenant: Tenant, batch_id: BatchId, state: MemberState | None, *, cursor: str | None, limit: int
    ) -> BatchMemberPage:
        """Return a page of the members of a batch. Raises: IngestError (404), CursorError."""
        start = read_place(cursor, _MEMBER)
        await self._stored(tenant, batch_id)
        states = None if state is None else frozenset({state})
        found, following = await self._batches.members(tenant, batch_id, states=states, start=start, limit=limit)
        return BatchMemberPage(items=[shown_member(one) for one in found], next_cursor=cursor_at(following))

    async def add(self, request: BatchRequest, membership: Membership) -> BatchReceipt:
        """Submit jobs as members of a batch, and say of each what became of it.

        Raises: IngestError (404, 409; 422 when a strict request has a bad job); StoreUnavailableError, when Redis took
        none of them.
        """
        found = await self._stored(request.tenant, membership.batch)
        if found.state is not BatchState.OPEN and membership.by is None:
            raise IngestError(BATCH_CLOSED, f"the batch is {found.state}: only a member that has not ended adds to it")
        checked = await self._submitter.check(request)
        return await self._submitter.store(checked.as_members(membership))

    async def close(self, tenant: Tenant, batch_id: BatchId) -> BatchStatus:
        """Close a batch. One that is closed stays as it is. Raises: IngestError (404)."""
        await self._stored(tenant, batch_id)
        if await self._batches.close(tenant, batch_id) is ActionCode.UNKNOWN_JOB:
            raise _unknown(batch_id)
        return await self.find(tenant, batch_id)

    async def cancel(self, tenant: Tenant, batch_id: BatchId) -> BatchStatus:
        """Cancel the members of a batch that have not ended. Raises: IngestError (404, 409)."""
        await self._stored(tenant, batch_id)
        code = await self._batches.cancel(tenant, batch_id, "over the API")
        if code is ActionCode.UNKNOWN_JOB:
            raise _unknown(batch_id)
        found = await self.find(tenant, batch_id)
        if code is ActionCode.WRONG_STATE:
            raise IngestError(WRONG_STATE, f"the batch is {found.state}, and can be cancelled no more")
        return found

    async def _create(
        self, tenant: Tenant, read: ReadBatch, caller: TraceContext, key: IdempotencyKey | None, owner: str
    ) -> BatchCreated:
        """Store a batch without members. Raises: IngestError (422)."""
        identity = key.of_request(*read.identity) if key else None
        batch_id = self._batches.id_of(tenant, identity.key) if identity else self._batches.new_id(tenant)
        submission, now_ms = read.submission, self._broker.clock.now_ms()
        send = self._tracer.send_batch(submission.name, batch_id, caller, tenant=tenant)
        callbacks = {}
        for event, callback in read.callbacks.items():
            queue = queue_for(tenant, callback.decoded, callback.policy, None)
            callbacks[event] = NewCallback(queue, new_job_id(queue, now_ms), callback.content)
        new = NewBatch(
            id=batch_id,
            name=submission.name,
            is_open=True,
            callbacks=callbacks,
            expires_at_ms=now_ms + round(submission.expires_in_s * 1000),
            retention_ms=round(submission.retention_s * 1000),
            trace=send.context.traceparent,
            idempotency=identity,
            owner=owner,
        )
        created = await self._batches.create(tenant, new)
        if created.code is CreateCode.KEY_REUSED:
            raise reused()
        if created.code is CreateCode.STORED:
            send.stored()
        return created

    async def _give_up(self, tenant: Tenant, batch_id: BatchId) -> None:
        """Cancel a batch whose jobs could not be stored, and that no repetition of its request would find again."""
        try:
            await self._batches.cancel(tenant, batch_id, "its jobs could not be stored")
        except StoreError:
            return  # it closes itself later

    async def _stored(self, tenant: Tenant, batch_id: BatchId) -> StoredBatch:
        found = (await self._batches.read(tenant, [batch_id])).get(batch_id)
        if found is None:
            raise _unknown(batch_id)
        return found


def _unknown(batch_id: str) -> IngestError:
    return IngestError(BATCH_NOT_FOUND, f"there is no batch `{batch_id[:64]}`")
