"""Decides which nodes run again, and what a workflow is like then. No I/O happens here."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from millstream_contracts import JobId, NodeState
from millstream_streams.connection.replies import fields_of
from millstream_streams.store.scripting import Argument, packed
from millstream_streams.workflows.stored_workflow import (
    LETTERS,
    NodeHead,
    job_id_of,
    read_head,
    read_live,
    read_partition,
)

_OPEN = (NodeState.STARTING, NodeState.STARTED)
_FAILED = (NodeState.DEAD, NodeState.CANCELLED, NodeState.EXPIRED)
_decode = msgspec.msgpack.Decoder(list[int | str]).decode


class GraphNode(Struct):
    """A node of a graph, as it is now."""

    head: NodeHead
    first_edge: int
    letters: str
    children: list[int]
    state: NodeState
    version: int
    run: int
    partition: int | None = None
    """Of its job, where it was decided on late."""

    @property
    def job_id(self) -> JobId:
        """The id of its job."""
        return job_id_of(self.head.job_id, self.run, partition=self.partition)


class Graph(Struct):
    """The nodes of a workflow by their places, and the bits of its edges."""

    nodes: list[GraphNode]
    bits: bytearray

    def is_done(self, edge: int) -> bool:
        """Return whether an edge is done."""
        return bool(self.bits[edge >> 3] & 128 >> (edge & 7))

    def clear(self, edge: int) -> None:
        """Have an edge not done."""
        self.bits[edge >> 3] &= ~(128 >> (edge & 7)) & 255


class Rerun(Struct, frozen=True):
    """A rerun that was decided on."""

    maps: list[tuple[int, GraphNode]]
    """Nodes with `map` that run again, with their places: of them there may be dead jobs of items."""

    dead: list[JobId]
    """The dead jobs of nodes that run again, which are to be discarded."""
    arguments: list[Argument]
    """Those of scripts/workflows/rerun.lua from the fifth on."""


def read_graph(graph: object, live: object, nodes: object, edges: bytes | None) -> Graph:
    """Return a graph of what Redis has of it. Raises: KeyError, ValueError, for what another program wrote."""
    graphs, states, heads = fields_of(graph or {}), fields_of(live or {}), fields_of(nodes or {})
    read = []
    count = 0
    for place in range(len(heads) // 2):  # two fields a node
        name = b"%d" % place
        first, letters, *children = _decode(graphs[name])
        found = read_head(heads[name])
        if found is None:
            raise ValueError("a node cannot be read")
        state, version, run = read_live(states.get(name))
        partition = read_partition(states.get(b"p%d" % place), run)
        behind = [int(one) for one in children]
        read.append(GraphNode(found[0], int(first), str(letters), behind, state, version, run, partition))
        count = max(count, int(first) + len(children))
    bits = bytearray(edges or b"")
    bits.extend(bytes((count >> 3) + 1 - len(bits)))
    return Graph(read, bits)


def plan_rerun(graph: Graph, places: Sequence[int] | None, *, run: int) -> Rerun | None:
    """Return a rerun of these nodes; None when one of them or of those behind has not ended, or when there is none."""
    again = nodes_again(graph, places)
    if not again or any(graph.nodes[place].state in _OPEN for place in again):
        return None
    for place in again:
        node = graph.nodes[place]
        for edge in range(node.first_edge, node.first_edge + len(node.children)):
            graph.clear(edge)
    dead = [
        node.job_id
        for place in sorted(again)
        if (node := graph.nodes[place]).state is NodeState.DEAD and node.version and not node.head.is_map
    ]
    maps = [(place, graph.nodes[place]) for place in sorted(again) if graph.nodes[place].head.is_map]
    return Rerun(maps, dead, _arguments(graph, again, run))


def nodes_again(graph: Graph, places: Sequence[int] | None) -> set[int]:
    """Return the nodes that run again: those asked for, or else all that failed, all behind, and what failed before."""
    if places is None:
        places = [place for place, node in enumerate(graph.nodes) if node.state in _FAILED]
    chosen, pending = set(places), list(places)
    while pending:
        node = graph.nodes[pending.pop()]
        failed = [parent for parent in node.head.parents if graph.nodes[parent].state in _FAILED]
        if node.letters[:1] == "r":
            failed = []  # it does not mind
        for other in (*node.children, *failed):
            if other not in chosen:
                chosen.add(other)
                pending.append(other)
    return chosen


def _arguments(graph: Graph, again: set[int], run: int) -> list[Argument]:
    open_edges = dict.fromkeys(again, 0)
    for node in graph.nodes:
        for at, child in enumerate(node.children):
            if child in again and not graph.is_done(node.first_edge + at):
                open_edges[child] += 1
    ready = [number for place in sorted(again) if not open_edges[place] for number in (place, run)]
    fields: list[str | bytes] = []
    for place in again:
        letter = "w" if open_edges[place] else "g"
        fields += (str(place), f"{letter} 0 {run}", f"n{place}", str(max(1, open_edges[place])))
    states = [node.state for place, node in enumerate(graph.nodes) if place not in again]
    states += [NodeState.WAITING if open_edges[place] else NodeState.STARTING for place in again]
    counts = " ".join(str(states.count(state)) for state in LETTERS.values())
    bad = sum(
        node.state in _FAILED and not node.head.optional for place, node in enumerate(graph.nodes) if place not in again
    )
    names = packed([str(place) for place in sorted(again)])
    return [counts, bad, bytes(graph.bits), packed(fields), names, run, *ready]
