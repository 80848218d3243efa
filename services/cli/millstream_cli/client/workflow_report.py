"""What the commands about workflows print."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click
import msgspec

from millstream_cli.output import print_json, print_table
from millstream_cli.wording import ago, lasting, printable, stamp
from millstream_contracts import NodeState, WorkflowNode, WorkflowStatus

_SHOWN_PARENTS = 5


def print_workflows(found: Sequence[WorkflowStatus]) -> None:
    """Print a list of workflows."""
    now = datetime.now(UTC)
    rows = [
        (one.id, one.name, one.state, _done(one), one.counts.get(NodeState.DEAD, 0) or "", ago(one.created_at, now))
        for one in found
    ]
    print_table("workflows", ("workflow", "name", "state", "done", "dead", "started"), rows, "no workflows")


def print_workflow(one: WorkflowStatus, nodes: Sequence[WorkflowNode], *, as_json: bool) -> None:
    """Print one workflow, and nodes of it."""
    if as_json:
        print_json(one)
        return
    for label, value in _facts(one):
        click.echo(f"{label:>12}  {value}")
    if nodes:
        click.echo()
        with_inputs = any(node.inputs is not None for node in nodes)
        taken = [(_takes(node),) if with_inputs else () for node in nodes]
        rows = [
            (
                node.name,
                node.state,
                node.type,
                node.job or _items(node),
                ", ".join(node.after),
                *takes,
                printable(node.reason or _waits(node)),
            )
            for node, takes in zip(nodes, taken, strict=True)
        ]
        takes = ("takes",) if any(taken) else ()
        print_table("nodes", ("node", "state", "type", "job", "after", *takes, "reason"), rows, "no nodes")


def _facts(one: WorkflowStatus) -> Iterator[tuple[str, str]]:
    """Yield what there is to say about a workflow."""
    yield "workflow", one.id
    yield "name", one.name
    if one.source == "history":
        yield "from", "the history: Redis has forgotten it, so none of it can run again"
    yield "state", f"{one.state} ({printable(one.reason)})" if one.reason else str(one.state)
    yield "nodes", ", ".join(f"{count:,} {state}" for state, count in one.counts.items())
    if one.run > 1:
        yield "run", str(one.run)
    if one.submitted_by:
        yield "submitter", one.submitted_by
    yield "started", stamp(one.created_at)
    if one.finished_at is not None:
        took = lasting((one.finished_at - one.created_at).total_seconds())
        yield "ended", f"{stamp(one.finished_at)}, after {took}"
    if one.result is not None:
        yield "result", printable(msgspec.json.encode(one.result).decode())


def _done(one: WorkflowStatus) -> str:
    return f"{one.counts.get(NodeState.SUCCEEDED, 0):,}/{sum(one.counts.values()):,}"


def _waits(node: WorkflowNode) -> str:
    """Say what keeps a node from starting."""
    more = len(node.waits_for) - _SHOWN_PARENTS
    names = ", ".join(node.waits_for[:_SHOWN_PARENTS]) + (f" and {more} more" if more > 0 else "")
    return f"waits for {names}" if names else ""


def _takes(node: WorkflowNode) -> str:
    """Say whose results a node takes, with the bytes of those that are there."""
    return ", ".join(
        one.node if one.result_bytes is None else f"{one.node} ({one.result_bytes:,} B)" for one in node.inputs or ()
    )


def _items(node: WorkflowNode) -> str:
    if node.items is None:
        return ""
    total = "?" if node.items.total is None else f"{node.items.total:,}"
    return f"{node.items.counts.get(NodeState.SUCCEEDED, 0):,}/{total} items"
