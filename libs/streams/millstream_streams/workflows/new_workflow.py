"""A workflow that is ready to be stored. What nodes are to do is opaque here: the starter of a dispatcher reads it."""

from msgspec import Struct

from millstream_contracts import AfterFailure, JobId, OnFailure, Queue, WorkflowId
from millstream_streams.store.deliveries import Idempotency


class NewNode(Struct, frozen=True, kw_only=True):
    """A node of a new workflow."""

    name: str
    queue: Queue
    """Where its job goes, or where those of a node with `map` go."""
    job_id: JobId
    """Decided on at the submission, so that the job that two dispatchers start is one. Of a node with `map`, of which
    each item has its own, the id that those follow from."""
    blueprint: bytes
    """What the starter makes its submission of: see `millstream_workflows`."""
    parents: tuple[int, ...] = ()
    """The places of the nodes that it waits for, each once, in the order of the workflow."""
    inputs: tuple[int, ...] = ()
    """Those of `parents` to whose results it refers."""
    after_failure: AfterFailure = "wait"
    optional: bool = False
    is_map: bool = False
    max_failures: int = 0
    is_placed_late: bool = False
    """Whether the partition of its job follows from a payload that is yet to be made; that of `job_id` is none then."""


class NewWorkflow(Struct, frozen=True, kw_only=True):
    """A checked workflow."""

    id: WorkflowId
    name: str
    nodes: tuple[NewNode, ...]
    """In the order of the submission."""
    created_at_ms: int
    retention_ms: int
    on_failure: OnFailure = "wait"
    result: bytes = b""
    """What its result is made of: see `millstream_workflows`; empty without one."""
    result_inputs: tuple[int, ...] = ()
    """The nodes to whose results that refers."""
    trace: str = ""
    """The W3C traceparent of its `send` span; empty without one."""
    idempotency: Idempotency | None = None
    owner: str = ""
    """Who submits it, and so the jobs of its nodes; empty where that is not known."""
