"""Makes of what Redis holds of a workflow what the API shows, and the history stores."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from millstream_contracts import (
    UNDECODABLE,
    NodeInput,
    NodeItems,
    NodeState,
    WorkflowNode,
    WorkflowState,
    WorkflowStatus,
    moment,
)
from millstream_streams import StoredNode, StoredWorkflow
from millstream_telemetry import read_trace_context
from millstream_workflows import InputError, compose_result

_decode = msgspec.msgpack.Decoder().decode


def shown_workflow(stored: StoredWorkflow, results: Mapping[str, bytes] | None = None) -> WorkflowStatus:
    """Return a workflow. `results` are those that its own is made of, by the names of nodes; None leaves it out."""
    result, fault = _result(stored, results)
    return WorkflowStatus(
        id=stored.id,
        name=stored.name,
        state=stored.state,
        counts=stored.counts,
        created_at=moment(stored.created_at_ms),
        finished_at=moment(stored.finished_at_ms) if stored.finished_at_ms else None,
        run=stored.run,
        on_failure="cancel" if stored.on_failure == "cancel" else "wait",
        retention_s=stored.retention_ms / 1000,
        result=result,
        reason=stored.reason or fault or None,
        trace_id=read_trace_context(stored.trace, "").trace_id or None if stored.trace else None,
        submitted_by=stored.owner or None,
    )


def shown_node(stored: StoredNode, inputs: Sequence[tuple[str, int | None]] | None = None) -> WorkflowNode:
    """Return a node. `inputs` are the names of the nodes to whose results it refers, with the bytes of each."""
    return WorkflowNode(
        name=stored.name,
        type=stored.queue.type,
        state=stored.state,
        after=list(stored.parents),
        waits_for=[name for name, _ in sorted(stored.waits_for, key=lambda one: one[1] is not NodeState.DEAD)],
        job=stored.job_id,
        reason=stored.reason or None,
        optional=stored.optional,
        items=NodeItems(total=stored.items.total, counts=stored.items.counts) if stored.items else None,
        started_at=moment(stored.began_at_ms) if stored.began_at_ms else None,
        finished_at=moment(stored.ended_at_ms) if stored.ended_at_ms else None,
        inputs=None if inputs is None else [NodeInput(node=name, result_bytes=size) for name, size in inputs],
    )


def _result(stored: StoredWorkflow, results: Mapping[str, bytes] | None) -> tuple[Any, str]:
    """Return the result, or why there is none."""
    if results is None or not stored.result or stored.state is not WorkflowState.SUCCEEDED:
        return None, ""
    try:
        return _decode(compose_result(stored.result, results)), ""
    except InputError as error:
        return None, str(error)
    except UNDECODABLE:
        return None, "the result cannot be read"
