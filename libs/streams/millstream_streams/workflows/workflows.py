"""Workflows in Redis: what there is, what their nodes are to do, and what became of these.

They lie in shards, each in a slot of its own. See scripts/_workflows.lua for their keys.
"""

import math
from collections.abc import Iterable, Sequence
from functools import partial

from msgspec.structs import replace

from millstream_contracts import JobId, NodeState, Queue, Tenant, WorkflowId, WorkflowState, limits
from millstream_streams.connection.connections import Client
from millstream_streams.connection.replies import fields_of
from millstream_streams.errors import StoreUnavailableError
from millstream_streams.store.deliveries import ActionCode
from millstream_streams.store.flow_shards import (
    CHECK_AGAIN_AT_MOST_S,
    CHECK_AGAIN_S,
    CHECK_LEASE_S,
    TASK_LEASE_S,
    WORKFLOW_KIND,
    FlowShards,
    scores_of,
)
from millstream_streams.store.flow_values import CreateCode, FlowNews
from millstream_streams.store.job_store import JobStore
from millstream_streams.store.keys import Keys
from millstream_streams.store.scripting import Argument
from millstream_streams.store.specs import read_wait
from millstream_streams.workflows.input_reader import InputReader
from millstream_streams.workflows.layout import fields_of_new, parts_of, roots_of
from millstream_streams.workflows.new_workflow import NewWorkflow
from millstream_streams.workflows.node_reader import NodeReader
from millstream_streams.workflows.rerunner import Rerunner
from millstream_streams.workflows.stored_workflow import (
    RerunCode,
    StoredNode,
    StoredWorkflow,
    TakenEnds,
    TakenTasks,
    WorkflowCreated,
    read_task,
    read_workflow,
)

END_LEASE_S = 60.0
"""For how long a dispatcher has a workflow to itself that has ended, to store it in the history."""

AWAITED_S = 604_800.0
"""For how long after its retention a workflow is kept while the history has not taken it."""

_DRAFT, _GONE = 0, -2
_AHEAD_MS = 1_000
"""How far the place of a workflow may be behind its creation, where very many were made in one millisecond."""


class Workflows:
    """Reads and changes workflows. Every method may raise StoreUnavailableError, StoreFullError or StoreError."""

    def __init__(self, client: Client, keys: Keys, store: JobStore, *, patience_s: float = 5.0) -> None:
        self._shards = FlowShards(client, keys, WORKFLOW_KIND, patience_s=patience_s)
        self._keys = keys
        self._nodes = NodeReader(self._shards.ask, keys)
        self._inputs = InputReader(self._shards.ask, self._nodes, keys)
        self._rerunner = Rerunner(self._shards.ask, partial(self._shards.run, "rerun"), self._nodes, store, keys)

    def new_id(self, tenant: Tenant, at_ms: int | None = None) -> WorkflowId:
        """Return a fresh id, made at this time: Unix ms by the clock of Redis, or else our own."""
        return WorkflowId(self._shards.new_id(tenant, at_ms))

    def id_of(self, tenant: Tenant, key: bytes) -> WorkflowId:
        """Return the id that a workflow with an idempotency key has; `key` is a digest of 16 bytes or more."""
        return WorkflowId(self._shards.id_of(tenant, key))

    async def shards(self) -> list[Queue]:
        """Return the shards of all tenants that were ever used, sorted."""
        return await self._shards.used()

    async def create(self, tenant: Tenant, new: NewWorkflow) -> WorkflowCreated:
        """Store a workflow, and have it run once all of its nodes are there."""
        shard = self._shards.of(tenant, new.id)
        await self._shards.make_known(shard)
        fingerprint = new.idempotency.fingerprint if new.idempotency else ""
        head: list[Argument] = [new.id, fingerprint, limits.IDEMPOTENCY_TTL_S * 1000, len(new.nodes)]
        fields, roots = fields_of_new(new), roots_of(new)
        code = _GONE
        for part in parts_of(new):
            code = int(await self._shards.run("create", shard, [*head, part.first, fields, roots, *part.rows]))
            if code != _DRAFT:
                break
        if code == _GONE:
            raise StoreUnavailableError("the workflow took too long to store, and was dropped")
        if code == CreateCode.REPLAYED and not fingerprint:
            code = CreateCode.STORED  # by a try of this call whose response was lost
        return WorkflowCreated(new.id, CreateCode(code))

    async def read(self, tenant: Tenant, ids: Sequence[WorkflowId]) -> dict[WorkflowId, StoredWorkflow]:
        """Return those of these workflows that are there and can be read, by id."""
        found = [(one, shard) for one in ids if (shard := self._shards.find(tenant, one))]
        if not found:
            return {}
        commands = [("HGETALL", self._keys.of_workflows(shard).part(one)) for one, shard in found]
        replies = await self._shards.ask(commands)
        read = [read_workflow(one, fields_of(reply or {})) for (one, _), reply in zip(found, replies, strict=True)]
        return {one.id: one for one in read if one}

    async def nodes(
        self,
        tenant: Tenant,
        workflow_id: WorkflowId,
        *,
        start: int = 0,
        limit: int = limits.MAX_PAGE,
        states: frozenset[NodeState] | None = None,
    ) -> tuple[list[StoredNode], int | None]:
        """Return nodes from a place on, in the order of the submission, and the place of the next; None for no more."""
        return await self._nodes.page(self._shards.of(tenant, workflow_id), workflow_id, start, limit, states)

    async def jobs_of(self, tenant: Tenant, workflow_id: WorkflowId, places: Sequence[int]) -> list[JobId]:
        """Return the jobs of nodes as they are in the present run, without nodes with `map`."""
        return await self._nodes.jobs_of(self._shards.of(tenant, workflow_id), workflow_id, places)

    async def results(self, tenant: Tenant, workflow_id: WorkflowId, places: Sequence[int]) -> dict[int, bytes]:
        """Return the results that are kept, by the place of the node, in MessagePack."""
        return await self._nodes.results(self._shards.of(tenant, workflow_id), workflow_id, places)

    async def inputs(
        self, tenant: Tenant, workflow_id: WorkflowId, places: Sequence[int]
    ) -> dict[int, list[tuple[str, int | None]]]:
        """Return to which results nodes refer: by place the names of the nodes, and the bytes; None for no result."""
        return await self._inputs.read(self._shards.of(tenant, workflow_id), workflow_id, places)

    async def page(
        self,
        tenant: Tenant,
        *,
        states: frozenset[WorkflowState] | None = None,
        name: str | None = None,
        created_after_ms: int | None = None,
        created_before_ms: int | None = None,
        types: Sequence[str] = (),
        start: str | None = None,
        limit: int = limits.MAX_PAGE,
    ) -> tuple[list[StoredWorkflow], str | None]:
        """Return workflows with their places, newest first, and where the next page starts; None for no more.

        A name and times leave others out; `created_after_ms` is included, `created_before_ms` is not. `types` are
        patterns of job types, one of which the type of each node has to fit; where its types were not noted, none does.
        """
        least, most = created_after_ms or 0, math.inf if created_before_ms is None else created_before_ms
        if start is None and created_before_ms is not None:
            start = f"{created_before_ms + _AHEAD_MS} "

        def is_wanted(seen: StoredWorkflow) -> bool:
            return (
                (states is None or seen.state in states)
                and (name is None or seen.name == name)
                and least <= seen.created_at_ms < most
                and (not types or seen.is_of(types))
            )

        # No place is before the time of its creation.
        found, next_start = await self._shards.page(
            tenant, partial(self.read, tenant), is_wanted, start, limit, least=least, is_exact=bool(types)
        )
        return [replace(seen, place=place) for place, seen in found], next_start

    async def cancel(self, tenant: Tenant, workflow_id: WorkflowId, reason: str = "cancelled") -> ActionCode:
        """Cancel a workflow. REQUESTED: nodes that wait are cancelled, and the jobs of others are asked to stop."""
        shard = self._shards.find(tenant, workflow_id)
        if shard is None:
            return ActionCode.UNKNOWN_JOB
        return ActionCode(int(await self._shards.run("cancel", shard, [workflow_id, reason])))

    async def rerun(
        self, tenant: Tenant, workflow_id: WorkflowId, places: Sequence[int] | None, *, request: bytes
    ) -> RerunCode:
        """Run nodes again with all behind them, and those before them that have failed; by default all that have.

        `request` is a digest of the request, by which a repetition is known. Their dead jobs are discarded first; when
        this ends in between, the nodes are cancelled, and another rerun takes them.
        """
        return await self._rerunner.rerun(tenant, workflow_id, places, request)

    async def placed_items(self, shard: Queue, workflow_id: WorkflowId, place: int) -> dict[int, int]:
        """Return the partitions of the jobs of items of a node that is placed late, as far as they are decided on."""
        return await self._nodes.placed_items(shard, workflow_id, place)

    async def items(self, shard: Queue, workflow_id: WorkflowId, place: int) -> dict[int, int | None]:
        """Return the items of a node with `map` that are started and have not ended.

        Each with its partition, None where that is the one of the node.
        """
        return await self._nodes.open_items(shard, workflow_id, place)

    async def take_starts(
        self,
        shard: Queue,
        limit: int,
        confirmed: Iterable[tuple[str, str]] = (),
        *,
        lease_s: float = TASK_LEASE_S,
    ) -> TakenTasks:
        """Take nodes for which there is something to be done, which no other dispatcher gets within the lease.

        `confirmed` are the entries of the last round, each with what became of it: nothing when its job is stored or
        was asked to stop, `gone` when there is none and never will be, `refused <reason>` when none can be made.
        """
        arguments: list[Argument] = [limit, round(lease_s * 1000)]
        for entry, outcome in confirmed:
            arguments += (entry, outcome)
        _, next_in_ms, ended, rows = await self._shards.run("take_starts", shard, arguments)
        tasks, unreadable = [], []
        for entry, *row in zip(*[iter(rows)] * 8, strict=True):
            task = read_task(entry, *row)
            if task is None:
                unreadable.append(entry.decode(errors="replace"))
            else:
                tasks.append(task)
        return TakenTasks(read_wait(next_in_ms), tasks, unreadable, _ids(ended))

    async def note(self, shard: Queue, news: Sequence[FlowNews]) -> list[WorkflowId]:
        """Tell workflows of the jobs of their nodes. Returns: those that have ended by this."""
        arguments: list[Argument] = []
        for one in news:
            arguments += (one.flow, one.place, one.run, one.state, one.version, one.result)
        return _ids(await self._shards.run("note", shard, arguments))

    async def take_checks(
        self, shard: Queue, limit: int, *, lease_s: float = CHECK_LEASE_S, awaited_s: float = 0.0
    ) -> tuple[list[WorkflowId], int | None]:
        """Take workflows that are to be looked at, and forget those whose time is over.

        `awaited_s` is for how long beyond that time one is kept that the history does not have yet. Returns: them, and
        the ms until the next look, None for none.
        """
        arguments: list[Argument] = [limit, round(lease_s * 1000), round(awaited_s * 1000)]
        next_in_ms, _, found = await self._shards.run("take_checks", shard, arguments)
        return _ids(found), read_wait(next_in_ms)

    async def take_ended(
        self,
        shard: Queue,
        limit: int,
        stored: Iterable[tuple[WorkflowId, int | None]] = (),
        *,
        lease_s: float = END_LEASE_S,
    ) -> TakenEnds:
        """Take workflows that have ended, which no other dispatcher gets within the lease.

        `stored` are those of the last round that the history has, each with the turn of what was read of it; None for
        one that could not be read. One that has ended again since then is taken once more.
        """
        arguments: list[Argument] = [limit, round(lease_s * 1000)]
        for one, turn in stored:
            arguments += (one, "" if turn is None else turn)
        next_in_ms, waiting, found = await self._shards.run("take_ended", shard, arguments)
        places = {WorkflowId(one.decode()): score for one, score in scores_of(found)}
        return TakenEnds(read_wait(next_in_ms), int(waiting), places)

    async def end_check(self, shard: Queue, workflow_id: WorkflowId, lost: Sequence[tuple[str, int]] = ()) -> int:
        """Note that a workflow was looked at, and start nodes again whose jobs are lost. Returns: how many.

        They are given by place, or `<place>.<item>`, and run.
        """
        arguments: list[Argument] = [workflow_id, round(CHECK_AGAIN_S * 1000), round(CHECK_AGAIN_AT_MOST_S * 1000)]
        for place, run in lost:
            arguments += (place, run)
        return int(await self._shards.run("end_check", shard, arguments))

    async def totals(self, shard: Queue) -> dict[str, int]:
        """Return how many workflows of a shard are in a state."""
        return await self._shards.totals(shard)


def _ids(reply: Sequence[bytes]) -> list[WorkflowId]:
    return [WorkflowId(one.decode()) for one in reply]
