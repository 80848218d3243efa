"""Words and pictures for a workflow: its graph, its bar, and what keeps it from going on."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from markupsafe import Markup

from millstream import NodeState, WorkflowNode, WorkflowState, WorkflowStatus
from millstream_console.drawing.flow_bar import flow_bar
from millstream_console.drawing.graph import Box, graph
from millstream_console.drawing.numbers import length
from millstream_console.drawing.sentence import sentence
from millstream_console.pages.workflows import results
from millstream_console.pages.workflows.critical_path import CriticalPath
from millstream_contracts import JobId, NodeFilter

DRAWN_NODES = 300
"""Above this many nodes those of a type at one distance from the beginning are drawn as one."""
DRAWN_GROUPS = 300

NO_SIGNALS: Mapping[JobId, str] = {}

_LOOKS = {
    NodeState.WAITING: "waiting",
    NodeState.STARTING: "running",
    NodeState.STARTED: "running",
    NodeState.SUCCEEDED: "succeeded",
    NodeState.DEAD: "dead",
    NodeState.CANCELLED: "cancelled",
    NodeState.EXPIRED: "dead",
}
_REASONS = {
    "items_failed": "too many of its items have failed",
    "input_missing": "a part of a result that it takes is not there",
    "input_encrypted": "a result that it takes is stored encrypted, and the key of its type would not be",
    "inputs_too_large": "the results that it takes are too large together",
    "input_no_list": "what it maps over is no list",
}
_SHAPES = {NodeState.STARTED: "running"}
LOUDEST = (
    NodeState.DEAD,
    NodeState.EXPIRED,
    NodeState.STARTED,
    NodeState.STARTING,
    NodeState.CANCELLED,
    NodeState.WAITING,
    NodeState.SUCCEEDED,
)
"""The states in the order in which people look for them."""


def shape_of(state: NodeState) -> str:
    """Return the icon of the state of a node, which also says its tone."""
    return _SHAPES.get(state, state.value)


def total_of(workflow: WorkflowStatus) -> int:
    """Return how many nodes there are."""
    return sum(workflow.counts.values())


def running_of(workflow: WorkflowStatus) -> int:
    """Return how many nodes are starting or started."""
    return workflow.counts.get(NodeState.STARTING, 0) + workflow.counts.get(NodeState.STARTED, 0)


def failed_of(workflow: WorkflowStatus) -> int:
    """Return how many nodes are dead, cancelled or expired: what a rerun of the failed ones begins with."""
    return sum(workflow.counts.get(state, 0) for state in NodeFilter.FAILED.states)


def may_cancel(workflow: WorkflowStatus) -> bool:
    """Return whether there is something to be cancelled."""
    return not workflow.state.is_terminal and workflow.state is not WorkflowState.CANCELLING


def may_rerun(workflow: WorkflowStatus) -> bool:
    """Return whether nodes have failed, and none runs that a rerun would have to wait for."""
    return failed_of(workflow) > 0 and may_rerun_nodes(workflow)


def may_rerun_nodes(workflow: WorkflowStatus) -> bool:
    """Return whether nodes that have ended can run again: Redis has the workflow, and nothing is being cancelled."""
    return workflow.source == "live" and workflow.state is not WorkflowState.CANCELLING


def counted(workflow: WorkflowStatus) -> list[tuple[NodeState, int]]:
    """Return how many nodes are in which state, the loudest first."""
    return [(state, count) for state in LOUDEST if (count := workflow.counts.get(state, 0))]


def bar_of(workflow: WorkflowStatus) -> Markup:
    """Draw how far a workflow is: what has succeeded, what runs, what is dead, and the rest."""
    dead = workflow.counts.get(NodeState.DEAD, 0) + workflow.counts.get(NodeState.EXPIRED, 0)
    parts = (
        ("succeeded", workflow.counts.get(NodeState.SUCCEEDED, 0)),
        ("running", running_of(workflow)),
        ("dead", dead),
    )
    say = ", ".join(f"{count:,} {state}" for state, count in counted(workflow))
    return flow_bar(parts, total_of(workflow), say)


def trouble_of(workflow: WorkflowStatus, failed: Sequence[WorkflowNode], at: Callable[[str], str]) -> Markup | None:
    """Say what keeps a workflow from going on; None where nothing does."""
    first = next((node for node in failed if node.state in {NodeState.DEAD, NodeState.EXPIRED}), None)
    if first is None:
        return None
    where = f"/jobs/{first.job}" if first.job else f"/queues/{first.type}"
    name = Markup('<a href="{}">{}</a>').format(at(where), first.name)
    why = f": {_REASONS.get(first.reason, first.reason)}" if first.reason else ""
    waiting = workflow.counts.get(NodeState.WAITING, 0)
    if workflow.state is WorkflowState.STALLED:
        nodes = "node waits" if waiting == 1 else "nodes wait"
        return sentence("<b>It cannot go on:</b> {} is {}{}, and {} {}.", name, first.state, why, waiting, nodes)
    if workflow.state is WorkflowState.RUNNING:
        return sentence("<b>A node has failed:</b> {} is {}{}. Other branches still run.", name, first.state, why)
    return sentence("<b>It has failed:</b> {} is {}{}.", name, first.state, why)


def drawn(
    nodes: Sequence[WorkflowNode],
    at: Callable[[str], str],
    asset: Callable[[str], str],
    path: CriticalPath | None = None,
    signals: Mapping[JobId, str] = NO_SIGNALS,
) -> Markup | None:
    """Draw the graph of all nodes of a workflow; None of one that is too large also when it is grouped.

    `signals` says for which signals jobs of it wait.
    """
    took = path.took_s if path else {}
    if len(nodes) <= DRAWN_NODES:
        boxes, places = _boxes(nodes, at, took, signals), {node.name: place for place, node in enumerate(nodes)}
    else:
        boxes, places = _grouped(nodes, took)
    if len(boxes) > DRAWN_GROUPS:
        return None
    icons = asset("icons.svg")
    say = f"Graph of {len(nodes):,} nodes; the table below lists them"
    critical = set(pairwise(places[name] for name in took))
    words = results.along_edges(nodes, places) if len(boxes) == len(nodes) else {}
    return graph(boxes, lambda shape: f"{icons}#s-{shape}", say=say, critical=critical, words=words)


def items_of(node: WorkflowNode) -> str:
    """Return how many jobs of a node with `map` have ended; empty for any other."""
    if node.items is None:
        return ""
    if node.items.total is None:
        return "a list"
    return f"{node.items.counts.get(NodeState.SUCCEEDED, 0):,} of {node.items.total:,}"


def signal_of(node: WorkflowNode, signals: Mapping[JobId, str]) -> str:
    """Return the signal that the job of a node waits for; empty for none."""
    return signals.get(node.job, "") if node.job and node.state is NodeState.STARTED else ""


def _boxes(
    nodes: Sequence[WorkflowNode], at: Callable[[str], str], took: Mapping[str, float], signals: Mapping[JobId, str]
) -> list[Box]:
    places = {node.name: place for place, node in enumerate(nodes)}
    return [
        Box(
            title=node.name,
            sub=(f"waits: {signal}" if (signal := signal_of(node, signals)) else items_of(node) or node.type),
            say=f"{_said(node, took)}{f', waits for the signal {signal}' if signal else ''}{results.said(node)}",
            look=_look(node.state, is_critical=node.name in took),
            shape=shape_of(node.state),
            href=at(f"/jobs/{node.job}") if node.job and node.state is not NodeState.STARTING else "",
            parents=tuple(places[name] for name in node.after if name in places),
            share=_share(node),
        )
        for node in nodes
    ]


def _share(node: WorkflowNode) -> float | None:
    if node.items is None or not node.items.total or node.state is NodeState.SUCCEEDED:
        return None
    return node.items.counts.get(NodeState.SUCCEEDED, 0) / node.items.total


def _said(node: WorkflowNode, took: Mapping[str, float]) -> str:
    reason = f", {node.reason}" if node.reason else ""
    on_path = f", on the critical path for {length(took[node.name])}" if node.name in took else ""
    return f"{node.name}, {node.type}: {node.state}{reason}{on_path}"


def _look(state: NodeState, *, is_critical: bool) -> str:
    return f"{_LOOKS[state]} crit" if is_critical else _LOOKS[state]


def _grouped(nodes: Sequence[WorkflowNode], took: Mapping[str, float]) -> tuple[list[Box], dict[str, int]]:
    """Return a box for the nodes of each type at each distance from the beginning, and in which of them a node is."""
    depths = _depths(nodes)
    groups: dict[tuple[int, str], list[WorkflowNode]] = {}
    for node in nodes:
        groups.setdefault((depths[node.name], node.type), []).append(node)
    place_of = {node.name: place for place, members in enumerate(groups.values()) for node in members}
    critical = {place_of[name] for name in took}
    boxes = [
        _group(members, place, place_of, is_critical=place in critical) for place, members in enumerate(groups.values())
    ]
    return boxes, place_of


def _group(members: Sequence[WorkflowNode], place: int, place_of: dict[str, int], *, is_critical: bool) -> Box:
    states = Counter(node.state for node in members)
    loudest = next(state for state in LOUDEST if states[state])
    parents = {place_of[name] for node in members for name in node.after if name in place_of}
    told = ", ".join(f"{states[state]:,} {state}" for state in LOUDEST if states[state])
    return Box(
        title=members[0].type,
        sub=f"{len(members):,} nodes",
        say=f"{len(members):,} nodes of {members[0].type}: {told}{', with the critical path' if is_critical else ''}",
        look=_look(loudest, is_critical=is_critical),
        shape=shape_of(loudest),
        href="",
        parents=tuple(sorted(parents - {place})),
        share=states[NodeState.SUCCEEDED] / len(members),
    )


def _depths(nodes: Sequence[WorkflowNode]) -> dict[str, int]:
    """Return how many nodes each has before it on the longest way."""
    parents = {node.name: node.after for node in nodes}
    depths: dict[str, int] = {}
    for name in parents:
        stack = [name]
        while stack:
            missing = [one for one in parents[stack[-1]] if one in parents and one not in depths]
            if missing:
                stack += missing
                continue
            done = stack.pop()
            depths[done] = max((depths[one] + 1 for one in parents[done] if one in depths), default=0)
    return depths
