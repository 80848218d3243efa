"""Batches in Redis: what there is, which jobs are followed, and what their callbacks submit.

They lie in shards, each in a slot of its own. See scripts/_batches.lua for their keys.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from millstream_contracts import BatchId, BatchState, JobId, MemberState, Queue, Tenant, limits
from millstream_streams.batches.member_reader import MemberReader
from millstream_streams.batches.new_batch import NewBatch, fields_of_new
from millstream_streams.batches.stored_batch import (
    BatchCheck,
    BatchCreated,
    BatchTask,
    Member,
    PromiseCode,
    Promised,
    StoredBatch,
    TakenBatchTasks,
    read_batch,
    read_check,
    read_task,
)
from millstream_streams.connection.connections import Client
from millstream_streams.connection.replies import fields_of
from millstream_streams.store.deliveries import ActionCode
from millstream_streams.store.flow_shards import (
    BATCH_KIND,
    CHECK_AGAIN_AT_MOST_S,
    CHECK_AGAIN_S,
    CHECK_LEASE_S,
    TASK_LEASE_S,
    FlowShards,
)
from millstream_streams.store.flow_values import CreateCode, FlowNews
from millstream_streams.store.keys import Keys
from millstream_streams.store.scripting import Argument
from millstream_streams.store.specs import read_wait

PROMISE_LEASE_S = 15.0
"""How long a promise of members lasts. One that has run out is looked up."""

PROMISED_FOR_S = 11.0
"""For how long of it the jobs may be stored. The rest is for clocks of servers that differ, as in ADR 74."""

MAX_PROMISED = 1_000
"""Members that are promised or confirmed by one call: a script must not stand still for long."""


class Batches:
    """Reads and changes batches. Every method may raise StoreUnavailableError, StoreFullError or StoreError."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._shards = FlowShards(client, keys, BATCH_KIND, patience_s=patience_s)
        self._members = MemberReader(self._shards.ask, keys)

    def new_id(self, tenant: Tenant, at_ms: int | None = None) -> BatchId:
        """Return a fresh id, made at this time: Unix ms by the clock of Redis, or else our own."""
        return BatchId(self._shards.new_id(tenant, at_ms))

    def id_of(self, tenant: Tenant, key: bytes) -> BatchId:
        """Return the id that a batch with an idempotency key has; `key` is a digest of 16 bytes or more."""
        return BatchId(self._shards.id_of(tenant, key))

    async def shards(self) -> list[Queue]:
        """Return the shards of all tenants that were ever used, sorted."""
        return await self._shards.used()

    async def create(self, tenant: Tenant, new: NewBatch) -> BatchCreated:
        """Store a batch without members. One that is not open has ended by this."""
        shard = self._shards.of(tenant, new.id)
        await self._shards.make_known(shard)
        fingerprint = new.idempotency.fingerprint if new.idempotency else ""
        head: list[Argument] = [new.id, fingerprint, limits.IDEMPOTENCY_TTL_S * 1000, "1" if new.is_open else ""]
        code = int(await self._shards.run("create", shard, [*head, new.expires_at_ms, fields_of_new(new)]))
        if code == CreateCode.REPLAYED and not fingerprint:
            code = CreateCode.STORED  # by a try of this call whose response was lost
        return BatchCreated(new.id, CreateCode(code))

    async def promise(
        self,
        tenant: Tenant,
        batch_id: BatchId,
        ids: Sequence[JobId],
        *,
        by: JobId | None = None,
        lease_s: float = PROMISE_LEASE_S,
    ) -> Promised:
        """Promise members, whose jobs the caller stores next, within the time that is answered or never.

        `by` is the member that adds them: until it has ended, it may do so after the batch was closed too.
        All of them are promised or none. At most :data:`MAX_PROMISED` a call (else ValueError).
        """
        _check_size(ids)
        shard = self._shards.find(tenant, batch_id)
        if shard is None:
            return Promised(PromiseCode.NOT_FOUND)
        arguments: list[Argument] = [batch_id, round(lease_s * 1000), limits.MAX_BATCH_MEMBERS, by or "", *ids]
        code = PromiseCode(int(await self._shards.run("promise", shard, arguments)))
        return Promised(code, round(PROMISED_FOR_S * 1000))

    async def confirm(
        self,
        tenant: Tenant,
        batch_id: BatchId,
        *,
        stored: Sequence[JobId] = (),
        absent: Sequence[JobId] = (),
        run_out: Sequence[tuple[JobId, int]] = (),
        lost: Sequence[JobId] = (),
    ) -> int:
        """Note what became of promised members: their jobs are stored, or never were.

        `run_out` are not there, each with the Unix ms at which its promise ended; `lost` are members whose jobs are
        gone, which Redis has lost. Returns: how many of these there are.
        """
        words = [(one, "stored") for one in stored] + [(one, "absent") for one in absent]
        words += [(one, str(at_ms)) for one, at_ms in run_out] + [(one, "lost") for one in lost]
        _check_size(words)
        shard = self._shards.find(tenant, batch_id)
        if shard is None or not words:
            return 0
        arguments: list[Argument] = [batch_id]
        for word in words:
            arguments += word
        return int(await self._shards.run("confirm", shard, arguments))

    async def close(self, tenant: Tenant, batch_id: BatchId) -> ActionCode:
        """Close a batch. DONE_BEFORE: it was closed already."""
        shard = self._shards.find(tenant, batch_id)
        if shard is None:
            return ActionCode.UNKNOWN_JOB
        return ActionCode(int(await self._shards.run("close", shard, [batch_id])))

    async def cancel(self, tenant: Tenant, batch_id: BatchId, reason: str = "cancelled") -> ActionCode:
        """Cancel a batch. REQUESTED: it takes no more members, and the jobs of those it has are asked to stop."""
        shard = self._shards.find(tenant, batch_id)
        if shard is None:
            return ActionCode.UNKNOWN_JOB
        return ActionCode(int(await self._shards.run("cancel", shard, [batch_id, reason])))

    async def read(self, tenant: Tenant, ids: Sequence[BatchId]) -> dict[BatchId, StoredBatch]:
        """Return those of these batches that are there and can be read, by id."""
        found = [(one, shard) for one in ids if (shard := self._shards.find(tenant, one))]
        if not found:
            return {}
        replies = await self._shards.ask([("HGETALL", self._shards.keys(shard).part(one)) for one, shard in found])
        read = [read_batch(one, fields_of(reply or {})) for (one, _), reply in zip(found, replies, strict=True)]
        return {one.id: one for one in read if one}

    async def page(
        self,
        tenant: Tenant,
        *,
        states: frozenset[BatchState] | None = None,
        owner: str | None = None,
        start: str | None = None,
        limit: int = limits.MAX_PAGE,
    ) -> tuple[list[StoredBatch], str | None]:
        """Return batches, newest first, and where the next page starts; None for no more.

        With an `owner`, only those that it has submitted.
        """

        def is_wanted(one: StoredBatch) -> bool:
            return (states is None or one.state in states) and (owner is None or one.owner == owner)

        found, next_start = await self._shards.page(
            tenant, partial(self.read, tenant), is_wanted, start, limit, is_exact=owner is not None
        )
        return [one for _, one in found], next_start

    async def members(
        self,
        tenant: Tenant,
        batch_id: BatchId,
        *,
        states: frozenset[MemberState] | None = None,
        start: str | None = None,
        limit: int = limits.MAX_PAGE,
    ) -> tuple[list[Member], str | None]:
        """Return members by state, then by id, and where the next page starts; None for no more.

        The order is: pending, dead, cancelled, expired, succeeded. Raises: ValueError, for a start that is none.
        """
        shard = self._shards.find(tenant, batch_id)
        if shard is None:
            return [], None
        return await self._members.page(shard, batch_id, states, start, limit)

    async def open_members(self, shard: Queue, batch_id: BatchId, start: str | None) -> tuple[list[JobId], str | None]:
        """Return members whose jobs are stored and have not ended, and where the next page starts."""
        return await self._members.open(shard, batch_id, start)

    async def note(self, shard: Queue, news: Sequence[FlowNews]) -> None:
        """Tell batches of jobs of members and callbacks."""
        arguments: list[Argument] = []
        for one in news:
            arguments += (one.flow, one.place, one.job_id, one.state, one.version)
        await self._shards.run("note", shard, arguments)

    async def take_tasks(
        self, shard: Queue, limit: int, confirmed: Iterable[tuple[str, str]] = (), *, lease_s: float = TASK_LEASE_S
    ) -> TakenBatchTasks:
        """Take what is to be done, which no other dispatcher gets within the lease.

        `confirmed` are the entries of the last round, each with what became of it: see scripts/batches/take_tasks.lua.
        """
        arguments: list[Argument] = [limit, round(lease_s * 1000)]
        for pair in confirmed:
            arguments += pair
        next_in_ms, rows = await self._shards.run("take_tasks", shard, arguments)
        tasks: list[BatchTask] = []
        unreadable: list[str] = []
        for raw, *row, jobs in zip(*[iter(rows)] * 8, strict=True):
            entry = raw.decode(errors="replace")
            try:
                tasks.append(read_task(entry, row, jobs))
            except ValueError:
                unreadable.append(entry)
        return TakenBatchTasks(read_wait(next_in_ms), tasks, unreadable)

    async def take_checks(
        self, shard: Queue, limit: int, *, lease_s: float = CHECK_LEASE_S
    ) -> tuple[list[BatchCheck], int | None]:
        """Take batches that are to be looked at, close those whose time has come, and forget those whose time is over.

        Returns: them, and the ms until the next look, None for none.
        """
        arguments: list[Argument] = [limit, round(lease_s * 1000), MAX_PROMISED]
        next_in_ms, _, rows = await self._shards.run("take_checks", shard, arguments)
        found = [read_check(batch_id, still_ms, pairs) for batch_id, still_ms, *pairs in rows]
        return found, read_wait(next_in_ms)

    async def end_check(self, shard: Queue, batch_id: BatchId, lost: Sequence[str] = ()) -> int:
        """Note that a batch was looked at, and submit the jobs of callbacks again that are lost. Returns: how many.

        They are given by event.
        """
        bounds = [round(CHECK_AGAIN_S * 1000), round(CHECK_AGAIN_AT_MOST_S * 1000)]
        return int(await self._shards.run("end_check", shard, [batch_id, *bounds, *lost]))

    async def totals(self, shard: Queue) -> dict[str, int]:
        """Return how many batches of a shard are in a state."""
        return await self._shards.totals(shard)


def _check_size(items: Sequence[Any]) -> None:
    if len(items) > MAX_PROMISED:
        raise ValueError(f"{len(items)} members in one call: at most {MAX_PROMISED}, or Redis stands still")
