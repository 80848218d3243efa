"""Reads workflows: in Redis, and in the history once Redis has forgotten them.

Both lists have one order, by the place that a workflow got with its creation. So a page is the newest of both, and one
that is forgotten between two pages is on the same side of the cursor as before.
"""

import re
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from millstream_codec import CodecError
from millstream_contracts import (
    NodeFilter,
    Tenant,
    WorkflowId,
    WorkflowNode,
    WorkflowPage,
    WorkflowState,
    WorkflowStatus,
    is_among,
    ms_of,
)
from millstream_history import History, HistoryError, WorkflowQuery
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import WORKFLOW_NOT_FOUND
from millstream_ingest.inspection.name_pages import cursor_of, read_place
from millstream_streams import WORKFLOW_KIND, Broker, StoredWorkflow
from millstream_submission import shown_node, shown_workflow
from millstream_submission.flow_results import opened_results

_START = re.compile(r"\d{1,16}(?:\.\d{1,9})? WF_[0-9a-f]{2}[0-9A-Z]{26}", re.ASCII)

_Row = tuple[float, str, WorkflowStatus]
"""Place and id, by which lists are sorted, and the workflow."""


class FoundWorkflow(Struct, frozen=True):
    """A workflow, and what Redis holds of it."""

    status: WorkflowStatus
    stored: StoredWorkflow | None
    """None of one that only the history has."""


class WorkflowFinder:
    """The workflows of all tenants. Every method may raise StoreError and HistoryError."""

    def __init__(self, broker: Broker, history: History | None) -> None:
        self._workflows = broker.workflows
        self._codec = broker.codec
        self._history = history

    async def find(self, tenant: Tenant, workflow_id: WorkflowId) -> FoundWorkflow:
        """Return a workflow. Raises: IngestError (404)."""
        stored = (await self._workflows.read(tenant, [workflow_id])).get(workflow_id)
        if stored is not None:
            return FoundWorkflow(await self.shown(tenant, stored), stored)
        past = await self._past_one(tenant, workflow_id)
        if past is None:
            raise unknown_workflow(workflow_id)
        return FoundWorkflow(past, None)

    async def owner(self, tenant: Tenant, workflow_id: WorkflowId) -> str | None:
        """Return who has submitted a workflow; None where that is not known, and for no such one."""
        stored = (await self._workflows.read(tenant, [workflow_id])).get(workflow_id)
        if stored is not None:
            return stored.owner
        past = await self._past_one(tenant, workflow_id)
        return None if past is None else past.submitted_by

    async def is_of(self, tenant: Tenant, workflow_id: WorkflowId, types: Sequence[str]) -> bool:
        """Return whether there is such a workflow, and each node of it is known to be of types that fit patterns."""
        stored = (await self._workflows.read(tenant, [workflow_id])).get(workflow_id)
        if stored is not None:
            return stored.is_of(types)
        past = await self._past_one(tenant, workflow_id)
        if past is None:
            return False
        assert self._history is not None
        found = await self._history.workflows.types_of(tenant, past)
        return bool(found) and all(is_among(one, types) for one in found)

    async def nodes(
        self,
        tenant: Tenant,
        found: FoundWorkflow,
        which: NodeFilter | None,
        *,
        start: int,
        limit: int,
        with_inputs: bool = False,
    ) -> tuple[list[WorkflowNode], int | None]:
        """Return nodes of a workflow from a place on, and the place of the next; None for no more.

        `with_inputs` adds to which results they refer.
        """
        states = which.states if which else None
        if found.stored is None:
            assert self._history is not None
            past, next_start = await self._history.workflows.nodes(
                tenant, found.status, start=start, limit=limit, states=states
            )
            return past if with_inputs else [replace(node, inputs=None) for node in past], next_start
        nodes, next_start = await self._workflows.nodes(
            tenant, found.stored.id, start=start, limit=limit, states=states
        )
        places = [node.place for node in nodes]
        inputs = await self._workflows.inputs(tenant, found.stored.id, places) if with_inputs else {}
        return [shown_node(node, inputs.get(node.place)) for node in nodes], next_start

    async def page(self, tenant: Tenant, asked: WorkflowQuery, *, cursor: str | None, limit: int) -> WorkflowPage:
        """Return a page of workflows, newest first; while the history is away, of those in Redis.

        Raises: CursorError.
        """
        start = _read_start(cursor)
        # A cursor is to say that there are others only where one more may be seen.
        most = limit + 1 if asked.types else limit
        # Redis first: what it forgets between the two reads is in the second.
        live, next_start = await self._live(tenant, asked, start, most)
        past: list[_Row] = []
        has_more, is_complete = next_start is not None, True
        if self._history and (asked.states is None or any(state.is_terminal for state in asked.states)):
            try:
                until = live[-1][:2] if next_start else None
                past, has_more_past = await self._past(self._history, tenant, asked, start, most, until)
                has_more = has_more or has_more_past
            except HistoryError:
                is_complete = False
        rows = sorted([*live, *past], reverse=True, key=lambda row: row[:2])
        has_more = (has_more and not asked.types) or len(rows) > limit
        shown = rows[:limit]
        return WorkflowPage(
            items=[status for _, _, status in shown],
            next_cursor=cursor_of(f"{shown[-1][0]!r} {shown[-1][1]}") if has_more and shown else None,
            complete=is_complete,
        )

    async def shown(self, tenant: Tenant, stored: StoredWorkflow) -> WorkflowStatus:
        """Return a workflow of Redis with its result."""
        if not stored.result or stored.state is not WorkflowState.SUCCEEDED:
            return shown_workflow(stored)
        names = dict(stored.result_inputs)
        results = await self._workflows.results(tenant, stored.id, list(names)) if names else {}
        named = {names[place]: content for place, content in results.items()}
        try:
            opened = await opened_results(self._codec, tenant, stored.id, named)
        except CodecError:
            return replace(shown_workflow(stored), reason="the result cannot be decrypted")
        return shown_workflow(stored, named if opened is None else opened)

    async def _live(
        self, tenant: Tenant, asked: WorkflowQuery, start: tuple[float, str] | None, limit: int
    ) -> tuple[list[_Row], str | None]:
        found, next_start = await self._workflows.page(
            tenant,
            states=asked.states,
            name=asked.name,
            created_after_ms=ms_of(asked.created_after) if asked.created_after else None,
            created_before_ms=ms_of(asked.created_before) if asked.created_before else None,
            types=asked.types,
            start=f"{start[0]!r} {start[1]}" if start else None,
            limit=limit,
        )
        return [(one.place, one.id, shown_workflow(one)) for one in found], next_start

    async def _past_one(self, tenant: Tenant, workflow_id: WorkflowId) -> WorkflowStatus | None:
        """Return a workflow as the history has it; None where it knows no such one, and where there is no history."""
        if self._history is None or WORKFLOW_KIND.shard_of(tenant, workflow_id) is None:
            return None
        return await self._history.workflows.find(tenant, workflow_id)

    async def _past(
        self,
        history: History,
        tenant: Tenant,
        asked: WorkflowQuery,
        start: tuple[float, str] | None,
        limit: int,
        until: tuple[float, str] | None,
    ) -> tuple[list[_Row], bool]:
        """Return workflows that only the history has, and whether there may be more; none behind `until` is needed."""
        rows: list[_Row] = []
        while True:
            some = await history.workflows.page(tenant, asked, before=start, limit=limit)
            # One that Redis has may have been run again since it was stored.
            live = await self._workflows.read(tenant, [status.id for _, status in some])
            rows += [(place, status.id, status) for place, status in some if status.id not in live]
            if len(some) < limit:
                return rows, False
            start = (some[-1][0], some[-1][1].id)
            if len(rows) >= limit or (until is not None and start <= until):
                return rows, True


def unknown_workflow(workflow_id: str) -> IngestError:
    """Return the refusal of a workflow that is not there."""
    return IngestError(WORKFLOW_NOT_FOUND, f"there is no workflow `{workflow_id[:64]}`")


def _read_start(cursor: str | None) -> tuple[float, str] | None:
    """Return the place and the id behind which a list goes on. Raises: CursorError."""
    start = read_place(cursor, _START)
    if start is None:
        return None
    place, _, workflow_id = start.partition(" ")
    return float(place), workflow_id
