"""Stores and finds workflows that have ended: `History.workflows`.

One that is stored twice changes nothing the second time, and an older end never replaces a newer one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy import exists, not_, null, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from millstream_contracts import NodeState, Tenant, WorkflowId, WorkflowNode, WorkflowState, WorkflowStatus, made_at
from millstream_history.connection.database import transaction
from millstream_history.connection.reading import Reader
from millstream_history.erasure.blanks import REASON
from millstream_history.erasure.erasures import STORE
from millstream_history.tables import WORKFLOW_NODES, WORKFLOWS
from millstream_history.type_conditions import foreign
from millstream_history.workflows.workflow_rows import (
    NODE_LOADER,
    NODE_ROWS,
    WORKFLOW_LOADER,
    WORKFLOW_ROWS,
    EndedWorkflow,
    node_rows,
    stored_node,
    stored_workflow,
    workflow_row,
)

_CLOCKS_DIFFER_BY = timedelta(days=1)
"""A workflow is made at the time in its id, but for clocks: so its id says in which partitions it may be."""
_NO_TIME = datetime(1971, 1, 1, tzinfo=UTC)
"""An id of before was made of an idempotency key, and says nothing of the time."""

_AMONG = text("SELECT tenant, id FROM erased_jobs WHERE id = ANY(:ids)")

_WORKFLOW, _NODE = WORKFLOWS.c, WORKFLOW_NODES.c


class WorkflowQuery(Struct, frozen=True, kw_only=True):
    """Which workflows a list has."""

    states: frozenset[WorkflowState] | None = None
    name: str | None = None
    created_after: datetime | None = None
    """Included, as `created_before` is not."""
    created_before: datetime | None = None
    types: tuple[str, ...] = ()
    """Patterns of job types, one of which the type of each node has to fit; empty for all."""


class PastWorkflows:
    """The workflows of one history database. Every method may raise HistoryError."""

    def __init__(self, engine: AsyncEngine, reader: Reader) -> None:
        self._engine = engine
        self._reader = reader

    async def store(self, ended: Sequence[EndedWorkflow]) -> None:
        """Store workflows that have ended, in one transaction."""
        async with transaction(self._engine) as connection:
            kept = await _without_erased(connection, ended)
            await WORKFLOW_LOADER.load(connection, [workflow_row(one) for one in kept])
            await NODE_LOADER.load(connection, [row for one in kept for row in node_rows(one)])

    async def find(self, tenant: Tenant, workflow_id: WorkflowId) -> WorkflowStatus | None:
        """Return a workflow that has ended; None for an unknown one."""
        query = (
            select(*(_WORKFLOW[name] for name in WORKFLOW_ROWS.names))
            .where(_WORKFLOW.tenant == tenant, _WORKFLOW.id == workflow_id, *_days_of(workflow_id))
            .order_by(_WORKFLOW.created_at.desc())
            .limit(1)
        )

        async def read(connection: AsyncConnection) -> WorkflowStatus | None:
            row = (await connection.execute(query)).one_or_none()
            return stored_workflow(row)[1] if row else None

        return await self._reader.read(read)

    async def types_of(self, tenant: Tenant, workflow: WorkflowStatus) -> list[str]:
        """Return the job types of the nodes of a workflow."""
        query = (
            select(_NODE.type)
            .distinct()
            .where(
                _NODE.tenant == tenant,
                _NODE.workflow_id == workflow.id,
                _NODE.created_at == workflow.created_at,
            )
        )

        async def read(connection: AsyncConnection) -> list[str]:
            return list((await connection.execute(query)).scalars())

        return await self._reader.read(read)

    async def nodes(
        self,
        tenant: Tenant,
        workflow: WorkflowStatus,
        *,
        start: int,
        limit: int,
        states: frozenset[NodeState] | None = None,
    ) -> tuple[list[WorkflowNode], int | None]:
        """Return nodes from a place on, in the order of the submission, and the place of the next; None for no more."""
        query = (
            select(*(_NODE[name] for name in NODE_ROWS.names))
            .where(
                _NODE.tenant == tenant,
                _NODE.workflow_id == workflow.id,
                _NODE.created_at == workflow.created_at,
                _NODE.place >= start,
            )
            .order_by(_NODE.place)
            .limit(limit + 1)
        )
        if states is not None:
            query = query.where(_NODE.state.in_([state.value for state in states]))

        async def read(connection: AsyncConnection) -> list[Any]:
            return list(await connection.execute(query))

        rows = await self._reader.read(read)
        return [stored_node(row) for row in rows[:limit]], rows[limit].place if len(rows) > limit else None

    async def page(
        self, tenant: Tenant, asked: WorkflowQuery, *, before: tuple[float, str] | None, limit: int
    ) -> list[tuple[float, WorkflowStatus]]:
        """Return workflows without results, with their places, newest first: those before a place and an id."""
        conditions: list[Any] = [_WORKFLOW.tenant == tenant]
        if asked.states is not None:
            conditions.append(_WORKFLOW.state.in_([state.value for state in asked.states]))
        if asked.name is not None:
            conditions.append(_WORKFLOW.name == asked.name)
        if asked.created_after is not None:
            conditions.append(_WORKFLOW.created_at >= asked.created_after)
        if asked.created_before is not None:
            conditions.append(_WORKFLOW.created_at < asked.created_before)
        if asked.types:
            nodes = (
                _NODE.tenant == _WORKFLOW.tenant,
                _NODE.workflow_id == _WORKFLOW.id,
                _NODE.created_at == _WORKFLOW.created_at,
            )
            # One without nodes is of no known type.
            conditions += (exists().where(*nodes), not_(exists().where(*nodes, foreign(_NODE.type, asked.types))))
        if before is not None:
            conditions += (_WORKFLOW.place <= before[0], tuple_(_WORKFLOW.place, _WORKFLOW.id) < tuple_(*before))
        query = (
            select(*(null().label(name) if name == "result" else _WORKFLOW[name] for name in WORKFLOW_ROWS.names))
            .where(*conditions)
            .order_by(_WORKFLOW.place.desc(), _WORKFLOW.id.desc())
            .limit(limit)
        )

        async def read(connection: AsyncConnection) -> list[tuple[float, WorkflowStatus]]:
            return [stored_workflow(row) for row in await connection.execute(query)]

        return await self._reader.read(read)


def _days_of(workflow_id: WorkflowId) -> tuple[Any, ...]:
    """Return the condition that leaves out partitions in which a workflow cannot be."""
    at = made_at(workflow_id)
    if at < _NO_TIME:
        return ()
    return (_WORKFLOW.created_at.between(at - _CLOCKS_DIFFER_BY, at + _CLOCKS_DIFFER_BY),)


async def _without_erased(connection: AsyncConnection, ended: Sequence[EndedWorkflow]) -> list[EndedWorkflow]:
    """Return workflows without what may tell of jobs of theirs that were erased."""
    await connection.execute(STORE)
    ids = {one.status.id for one in ended} | {node.job for one in ended for node in one.nodes if node.job}
    marked = {(row.tenant, row.id) for row in await connection.execute(_AMONG, {"ids": sorted(ids)})}
    if not marked:
        return list(ended)
    return [_blanked(one) if _is_marked(one, marked) else one for one in ended]


def _is_marked(ended: EndedWorkflow, marked: set[tuple[str, str]]) -> bool:
    ids = (ended.status.id, *(node.job for node in ended.nodes if node.job))
    return any((ended.tenant, one) in marked for one in ids)


def _blanked(ended: EndedWorkflow) -> EndedWorkflow:
    return replace(
        ended,
        status=replace(ended.status, result=None, reason=REASON),
        nodes=[replace(node, reason=None) for node in ended.nodes],
    )
