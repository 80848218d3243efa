"""The state machine of workflows in memory: the rules of scripts/workflows, written a second time."""

from collections.abc import Iterator
from typing import Literal

import msgspec
from msgspec import Struct

from millstream_contracts import (
    JobId,
    JobState,
    NodeState,
    Queue,
    WorkflowId,
    WorkflowState,
)
from millstream_streams import ActionCode, NodeRef, job_id_of
from millstream_streams.workflows.rerun import Graph, GraphNode, nodes_again
from millstream_streams.workflows.stored_workflow import NodeHead
from millstream_testing.memory.stored_job import NIL, StoredJob
from millstream_testing.virtual_clock import VirtualClock
from millstream_workflows import Plan, PlannedNode

FAILED = frozenset({NodeState.DEAD, NodeState.CANCELLED, NodeState.EXPIRED})
_OPEN = frozenset({NodeState.STARTING, NodeState.STARTED})
_STATES = {
    JobState.SUCCEEDED: NodeState.SUCCEEDED,
    JobState.DEAD: NodeState.DEAD,
    JobState.CANCELLED: NodeState.CANCELLED,
    JobState.EXPIRED: NodeState.EXPIRED,
}
_PARENT_REASONS = {
    NodeState.DEAD: "parent_dead",
    NodeState.CANCELLED: "parent_cancelled",
    NodeState.EXPIRED: "parent_expired",
}
_CANCELLED = "workflow_cancelled"


class FlowNode(Struct, kw_only=True):
    """A node of a workflow."""

    planned: PlannedNode
    queue: Queue
    first_job_id: JobId
    wants_result: bool
    """Whether its result is referred to."""
    children: list[int]
    state: NodeState = NodeState.WAITING
    run: int = 1
    has_job: bool = False
    reason: str = ""
    began_ms: int | None = None
    """When it could start, in its last run."""
    ended_ms: int | None = None
    done: set[int] = msgspec.field(default_factory=set)
    """The nodes before it for which it waits no more."""
    total: int | None = None
    """Of one with `map`: how many items there are."""
    items: dict[int, NodeState] = msgspec.field(default_factory=dict)
    parts: dict[int, bytes] = msgspec.field(default_factory=dict)
    """The results of its items."""

    @property
    def job_id(self) -> JobId:
        """The id of its job."""
        return job_id_of(self.first_job_id, self.run)

    def job_ids(self) -> Iterator[JobId]:
        """Yield the ids of its jobs."""
        if self.planned.is_map:
            yield from (job_id_of(self.first_job_id, self.run, item) for item in range(self.total or 0))
        else:
            yield self.job_id


class Flow(Struct, kw_only=True):
    """A workflow."""

    id: WorkflowId
    name: str
    plan: Plan
    nodes: list[FlowNode]
    on_failure: Literal["wait", "cancel"]
    retention_s: float
    created_ms: int
    finished_ms: int | None = None
    run: int = 1
    ends_as: WorkflowState | None = None
    """Where it will be, once its rest is cancelled."""
    reason: str = ""
    results: dict[int, bytes] = msgspec.field(default_factory=dict)

    def counts(self) -> dict[NodeState, int]:
        """Return how many nodes are in which state."""
        states = [node.state for node in self.nodes]
        return {state: states.count(state) for state in NodeState if state in states}

    @property
    def state(self) -> WorkflowState:
        """Where it is, which follows from where its nodes are."""
        counts = self.counts()
        runs = counts.get(NodeState.STARTING, 0) + counts.get(NodeState.STARTED, 0)
        if not runs and not counts.get(NodeState.WAITING):
            has_failed = any(node.state in FAILED and not node.planned.optional for node in self.nodes)
            return self.ends_as or (WorkflowState.FAILED if has_failed else WorkflowState.SUCCEEDED)
        if self.ends_as:
            return WorkflowState.CANCELLING
        return WorkflowState.RUNNING if runs else WorkflowState.STALLED

    def inputs_of(self, places: tuple[int, ...]) -> dict[str, bytes]:
        """Return the results of nodes, as far as there are some, by their names."""
        return {self.nodes[place].planned.name: self.results[place] for place in places if place in self.results}


class Flows:
    """All workflows of a test."""

    def __init__(self, clock: VirtualClock) -> None:
        self.all: dict[WorkflowId, Flow] = {}
        self.ready: list[tuple[Flow, int]] = []
        """Workflows and places of nodes whose jobs are to be stored."""
        self.undone: list[JobId] = []
        """Jobs that are to be cancelled."""
        self._clock = clock

    def add(self, flow: Flow) -> None:
        """Add a workflow, whose first nodes are ready."""
        self.all[flow.id] = flow
        for place, node in enumerate(flow.nodes):
            if not node.planned.parents:
                self._make_ready(flow, place)

    def find(self, workflow_id: str) -> Flow | None:
        """Return a workflow that can still be read."""
        flow = self.all.get(WorkflowId(workflow_id))
        if flow is None or flow.finished_ms is None:
            return flow
        return flow if flow.finished_ms + flow.retention_s * 1000 > self._clock.now_ms else None

    def note(self, job: StoredJob) -> None:
        """Note in which state the job of a node is. News of an earlier run change nothing."""
        ref = job.node
        flow = self.all.get(WorkflowId(ref.workflow)) if ref else None
        if ref is None or flow is None:
            return
        place, _, item = ref.node.partition(".")
        node = flow.nodes[int(place)]
        if node.run != ref.run:
            return
        state = _STATES.get(job.state, NodeState.STARTED)
        if item:
            node.items[int(item)] = state
            if state is NodeState.SUCCEEDED:
                node.parts[int(item)] = job.result
            self._settle_items(flow, int(place))
        else:
            if state is NodeState.SUCCEEDED and node.wants_result:
                flow.results[int(place)] = job.result
            self._move(flow, int(place), state)
        self._close(flow)

    def started(self, flow: Flow, place: int, items: int | None = None) -> None:
        """Note that the jobs of a node are stored; `items` is how many there are of one with `map`."""
        node = flow.nodes[place]
        node.state, node.has_job, node.total = NodeState.STARTED, items is None, items
        if items is not None:
            self._settle_items(flow, place)
        self._close(flow)

    def refuse(self, flow: Flow, place: int, reason: str) -> None:
        """Note that no job can be made of a node."""
        self._move(flow, place, NodeState.DEAD, reason)
        self._close(flow)

    def cancel(self, flow: Flow) -> ActionCode:
        """Cancel what has not ended of a workflow."""
        if flow.state.is_terminal:
            return ActionCode.WRONG_STATE
        if flow.ends_as is not None:
            return ActionCode.DONE_BEFORE
        self._begin_cancel(flow, WorkflowState.CANCELLED, "over the API")
        self._close(flow)
        return ActionCode.REQUESTED

    def rerun(self, flow: Flow, places: list[int] | None) -> tuple[bool, list[JobId]]:
        """Run nodes again, by default those that have failed, with all behind them.

        Returns: False, when one of them runs or there is none; and the dead jobs of them, which are to be discarded.
        """
        again = nodes_again(_graph(flow), places)
        if not again or any(flow.nodes[place].state in _OPEN for place in again):
            return False, []
        dead = [job_id for place in sorted(again) for job_id in _dead_jobs(flow.nodes[place])]
        flow.run, flow.ends_as, flow.reason = flow.run + 1, None, ""
        for place in again:
            node = flow.nodes[place]
            node.state, node.run, node.reason, node.has_job = NodeState.WAITING, flow.run, "", False
            node.began_ms = node.ended_ms = None
            node.done = {one for one in node.done if one not in again}
            node.total, node.items, node.parts = None, {}, {}
            flow.results.pop(place, None)
        for place in sorted(again):
            if len(flow.nodes[place].done) == len(flow.nodes[place].planned.parents):
                self._make_ready(flow, place)
        self._close(flow)
        return True, dead

    def _make_ready(self, flow: Flow, place: int) -> None:
        node = flow.nodes[place]
        node.state, node.began_ms = NodeState.STARTING, self._clock.now_ms
        self.ready.append((flow, place))

    def _move(self, flow: Flow, place: int, state: NodeState, reason: str = "") -> None:
        """Move a node, and tell those behind it."""
        node = flow.nodes[place]
        node.state, node.reason, node.ended_ms = state, reason, None
        if state is NodeState.SUCCEEDED or state in FAILED:
            node.ended_ms = self._clock.now_ms if node.began_ms is not None else None
            for child in node.children:
                self._tell(flow, place, child)
        counts = state in {NodeState.DEAD, NodeState.EXPIRED} and not node.planned.optional
        if counts and flow.ends_as is None and flow.on_failure == "cancel":
            self._begin_cancel(flow, WorkflowState.FAILED, "node_failed")

    def _tell(self, flow: Flow, parent: int, place: int) -> None:
        """Tell a node what became of one before it."""
        node, state = flow.nodes[place], flow.nodes[parent].state
        if state is NodeState.SUCCEEDED or node.planned.after_failure == "run":
            node.done.add(parent)
            if len(node.done) == len(node.planned.parents) and node.state is NodeState.WAITING:
                if flow.ends_as:
                    self._move(flow, place, NodeState.CANCELLED, _CANCELLED)
                else:
                    self._make_ready(flow, place)
        elif (state is not NodeState.DEAD or node.planned.after_failure == "cancel") and (
            node.state is NodeState.WAITING
        ):
            self._move(flow, place, NodeState.CANCELLED, _PARENT_REASONS[state])

    def _settle_items(self, flow: Flow, place: int) -> None:
        """Draw what follows for a node with `map`: it has ended with the last of its items."""
        node = flow.nodes[place]
        # One that has succeeded stays so: what is behind it has its result.
        if node.total is None or node.state in {NodeState.SUCCEEDED, NodeState.WAITING}:
            return
        states = list(node.items.values())
        failed = sum(state in FAILED for state in states)
        if states.count(NodeState.SUCCEEDED) + failed < node.total:
            node.state, node.ended_ms = NodeState.STARTED, None
        elif failed > node.planned.max_failures:
            if flow.ends_as:
                self._move(flow, place, NodeState.CANCELLED)
            elif node.state is not NodeState.DEAD:
                self._move(flow, place, NodeState.DEAD, "items_failed")
        else:
            if node.wants_result:
                values = [msgspec.Raw(node.parts.get(item, NIL)) for item in range(node.total)]
                flow.results[place] = msgspec.msgpack.encode(values)
            self._move(flow, place, NodeState.SUCCEEDED)

    def _begin_cancel(self, flow: Flow, ends_as: WorkflowState, reason: str) -> None:
        flow.ends_as, flow.reason = ends_as, reason
        for place, node in enumerate(flow.nodes):
            if node.state is NodeState.STARTED:
                self.undone += node.job_ids()
            elif node.state is NodeState.STARTING:
                self._move(flow, place, NodeState.CANCELLED, _CANCELLED)
            elif node.state is NodeState.WAITING:
                node.state = NodeState.CANCELLED

    def _close(self, flow: Flow) -> None:
        """Note when a workflow has ended."""
        if not flow.state.is_terminal:
            flow.finished_ms = None
        elif flow.finished_ms is None:
            flow.finished_ms = self._clock.now_ms


def node_ref(flow: Flow, place: int, item: int | None = None) -> NodeRef:
    """Return what the job of a node, or of an item of one, is of its workflow."""
    node = flow.nodes[place]
    name = str(place) if item is None else f"{place}.{item}"
    return NodeRef(flow.id, name, node.run, wants_result=node.wants_result)


def _dead_jobs(node: FlowNode) -> list[JobId]:
    if node.planned.is_map:
        dead = [item for item, state in node.items.items() if state is NodeState.DEAD]
        return [job_id_of(node.first_job_id, node.run, item) for item in dead]
    return [node.job_id] if node.state is NodeState.DEAD and node.has_job else []


def _graph(flow: Flow) -> Graph:
    """Return a workflow as the code of production has it that decides which nodes run again."""
    nodes = [
        GraphNode(
            head=NodeHead(node.planned.name, node.first_job_id, node.planned.parents),
            first_edge=0,
            letters=node.planned.after_failure[0],
            children=node.children,
            state=node.state,
            version=0,
            run=node.run,
        )
        for node in flow.nodes
    ]
    return Graph(nodes, bytearray())
