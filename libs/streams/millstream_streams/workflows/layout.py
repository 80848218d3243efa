"""Lays a new workflow out as scripts/workflows/create.lua takes it: nodes with the edges behind them, some a call."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from millstream_streams.store.scripting import Argument, packed
from millstream_streams.workflows.new_workflow import NewNode, NewWorkflow
from millstream_streams.workflows.stored_workflow import NodeHead, head_text

NODES_A_CALL = 500
BYTES_A_CALL = 2 << 20
"""A script must not stand still for long, nor a connection be held by one request."""

MAX_NOTED_TYPES = 200
"""The hash of a workflow is read for every list."""

_encode = msgspec.msgpack.Encoder().encode


class Part(Struct, frozen=True):
    """The nodes of one call."""

    first: int
    """The place of the first one."""
    rows: list[Argument]
    """Four values a node."""


def fields_of_new(new: NewWorkflow) -> bytes:
    """Return the fields of the hash of a workflow."""
    inputs = [(place, new.nodes[place].name) for place in new.result_inputs]
    options = " ".join(filter(None, (str(new.retention_ms), new.on_failure, new.trace)))
    fields: list[str | bytes] = ["name", new.name, "options", options]
    maps = ",".join(str(place) for place, node in enumerate(new.nodes) if node.is_map)
    for name, value in (
        ("maps", maps),
        ("trace", new.trace),
        ("result", new.result),
        ("inputs", _encode(inputs) if inputs else b""),
        ("owner", new.owner),
        ("types", _types_of(new)),
    ):
        if value:
            fields += (name, value)
    return packed(fields)


def _types_of(new: NewWorkflow) -> str:
    """Return the job types of a workflow; nothing of one with so many that no narrowed key asks for it."""
    types = sorted({node.queue.type for node in new.nodes})
    return ",".join(types) if len(types) <= MAX_NOTED_TYPES else ""


def roots_of(new: NewWorkflow) -> bytes:
    """Return the graph of what stands before the nodes that wait for none; its edges are the first ones."""
    return _encode([0, "-", *(place for place, node in enumerate(new.nodes) if not node.parents)])


def parts_of(new: NewWorkflow) -> Iterator[Part]:
    """Cut a workflow into calls."""
    children: list[list[int]] = [[] for _ in new.nodes]
    wanted = {*new.result_inputs, *(place for node in new.nodes for place in node.inputs)}
    for place, node in enumerate(new.nodes):
        for parent in node.parents:
            children[parent].append(place)
    edge = sum(not node.parents for node in new.nodes)
    part, size = Part(0, []), 0
    for place, node in enumerate(new.nodes):
        is_wanted = place in wanted
        graph = _encode([edge, _letters(node, is_wanted=is_wanted), *children[place]])
        edge += len(children[place])
        row = (head_text(_head(new, node), wants_result=is_wanted), node.blueprint, graph, len(node.parents))
        size += len(node.blueprint) + len(graph)
        if part.rows and (len(part.rows) >= 4 * NODES_A_CALL or size > BYTES_A_CALL):
            yield part
            part, size = Part(place, []), len(node.blueprint)
        part.rows.extend(row)
    yield part


def _head(new: NewWorkflow, node: NewNode) -> NodeHead:
    inputs = tuple((place, new.nodes[place].name) for place in node.inputs)
    return NodeHead(
        node.name,
        node.job_id,
        node.parents,
        inputs,
        node.optional,
        node.is_map,
        node.max_failures,
        node.is_placed_late,
    )


def _letters(node: NewNode, *, is_wanted: bool) -> str:
    """Return the letters of a node in its graph: what it does after a failure, and then what else there is to it."""
    flags = (("o", node.optional), ("m", node.is_map), ("k", is_wanted))
    return node.after_failure[0] + "".join(letter for letter, is_set in flags if is_set)
