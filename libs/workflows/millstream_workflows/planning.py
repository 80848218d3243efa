"""Makes of a submitted workflow a checked graph, whose nodes are told by their places."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct

from millstream_contracts import (
    AfterFailure,
    FieldError,
    NodeSubmission,
    WorkflowSubmission,
    did_you_mean,
    limits,
)
from millstream_workflows.blueprints import blueprint_of
from millstream_workflows.errors import WorkflowError
from millstream_workflows.graphs import cycle_of
from millstream_workflows.pointers import pointer_to
from millstream_workflows.references import (
    LITERAL,
    Found,
    ItemReference,
    ResultReference,
    reference_of,
    references_in,
)

MAX_FAULTS = 100
"""How many faults a refusal names."""

MAX_SHOWN_NODES = 10
"""How many nodes of a cycle a refusal names."""

MAX_NAME_CHARS = 64
"""Of a name that no node has."""

MAX_HINTS = 5
MAX_COMPARED_NAMES = 1_000
"""How many hints a refusal has, and among how many names each is looked for: a look compares with each of them."""

_decode = msgspec.msgpack.Decoder().decode


class PlannedNode(Struct, frozen=True, kw_only=True):
    """A node of a graph that is checked."""

    name: str
    type: str
    blueprint: bytes
    """What `compose` makes the submission of its job of, or `map_items` the items of its jobs."""
    parents: tuple[int, ...] = ()
    """The places of the nodes that it waits for, each once, in order."""
    inputs: tuple[int, ...] = ()
    """Those of `parents` to whose results it refers."""
    is_template: bool = False
    """Whether its payload is yet to be made of what was submitted: it has references, or a `$literal`."""
    after_failure: AfterFailure = "wait"
    optional: bool = False
    is_map: bool = False
    max_failures: int = 0


class Plan(Struct, frozen=True, kw_only=True):
    """A graph that is checked."""

    nodes: tuple[PlannedNode, ...]
    """In the order of the submission."""
    result: bytes = b""
    """What `compose_result` makes the result of; empty without one."""
    result_inputs: tuple[int, ...] = ()
    """The places of the nodes to whose results that refers."""


def plan(submission: WorkflowSubmission) -> Plan:
    """Return the graph of a workflow. Raises: WorkflowError.

    Each payload, `map` and the result is one value in MessagePack, and was checked as a payload is: its depth, its
    number of values, its size.
    """
    return _Planner(submission).plan()


class _Planner:
    """Plans one workflow, and gathers its faults."""

    def __init__(self, submission: WorkflowSubmission) -> None:
        self._submission = submission
        self._places = {name: place for place, name in enumerate(submission.nodes)}
        self._faults: list[FieldError] = []

    def plan(self) -> Plan:
        nodes = tuple(self._node(name, node) for name, node in self._submission.nodes.items())
        result_inputs = self._result()
        self._check_graph(nodes)
        if self._faults:
            raise WorkflowError(self._faults[:MAX_FAULTS])
        return Plan(nodes=nodes, result=bytes(self._submission.result), result_inputs=result_inputs)

    def _node(self, name: str, node: NodeSubmission) -> PlannedNode:
        prefix = pointer_to("nodes", name)
        is_map = bool(node.map)
        found = list(self._references(node.payload, f"{prefix}/payload"))
        if is_map:
            self._check_map(_decode(node.map), f"{prefix}/map")
        elif node.max_failures:
            self._refuse(f"{prefix}/max_failures", "is for nodes with `map`")
        listed = list(self._references(node.map, f"{prefix}/map")) if is_map else []
        self._check_items(found, is_allowed=is_map)
        self._check_items(listed, is_allowed=False)
        if node.after_failure == "run":
            self._check_defaults(found + listed, "the node runs also after a failure, and")
        inputs = self._inputs(found + listed)
        parents = inputs | self._after(node, prefix)
        if len(parents) > limits.MAX_PARENTS:
            self._refuse(prefix, f"waits for {len(parents):,} nodes; the limit is {limits.MAX_PARENTS:,}")
        # What only looks like a `$literal` costs a walk, and comes out as it went in.
        is_template = bool(found) or LITERAL.encode() in bytes(node.payload)
        return PlannedNode(
            name=name,
            type=node.type,
            blueprint=blueprint_of(node, is_template=is_template),
            parents=tuple(sorted(parents)),
            inputs=tuple(sorted(inputs)),
            is_template=is_template,
            after_failure=node.after_failure,
            optional=node.optional,
            is_map=is_map,
            max_failures=node.max_failures,
        )

    def _references(self, content: Raw, prefix: str) -> Iterator[Found]:
        if not content:
            return
        for one in references_in(_decode(content), prefix):
            if isinstance(one, FieldError):
                self._faults.append(one)
            else:
                yield one

    def _inputs(self, found: list[Found]) -> set[int]:
        inputs = set()
        for one in found:
            if isinstance(one.reference, ResultReference):
                place = self._place_of(one.reference.node, f"{one.pointer}/$result")
                if place is not None:
                    inputs.add(place)
        return inputs

    def _after(self, node: NodeSubmission, prefix: str) -> set[int]:
        places = (self._place_of(name, f"{prefix}/after/{at}") for at, name in enumerate(node.after or ()))
        return {place for place in places if place is not None}

    def _place_of(self, name: str, pointer: str) -> int | None:
        place = self._places.get(name)
        if place is None:
            shown = name if len(name) <= MAX_NAME_CHARS else name[:MAX_NAME_CHARS] + "…"
            near = islice(self._places, MAX_COMPARED_NAMES) if len(self._faults) < MAX_HINTS else ()
            self._refuse(pointer, f"there is no node `{shown}`{did_you_mean(shown, near)}")
        return place

    def _check_map(self, value: Any, prefix: str) -> None:
        reference = reference_of(value) if isinstance(value, dict) else None
        if not isinstance(reference, ResultReference):
            self._refuse(prefix, 'expected a reference to a list: `{"$result": <node>, "path": <JSON pointer>}`')

    def _check_items(self, found: list[Found], *, is_allowed: bool) -> None:
        for one in found:
            if isinstance(one.reference, ItemReference) and not is_allowed:
                self._refuse(one.pointer, "`$item` is for the payload of nodes with `map`")

    def _check_defaults(self, found: list[Found], why: str) -> None:
        for one in found:
            if isinstance(one.reference, ResultReference) and one.reference.default is UNSET:
                self._refuse(one.pointer, f"needs a `default`: {why} `{one.reference.node}` may have no result")

    def _result(self) -> tuple[int, ...]:
        found = list(self._references(self._submission.result, "/result"))
        self._check_items(found, is_allowed=False)
        nodes = self._submission.nodes
        failing = [one for one in found if _is_optional(one, nodes)]
        self._check_defaults(failing, "the node is optional, so")
        return tuple(sorted(self._inputs(found)))

    def _check_graph(self, nodes: tuple[PlannedNode, ...]) -> None:
        edges = sum(len(node.parents) for node in nodes)
        if edges > limits.MAX_WORKFLOW_EDGES:
            self._refuse("/nodes", f"has {edges:,} edges; the limit is {limits.MAX_WORKFLOW_EDGES:,}")
        if cycle := cycle_of([node.parents for node in nodes]):
            names = [nodes[place].name for place in (*cycle, cycle[0])]
            if len(names) > MAX_SHOWN_NODES:
                names = [*names[: MAX_SHOWN_NODES - 1], "…", names[-1]]
            detail = f"waits for itself: {' → '.join(names)}"
            self._refuse(pointer_to("nodes", nodes[cycle[0]].name), detail)

    def _refuse(self, pointer: str, detail: str) -> None:
        self._faults.append(FieldError(pointer, detail))


def _is_optional(found: Found, nodes: dict[str, NodeSubmission]) -> bool:
    reference = found.reference
    return isinstance(reference, ResultReference) and reference.node in nodes and nodes[reference.node].optional
