"""The rows of workflows and of their nodes: one list of columns for both directions."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from millstream_contracts import (
    NodeInput,
    NodeItems,
    NodeState,
    Tenant,
    WorkflowId,
    WorkflowNode,
    WorkflowState,
    WorkflowStatus,
)
from millstream_history.projection.columns import Column, Row, RowFormat, write_json, write_text
from millstream_history.projection.loading import Loader
from millstream_history.tables import WORKFLOW_NODES, WORKFLOWS


class EndedWorkflow(Struct, frozen=True, kw_only=True):
    """A workflow that has ended, with all of its nodes."""

    tenant: Tenant
    status: WorkflowStatus
    place: float
    """Its place in lists: the Unix ms of its creation, made unlike all others of its shard."""
    turn: int
    """Grows with each change of the workflow. An older one never replaces a newer."""
    nodes: list[WorkflowNode]
    """In the order of the submission."""


class _Where(Struct, frozen=True):
    """The columns of a workflow that are not shown."""

    tenant: Tenant
    place: float
    turn: int


class _WhereNode(Struct, frozen=True):
    """The same of a node."""

    tenant: Tenant
    workflow_id: WorkflowId
    place: int
    turn: int
    created_at: datetime


def _read_counts(value: dict[str, int]) -> dict[NodeState, int]:
    """Return how many nodes are in which state, as far as this release knows the states."""
    return {NodeState(word): count for word, count in value.items() if word in _NODE_STATES}


def _read_items(value: dict[str, Any]) -> NodeItems:
    return NodeItems(total=value.get("total"), counts=_read_counts(value.get("counts", {})))


def _read_inputs(value: list[dict[str, Any]]) -> list[NodeInput]:
    return [NodeInput(node=one["node"], result_bytes=one.get("result_bytes")) for one in value]


def _read_state(word: str) -> WorkflowState:
    """Return a state; one of a newer release is none of ours, and no success."""
    return WorkflowState(word) if word in _STATES else WorkflowState.FAILED


def _read_node_state(word: str) -> NodeState:
    return NodeState(word) if word in _NODE_STATES else NodeState.CANCELLED


_NODE_STATES = {state.value for state in NodeState}
_STATES = {state.value for state in WorkflowState}

WORKFLOW_COLUMNS = (
    Column("tenant", "where.tenant"),
    Column("id", "status.id"),
    Column("name", "status.name"),
    Column("state", "status.state", None, _read_state),
    Column("turn", "where.turn"),
    Column("place", "where.place"),
    Column("created_at", "status.created_at"),
    Column("finished_at", "status.finished_at"),
    Column("run", "status.run"),
    Column("on_failure", "status.on_failure"),
    Column("retention_s", "status.retention_s"),
    Column("counts", "status.counts", write_json, _read_counts),
    Column("result", "status.result", write_json),
    Column("reason", "status.reason", write_text),
    Column("trace_id", "status.trace_id", write_text),
    Column("submitted_by", "status.submitted_by", write_text),
)
"""The table `workflows`."""

NODE_COLUMNS = (
    Column("tenant", "where.tenant"),
    Column("workflow_id", "where.workflow_id"),
    Column("place", "where.place"),
    Column("turn", "where.turn"),
    Column("name", "node.name"),
    Column("type", "node.type"),
    Column("state", "node.state", None, _read_node_state),
    Column("created_at", "where.created_at"),
    Column("job_id", "node.job"),
    Column("reason", "node.reason", write_text),
    Column("after", "node.after", write_json),
    Column("optional", "node.optional"),
    Column("items", "node.items", write_json, _read_items),
    Column("started_at", "node.started_at"),
    Column("finished_at", "node.finished_at"),
    Column("inputs", "node.inputs", write_json, _read_inputs),
)
"""The table `workflow_nodes`."""

WORKFLOW_ROWS = RowFormat(WORKFLOW_COLUMNS, where=_Where, status=WorkflowStatus)
NODE_ROWS = RowFormat(NODE_COLUMNS, where=_WhereNode, node=WorkflowNode)


def _replace_older(table: str, key: Sequence[str], columns: Sequence[str]) -> str:
    assignments = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
    return f"({', '.join(key)}) DO UPDATE SET {assignments} WHERE {table}.turn < excluded.turn"


WORKFLOW_LOADER = Loader(
    WORKFLOWS,
    WORKFLOW_ROWS.names,
    staging="new_workflows",
    on_conflict=_replace_older("workflows", ("tenant", "id", "created_at"), WORKFLOW_ROWS.names),
)
NODE_LOADER = Loader(
    WORKFLOW_NODES,
    NODE_ROWS.names,
    staging="new_workflow_nodes",
    on_conflict=_replace_older("workflow_nodes", ("tenant", "workflow_id", "place", "created_at"), NODE_ROWS.names),
)


def workflow_row(ended: EndedWorkflow) -> Row:
    """Return the row of a workflow."""
    return WORKFLOW_ROWS.row(_Where(ended.tenant, ended.place, ended.turn), ended.status)


def node_rows(ended: EndedWorkflow) -> Iterator[Row]:
    """Yield the rows of the nodes of a workflow."""
    status = ended.status
    for place, node in enumerate(ended.nodes):
        yield NODE_ROWS.row(_WhereNode(ended.tenant, status.id, place, ended.turn, status.created_at), node)


def stored_workflow(row: Sequence[Any]) -> tuple[float, WorkflowStatus]:
    """Return the place in lists and the workflow of a row of `workflows`."""
    where = WORKFLOW_ROWS.values("where", row)
    return float(where["place"]), WorkflowStatus(**WORKFLOW_ROWS.values("status", row), source="history")


def stored_node(row: Sequence[Any]) -> WorkflowNode:
    """Return the node of a row of `workflow_nodes`."""
    return WorkflowNode(**NODE_ROWS.values("node", row))
