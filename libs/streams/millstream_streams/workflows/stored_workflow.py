"""What Redis holds of a workflow, as it is read; and what is to be done for one."""

import hashlib
from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import (
    UNDECODABLE,
    JobId,
    NodeState,
    Queue,
    Tenant,
    WorkflowId,
    WorkflowState,
    is_among,
    queue_of,
)
from millstream_contracts.ids import derived_job_id, made_at_ms
from millstream_streams.store.flow_values import CreateCode

LETTERS = {
    "w": NodeState.WAITING,
    "g": NodeState.STARTING,
    "r": NodeState.STARTED,
    "S": NodeState.SUCCEEDED,
    "D": NodeState.DEAD,
    "X": NodeState.CANCELLED,
    "E": NodeState.EXPIRED,
}
"""The states of nodes by their letters in scripts/_workflows.lua, in the order of its counts."""


class RerunCode(IntEnum):
    """What became of a request for a rerun. The numbers but RUNNING are those of scripts/workflows/rerun.lua."""

    DONE = 1
    REPLAYED = 2
    """The last rerun was by the same request."""
    CHANGED = 0
    """The workflow went on meanwhile, again and again."""
    RUNNING = -1
    """A node that would run again has not ended; or there is none that has failed."""
    NOT_FOUND = -2


class WorkflowCreated(Struct, frozen=True):
    """The answer for a new workflow."""

    id: WorkflowId
    code: CreateCode


class StoredWorkflow(Struct, frozen=True, kw_only=True):
    """A workflow. Times are Unix ms by the clock of Redis."""

    id: WorkflowId
    name: str
    state: WorkflowState
    counts: dict[NodeState, int]
    """Without states that no node is in."""
    run: int
    on_failure: str
    retention_ms: int
    created_at_ms: int
    finished_at_ms: int | None = None
    reason: str = ""
    result: bytes = b""
    """What its result is made of; empty without one."""
    result_inputs: tuple[tuple[int, str], ...] = ()
    """Place and name of each node to whose result that refers."""
    trace: str = ""
    """The traceparent of its `send` span; empty without one."""
    place: float = 0.0
    """In lists, where it was read for one: Unix ms of its creation, later by some us than those before it."""
    types: tuple[str, ...] = ()
    """The job types of its nodes; empty where they were not noted."""
    owner: str = ""
    """Who has submitted it; empty where that is not known."""
    turn: int = 0
    """Grows with each change; not before 1,000 times its Unix ms."""

    def is_of(self, patterns: Sequence[str]) -> bool:
        """Return whether the types of all nodes are known, and each is one of those that patterns name."""
        return bool(self.types) and all(is_among(one, patterns) for one in self.types)

    @property
    def moved_at_ms(self) -> int:
        """Return when it last changed."""
        return self.turn // 1000


class NodeHead(Struct, frozen=True, array_like=True):
    """What a node is, without its blueprint. As it is stored."""

    name: str
    job_id: JobId
    parents: tuple[int, ...] = ()
    inputs: tuple[tuple[int, str], ...] = ()
    optional: bool = False
    is_map: bool = False
    max_failures: int = 0
    is_placed_late: bool = False
    """Whether the partition of its job, or of those of its items, is decided on before they are started."""


class StoredItems(Struct, frozen=True):
    """How many jobs of a node with `map` are in which state."""

    total: int | None
    """None until the list is known."""
    counts: dict[NodeState, int]


class StoredNode(Struct, frozen=True, kw_only=True):
    """A node as it is shown."""

    place: int
    name: str
    queue: Queue
    state: NodeState
    first_job_id: JobId
    """The id of its job in the first run, from which those of others and of items follow."""
    is_placed_late: bool = False
    """Whether their partition is another one, which follows from their payloads."""
    job_id: JobId | None = None
    """None before it is started, and for one with `map`."""
    reason: str = ""
    parents: tuple[str, ...] = ()
    waits_for: tuple[tuple[str, NodeState], ...] = ()
    """The names and the states of those parents that keep it from starting."""
    optional: bool = False
    is_map: bool = False
    items: StoredItems | None = None
    """Of one with `map`."""
    run: int = 1
    began_at_ms: int | None = None
    """When it could start, in its last run; None while it waits, and of one that never could. Unix ms."""
    ended_at_ms: int | None = None
    """When its workflow was told that it has ended."""


class TaskKind(StrEnum):
    """What is to be done for a node."""

    START = "s"
    UNDO = "x"
    """See that no job of it runs: its workflow is cancelled."""


class NodeTask(Struct, frozen=True, kw_only=True):
    """What is to be done for a node, under a lease."""

    entry: str
    """Its entry in the outbox, by which it is confirmed."""
    kind: TaskKind
    workflow: WorkflowId
    node: str
    run: int
    head: NodeHead
    blueprint: bytes
    results: dict[str, bytes]
    """What it refers to, by the names of nodes, in MessagePack."""
    is_secret: bool = False
    """Whether results of encrypted jobs among them were decrypted."""
    wants_result: bool
    """Whether its own result is referred to."""
    trace: str = ""
    owner: str = ""
    """Who has submitted the workflow; empty where that is not known."""
    next_item: int = 0
    """Of a node with `map`: the item that is started next."""
    known_items: str = ""
    """The letters of items from there, `-` for one of which nothing is known."""
    partitions: tuple[int | None, ...] = ()
    """Of one that is placed late, the partition of its job, or of each of these items; None before it is decided on."""

    @property
    def partition(self) -> int | None:
        """The partition of its job, where that was decided on late."""
        return self.partitions[0] if self.partitions else None

    def partition_of(self, item: int) -> int | None:
        """Return the partition of the job of an item, where that was decided on late."""
        at = item - self.next_item
        return self.partitions[at] if at < len(self.partitions) else None

    @property
    def job_id(self) -> JobId:
        """The id of its job."""
        return job_id_of(self.head.job_id, self.run, partition=self.partition)


class TakenTasks(Struct, frozen=True):
    """What a shard has to be done."""

    next_in_ms: int | None
    tasks: list[NodeTask]
    unreadable: list[str]
    """The entries of tasks that this release cannot read."""
    ended: list[WorkflowId]
    """The workflows that have ended by what was confirmed."""


class TakenEnds(Struct, frozen=True):
    """Workflows of a shard that have ended and that the history does not have yet."""

    next_in_ms: int | None
    """When the next may be taken; None for no more."""
    waiting: int
    """How many there are, with those that are taken."""
    places: dict[WorkflowId, float]
    """Those that are taken, with their places in lists."""


def job_id_of(first: JobId, run: int, item: int | None = None, *, partition: int | None = None) -> JobId:
    """Return the id of the job of a node in a run: that of the first run was decided on with the workflow.

    `partition` is that of the job where it was decided on late.
    """
    queue = queue_of(Tenant(""), first)
    if queue is None or (run == 1 and item is None and partition is None):
        return first
    if partition is not None:
        queue = replace(queue, partition=partition)
    digest = hashlib.blake2b(f"{first} {run} {item}".encode(), digest_size=16).digest()
    return derived_job_id(queue, made_at_ms(first), digest)


_decode_head = msgspec.msgpack.Decoder(NodeHead).decode
_decode_inputs = msgspec.msgpack.Decoder(tuple[tuple[int, str], ...]).decode
_encode = msgspec.msgpack.Encoder().encode


def head_text(head: NodeHead, *, wants_result: bool) -> bytes:
    """Return what a node is as scripts/workflows has it.

    That is `p` of one that is placed late, which keeps dispatchers of earlier releases from it, `m` of one with `map`,
    the places that it refers to, a line feed, and the head.
    """
    letters = ("p" if head.is_placed_late else "") + ("m" if head.is_map else "")
    places = letters + ",".join(str(place) for place, _ in head.inputs)
    return b"%s\n%s%s" % (places.encode(), b"k" if wants_result else b"-", _encode(head))


def read_head(text: bytes | None) -> tuple[NodeHead, bool] | None:
    """Return what :func:`head_text` was made of; None for what this release cannot read."""
    _, found, rest = (text or b"").partition(b"\n")
    if not found:
        return None
    try:
        return _decode_head(rest[1:]), rest[:1] == b"k"
    except UNDECODABLE:
        return None


def read_workflow(workflow_id: WorkflowId, fields: Mapping[bytes, bytes]) -> StoredWorkflow | None:
    """Return what a hash has; None for a draft, and when another program wrote it."""
    try:
        numbers = [int(one) for one in fields[b"counts"].split()][: len(LETTERS)]
        retention, on_failure, *trace = fields[b"options"].decode().split(" ")
        counts = {state: number for state, number in zip(LETTERS.values(), numbers, strict=True) if number}
        finished = fields.get(b"finished_at")
        return StoredWorkflow(
            id=workflow_id,
            name=fields[b"name"].decode(),
            state=WorkflowState(fields[b"state"].decode()),
            counts=counts,
            run=int(fields[b"run"]),
            on_failure=on_failure,
            retention_ms=int(retention),
            created_at_ms=int(fields[b"created_at"]),
            finished_at_ms=int(finished) if finished else None,
            reason=fields.get(b"reason", b"").decode(),
            result=fields.get(b"result", b""),
            result_inputs=_decode_inputs(fields[b"inputs"]) if b"inputs" in fields else (),
            trace="".join(trace),
            types=tuple(filter(None, fields.get(b"types", b"").decode().split(","))),
            owner=fields.get(b"owner", b"").decode(),
            turn=int(fields.get(b"turn", b"0")),
        )
    except (KeyError, ValueError, *UNDECODABLE):
        return None


def read_live(text: bytes | None) -> tuple[NodeState, int, int]:
    """Return state, version and run of a node; of one that cannot be read, that it waits."""
    letter, version, run, *_ = (*(text or b"").decode(errors="replace").split(), "", "", "")
    state = LETTERS.get(letter)
    if state is None or not version.isdecimal() or not run.isdecimal():
        return NodeState.WAITING, 0, 1
    return state, int(version), int(run)


def read_times(text: bytes | None, state: NodeState) -> tuple[int | None, int | None]:
    """Return when a node began and ended, Unix ms; what it has not done in its present run is None."""
    began, _, ended = (text or b"").partition(b" ")
    if state is NodeState.WAITING or not began.isdigit():
        return None, None
    is_over = state not in {NodeState.STARTING, NodeState.STARTED} and ended.isdigit()
    return int(began), int(ended) if is_over else None


def read_partition(text: bytes | None, run: int) -> int | None:
    """Return the partition of the job of a node that is placed late; None before it is decided on in this run."""
    held_run, _, partition = (text or b"").partition(b" ")
    return int(partition) if partition.isdigit() and held_run == b"%d" % run else None


def read_task(
    entry: bytes, head: bytes, blueprint: bytes, trace: bytes, results: Sequence[bytes], *where: bytes
) -> NodeTask | None:
    """Return what is to be done; None when this release cannot read it.

    `where` are its items, the partitions that were decided on late, and who has submitted the workflow.
    """
    items, placed, owner = where
    kind, workflow, node, run, *_ = (*entry.decode(errors="replace").split(" "), "", "", "", "")
    read = read_head(head)
    if read is None or not run.isdecimal() or kind not in set(TaskKind):
        return None
    names = {str(place).encode(): name for place, name in read[0].inputs}
    first, _, letters = items.decode().partition(" ")
    values = iter(results)
    found = {names[place]: result for place, result in zip(values, values, strict=True) if place in names}
    return NodeTask(
        entry=entry.decode(),
        kind=TaskKind(kind),
        workflow=WorkflowId(workflow),
        node=node,
        run=int(run),
        head=read[0],
        blueprint=blueprint,
        results=found,
        wants_result=read[1],
        trace=trace.decode(errors="replace"),
        owner=owner.decode(errors="replace"),
        next_item=int(first or 0),
        known_items=letters,
        partitions=tuple(int(one) if one.isdigit() else None for one in placed.split()),
    )
