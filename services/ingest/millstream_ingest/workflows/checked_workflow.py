"""Reads and checks a workflow: its graph, and each node by the rules of every submission."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated, TypeVar

import anyio.to_thread
import msgspec
from anyio.lowlevel import checkpoint
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from millstream_contracts import (
    FieldError,
    JobType,
    NodeName,
    NodeSubmission,
    Tenant,
    TypePolicy,
    WorkflowSubmission,
    limits,
)
from millstream_ingest.http.negotiation import Encoding
from millstream_ingest.submission.bodies import CODECS, decode_as
from millstream_submission import (
    Decoded,
    Intake,
    InvalidError,
    Placing,
    SubmissionError,
    check_submission,
    chosen_partition,
    partition_of,
    too_large,
)
from millstream_workflows import Plan, PlannedNode, WorkflowError, job_of, plan, pointer_to

T = TypeVar("T")

MAX_FAULTS = 100
"""How many faults a refusal names."""

BREATHE_EVERY = 50
"""Nodes that are read at one go: other requests have their turn between."""

_decode = msgspec.msgpack.Decoder().decode


class _Workflow(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A workflow whose nodes are not decoded: the faults of a node are told with its name, and after each other."""

    name: str
    nodes: Annotated[dict[NodeName, Raw], Meta(min_length=1, max_length=limits.MAX_WORKFLOW_NODES)]
    on_failure: Raw = Raw(b"")
    result: Raw = Raw(b"")
    retention_s: Raw = Raw(b"")


class NodePlacing(Placing, frozen=True):
    """In which partition the job of a node lies, or those of its items."""

    is_late: bool = False
    """Whether its key stands in a payload that is yet to be made, and chooses the partition then."""


class CheckedWorkflow(Struct, frozen=True):
    """A workflow that keeps its rules. Its payloads are MessagePack."""

    submission: WorkflowSubmission
    plan: Plan
    placings: list[NodePlacing]
    """Of each node."""

    @property
    def identity(self) -> tuple[object, ...]:
        """Return what the workflow consists of, whatever its encoding and its layout were."""
        nodes = {
            name: (replace(node, payload=Raw(b"\xc0"), map=Raw(b"")), _value(node.payload), _value(node.map))
            for name, node in self.submission.nodes.items()
        }
        return replace(self.submission, nodes={}, result=Raw(b"\xc0")), nodes, _value(self.submission.result)


class WorkflowChecker:
    """Reads workflows, and admits them by what the workers have registered."""

    def __init__(self, intake: Intake, *, clock: Callable[[], float]) -> None:
        self._intake = intake
        self._clock = clock

    async def check(self, tenant: Tenant, body: bytes, encoding: Encoding) -> CheckedWorkflow:
        """Return the workflow of a body. Raises: SubmissionError, StoreUnavailableError."""
        submission = await self._read(body, encoding)
        try:
            # A graph of ten thousand nodes takes longer than other requests may wait.
            planned = await anyio.to_thread.run_sync(plan, submission)
        except WorkflowError as error:
            raise InvalidError(error.errors) from None

        async def placing_of(name: str, planned: PlannedNode) -> NodePlacing:
            prefix, node = pointer_to("nodes", name), submission.nodes[name]
            if planned.is_template:
                return _placing_of_template(node, await self._intake.admit_type(tenant, JobType(node.type), prefix))
            decoded = Decoded(job_of(node), bytes(node.payload), _decode(node.payload))
            policy = await self._intake.admit(tenant, decoded, prefix)
            return NodePlacing(policy.partitions, chosen_partition(decoded, policy))

        return CheckedWorkflow(submission, planned, await _all(placing_of(node.name, node) for node in planned.nodes))

    async def _read(self, body: bytes, encoding: Encoding) -> WorkflowSubmission:
        if len(body) > limits.MAX_WORKFLOW_BODY_BYTES:
            raise too_large("", "the workflow", len(body), limits.MAX_WORKFLOW_BODY_BYTES)
        read = decode_as(_Workflow, body, encoding, described=WorkflowSubmission)

        async def node_of(name: str, content: Raw) -> tuple[str, NodeSubmission]:
            return name, self._node(content, encoding, pointer_to("nodes", name))

        nodes = await _all((node_of(name, content) for name, content in read.nodes.items()))
        fields = {name: one for name in ("on_failure", "retention_s") if (one := getattr(read, name))}
        head = _head(read.name, fields, encoding)
        result = CODECS[encoding].payload(read.result, "/result")[1] if read.result else b""
        return replace(head, nodes=dict(nodes), result=Raw(result))

    def _node(self, content: Raw, encoding: Encoding, prefix: str) -> NodeSubmission:
        """Return a node with its payload as MessagePack. Raises: SubmissionError."""
        codec = CODECS[encoding]
        node = decode_as(NodeSubmission, content, encoding, prefix=prefix)
        decoded = check_submission(job_of(node), codec, prefix, self._clock)
        mapped = codec.payload(node.map, f"{prefix}/map")[1] if node.map else b""
        return replace(node, payload=Raw(decoded.payload), map=Raw(mapped))


def _head(name: str, fields: dict[str, Raw], encoding: Encoding) -> WorkflowSubmission:
    """Return a workflow without its nodes. Raises: SubmissionError."""
    encode = msgspec.json.encode if encoding is Encoding.JSON else msgspec.msgpack.encode
    placeholder = {"a": {"type": "a"}}
    return decode_as(WorkflowSubmission, encode({"name": name, "nodes": placeholder, **fields}), encoding)


async def _all(parts: Iterator[Awaitable[T]]) -> list[T]:
    """Return what each part returns. Raises: SubmissionError, with the faults of all that are refused."""
    made: list[T] = []
    faults: list[FieldError] = []
    for turn, part in enumerate(parts, start=1):
        try:
            made.append(await part)
        except InvalidError as error:
            faults += error.errors
        except SubmissionError:
            if not faults:
                raise
        if turn % BREATHE_EVERY == 0:
            await checkpoint()
    if faults:
        raise InvalidError(faults[:MAX_FAULTS])
    return made


def _placing_of_template(node: NodeSubmission, policy: TypePolicy) -> NodePlacing:
    if policy.partitions == 1:
        return NodePlacing(1)
    if policy.unique is not None or (policy.key is not None and node.key is None):
        return NodePlacing(policy.partitions, is_late=True)
    return NodePlacing(policy.partitions, partition_of(policy, node.key, None) if node.key else None)


def _value(content: Raw) -> object:
    return _decode(content) if content else None
