"""Workflows: graphs of jobs, as the API takes and shows them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, NewType

from msgspec import Meta, Raw, Struct, field

from millstream_contracts import limits
from millstream_contracts.ids import NAME_PATTERN, JobId
from millstream_contracts.job import JobSource, Priority
from millstream_contracts.policy import AfterFailure, BackoffOptions, Seconds
from millstream_contracts.submission import Attempts, AttemptTimeout, ExpiresIn, JobKey, Tags

WorkflowId = NewType("WorkflowId", str)
"""``WF_<shard, 2 hex digits><26 characters>``, the last part as in a job id. No job type has upper case."""

NODE_NAME_PATTERN = r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,63}$(?!\n)"
NodeName = Annotated[str, Meta(pattern=NODE_NAME_PATTERN)]

OnFailure = Literal["wait", "cancel"]
"""What a workflow does when a node is dead: run its other branches, then be stalled; or cancel the rest."""


RetentionSeconds = Annotated[float, Meta(ge=limits.MIN_WORKFLOW_RETENTION_S, le=limits.MAX_WORKFLOW_RETENTION_S)]


class WorkflowState(StrEnum):
    """Where a workflow is."""

    RUNNING = "running"
    STALLED = "stalled"
    """Nothing runs, and a dead node keeps others waiting. To redrive its job or to rerun it goes on."""
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    """Every node that counts has succeeded."""
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Return whether the workflow has ended, unless it is run again."""
        return self in {WorkflowState.SUCCEEDED, WorkflowState.FAILED, WorkflowState.CANCELLED}

    @property
    def is_settled(self) -> bool:
        """Return whether the workflow does not go on by itself: it has ended, or is stalled."""
        return self is WorkflowState.STALLED or self.is_terminal


class NodeState(StrEnum):
    """Where a node is."""

    WAITING = "waiting"
    """For the nodes before it."""
    STARTING = "starting"
    """Its job is about to be stored."""
    STARTED = "started"
    """Its job is stored: queued, scheduled or running."""
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    """Its job is dead, or could not be made. A redrive or a rerun may still have it succeed."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class NodeSubmission(Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A node as it is submitted. Its payload may refer to results of other nodes, which it then waits for."""

    type: Annotated[str, Meta(pattern=NAME_PATTERN)]
    payload: Raw = Raw(b"")
    """One value in the encoding of the request; empty when it was left out, which means null. A reference in it is an
    object `{"$result": <node>, "path": <JSON pointer>, "default": <any>}`; `{"$item": <JSON pointer>}` is what a node
    with `map` is at; `{"$literal": <any>}` is taken as it is."""
    map: Raw = Raw(b"")
    """A reference to a list; empty when it was left out. The node has a job for each item of the list, and its result
    is the list of their results."""
    max_failures: Annotated[int, Meta(ge=0, le=limits.MAX_MAP_ITEMS)] = 0
    """How many jobs of a node with `map` may fail so that the node still succeeds; their results are null."""
    after: Annotated[list[NodeName], Meta(max_length=limits.MAX_PARENTS)] | None = None
    """Nodes that it waits for without a reference to their results."""
    after_failure: AfterFailure = "wait"
    optional: bool = False
    """Whether its failure does not count for the workflow."""
    priority: Priority = Priority.NORMAL
    key: JobKey | None = None
    delay_s: Seconds | None = None
    """Counted from when it is started, as is `expires_in_s`."""
    expires_in_s: ExpiresIn | None = None
    max_attempts: Attempts | None = None
    timeout_s: AttemptTimeout | None = None
    backoff: BackoffOptions | None = None
    tags: Tags | None = None


class WorkflowSubmission(Struct, kw_only=True, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A workflow as it is submitted."""

    name: Annotated[str, Meta(pattern=NAME_PATTERN)]
    nodes: Annotated[dict[NodeName, NodeSubmission], Meta(min_length=1, max_length=limits.MAX_WORKFLOW_NODES)]
    on_failure: OnFailure = "wait"
    result: Raw = Raw(b"")
    """What the workflow answers at its end: a value that may have references, as a payload has; empty for nothing."""
    retention_s: RetentionSeconds = limits.WORKFLOW_RETENTION_S
    """How long it can be read in Redis after its end. The history, where there is one, has it for longer."""


class NodeItems(Struct, kw_only=True, frozen=True):
    """How many jobs of a node with `map` are in which state."""

    total: int | None = None
    """None until the list is known."""
    counts: dict[NodeState, int] = field(default_factory=dict)


class NodeInput(Struct, kw_only=True, frozen=True):
    """A result that a node takes: what goes along an edge of the graph."""

    node: str
    """The node whose result it is."""
    result_bytes: int | None = None
    """How large it is, in MessagePack; None while there is none."""


class WorkflowNode(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A node as it is shown."""

    name: str
    type: str
    state: NodeState
    after: list[str] = field(default_factory=list)
    """The nodes that it waits for, by reference or by `after`."""
    waits_for: list[str] = field(default_factory=list)
    """Those of them that keep it from starting, the dead ones first: about these a person has to decide."""
    job: JobId | None = None
    """Its job; None before it is started, and for a node with `map`."""
    reason: str | None = None
    """Why it is dead or cancelled, where its job does not say."""
    optional: bool = False
    items: NodeItems | None = None
    """Of a node with `map`."""
    started_at: datetime | None = None
    """When it could start, in its last run: those before it had ended. None while it waits."""
    finished_at: datetime | None = None
    """When its workflow learned of its end."""
    inputs: list[NodeInput] | None = None
    """The results to which it refers. None unless they are asked for, and where an earlier release has stored it."""


class WorkflowStatus(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A workflow as it is shown."""

    id: WorkflowId
    name: str
    state: WorkflowState
    counts: dict[NodeState, int]
    """How many nodes are in which state, without states that none is in."""
    created_at: datetime
    finished_at: datetime | None = None
    run: int = 1
    """Grows with each rerun."""
    on_failure: OnFailure = "wait"
    retention_s: float = limits.WORKFLOW_RETENTION_S
    result: Any = None
    """Once it has succeeded."""
    reason: str | None = None
    """Why it failed, or was cancelled."""
    trace_id: str | None = None
    source: JobSource = "live"
    """`history` of one that can be read only there: its `retention_s` is over."""
    submitted_by: str | None = None
    """Who has submitted it, as of a job."""


class WorkflowPage(Struct, kw_only=True, frozen=True):
    """A page of workflows, newest first."""

    items: list[WorkflowStatus]
    next_cursor: str | None = None
    complete: bool = True
    """False when the history could not be read: workflows that can be read only there are missing."""


class WorkflowNodePage(Struct, kw_only=True, frozen=True):
    """A workflow with a page of its nodes, in the order of their submission."""

    workflow: WorkflowStatus
    nodes: list[WorkflowNode]
    next_cursor: str | None = None


class WorkflowAccepted(Struct, kw_only=True, frozen=True):
    """The answer to a workflow that is stored."""

    id: WorkflowId
    state: WorkflowState
    counts: dict[NodeState, int]
    nodes: dict[str, JobId]
    """The id that each job will have, without nodes with `map` and those whose partition follows from results."""


class NodeFilter(StrEnum):
    """Which nodes of a workflow are shown."""

    FAILED = "failed"
    """Those that are dead, cancelled or expired: what a rerun of the failed ones begins with."""
    WAITING = "waiting"
    STARTING = "starting"
    STARTED = "started"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def states(self) -> frozenset[NodeState]:
        """Return the states that it means."""
        if self is NodeFilter.FAILED:
            return frozenset({NodeState.DEAD, NodeState.CANCELLED, NodeState.EXPIRED})
        return frozenset({NodeState(self.value)})


class RerunRequest(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Which nodes are run again, with all behind them. Exactly one of the two is given."""

    from_: Annotated[list[NodeName], Meta(min_length=1, max_length=limits.MAX_PARENTS)] | None = field(
        default=None, name="from"
    )
    failed: bool = False
    """All that are dead, cancelled or expired."""
