"""Words for the results that nodes of a workflow take: at the edges of its graph, in its text, and in the table."""

from collections.abc import Mapping, Sequence

from millstream import WorkflowNode
from millstream_console.drawing.numbers import size

NAMED = 6
"""Of more results the others are only counted."""


def along_edges(nodes: Sequence[WorkflowNode], places: Mapping[str, int]) -> dict[tuple[int, int], str]:
    """Return what goes along edges, by the places of the nodes at their ends."""
    return {
        (places[one.node], places[node.name]): "result" if one.result_bytes is None else size(one.result_bytes)
        for node in nodes
        for one in node.inputs or ()
        if one.node in places
    }


def taken(node: WorkflowNode) -> str:
    """Say whose results a node takes, and how large those are that there are; empty for none."""
    inputs = node.inputs or []
    named = [
        one.node if one.result_bytes is None else f"{one.node} ({size(one.result_bytes)})" for one in inputs[:NAMED]
    ]
    more = f" and {len(inputs) - NAMED} more" if len(inputs) > NAMED else ""
    return ", ".join(named) + more


def said(node: WorkflowNode) -> str:
    """Say the same behind what is said of its box."""
    told = taken(node)
    return f", takes the {'result' if len(node.inputs or ()) == 1 else 'results'} of {told}" if told else ""
