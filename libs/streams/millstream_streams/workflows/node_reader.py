"""Reads nodes of workflows for lists: pages of many thousand, of which few may be asked for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from millstream_contracts import UNDECODABLE, JobId, NodeState, Queue, Tenant, WorkflowId, limits, queue_of
from millstream_streams.connection.replies import fields_of
from millstream_streams.store.keys import Keys
from millstream_streams.store.specs import read_int
from millstream_streams.workflows.rerun import GraphNode
from millstream_streams.workflows.stored_workflow import (
    NodeHead,
    StoredItems,
    StoredNode,
    job_id_of,
    read_head,
    read_live,
    read_partition,
    read_times,
)

PLACES_AT_ONCE = 1_000


class _Row(NamedTuple):
    """What a workflow has of a node besides what never changes."""

    place: int
    live: bytes | None
    why: bytes | None
    times: bytes | None


class NodeReader:
    """Reads nodes and their results. `ask` returns the replies to commands of one slot."""

    def __init__(self, ask: Callable[[list[tuple[Any, ...]]], Awaitable[list[Any]]], keys: Keys) -> None:
        self._ask = ask
        self._keys = keys

    async def page(
        self, shard: Queue, workflow_id: WorkflowId, start: int, limit: int, states: frozenset[NodeState] | None
    ) -> tuple[list[StoredNode], int | None]:
        """Return nodes from a place on, and the place of the next; None for no more."""
        key = self._keys.of_workflows(shard).part
        (count,) = await self._ask([("HLEN", key(workflow_id, "nodes"))])
        found: list[_Row] = []
        count = (count or 0) // 2  # two fields a node
        for first in range(start, count, PLACES_AT_ONCE):
            places = range(first, min(count, first + PLACES_AT_ONCE))
            kinds = ([f"{letter}{place}" for place in places] for letter in ("", "x", "t"))
            replies = await self._ask([("HMGET", key(workflow_id, "live"), *names) for names in kinds])
            live, why, times = (reply or [None] * len(places) for reply in replies)
            rows = map(_Row, places, live, why, times)
            found += [row for row in rows if states is None or read_live(row.live)[0] in states]
            if len(found) > limit:
                break
        nodes = await self._nodes(shard, workflow_id, found[:limit])
        return nodes, found[limit].place if len(found) > limit else None

    async def jobs_of(self, shard: Queue, workflow_id: WorkflowId, places: Sequence[int]) -> list[JobId]:
        """Return the jobs of nodes as they are in the present run, without nodes with `map`."""
        if not places:
            return []
        heads = await self.heads(shard, workflow_id, places)
        key = self._keys.of_workflows(shard).part(workflow_id, "live")
        (live,) = await self._ask([("HMGET", key, *map(str, places))])
        runs = {place: read_live(text)[2] for place, text in zip(places, live or [None] * len(places), strict=True)}
        placed = await self._placed(shard, workflow_id, heads, runs)
        return [
            job_id_of(head.job_id, runs[place], partition=placed.get(place))
            for place, head in heads.items()
            if not head.is_map
        ]

    async def results(self, shard: Queue, workflow_id: WorkflowId, places: Sequence[int]) -> dict[int, bytes]:
        """Return the results that are kept, by the place of the node."""
        if not places:
            return {}
        key = self._keys.of_workflows(shard).part(workflow_id, "results")
        (found,) = await self._ask([("HMGET", key, *map(str, places))])
        return {place: result for place, result in zip(places, found or [None] * len(places), strict=True) if result}

    async def heads(self, shard: Queue, workflow_id: WorkflowId, places: Sequence[int]) -> dict[int, NodeHead]:
        """Return what nodes are, by their places."""
        if not places:
            return {}
        key = self._keys.of_workflows(shard).part(workflow_id, "nodes")
        (found,) = await self._ask([("HMGET", key, *map(str, places))])
        read = {place: read_head(text) for place, text in zip(places, found or [None] * len(places), strict=True)}
        return {place: head[0] for place, head in read.items() if head}

    async def open_items(self, shard: Queue, workflow_id: WorkflowId, place: int) -> dict[int, int | None]:
        """Return the items of a node with `map` that are started and have not ended, each with its partition.

        That is None where it is the one of the node.
        """
        held = await self._held_of_items(shard, workflow_id, place)
        upto = min(read_int(held.get(b"next")), limits.MAX_MAP_ITEMS)
        items = [item for item in range(upto) if held.get(b"%d" % item, b"r")[:1] == b"r"]
        return {item: _partition_of(held, item) for item in items}

    async def placed_items(self, shard: Queue, workflow_id: WorkflowId, place: int) -> dict[int, int]:
        """Return the partitions of items of a node that is placed late, as far as they are decided on."""
        held = await self._held_of_items(shard, workflow_id, place)
        items = [int(name[1:]) for name in held if name[:1] == b"p" and name[1:].isdigit()]
        return {item: found for item in items if (found := _partition_of(held, item)) is not None}

    async def _held_of_items(self, shard: Queue, workflow_id: WorkflowId, place: int) -> dict[bytes, bytes]:
        (found,) = await self._ask([("HGETALL", self._keys.of_workflows(shard).part(workflow_id, f"items:{place}"))])
        return fields_of(found or {})

    async def dead_items(
        self, shard: Queue, workflow_id: WorkflowId, maps: Sequence[tuple[int, GraphNode]]
    ) -> list[JobId] | None:
        """Return the dead jobs of items of nodes with `map` that have ended; None where an item runs.

        One may after its map has succeeded without it, when it was redriven.
        """
        key = self._keys.of_workflows(shard).part
        replies = (
            await self._ask([("HGETALL", key(workflow_id, f"items:{place}")) for place, _ in maps]) if maps else []
        )
        found = [(node, fields_of(reply or {})) for (_, node), reply in zip(maps, replies, strict=True)]
        if any(item.isdigit() and text[:1] == b"r" for _, held in found for item, text in held.items()):
            return None
        return [
            job_id_of(node.head.job_id, node.run, int(item), partition=_partition_of(held, int(item)))
            for node, held in found
            for item, text in held.items()
            if item.isdigit() and text[:1] == b"D"
        ]

    async def _items(self, shard: Queue, workflow_id: WorkflowId, places: Sequence[int]) -> dict[int, StoredItems]:
        key = self._keys.of_workflows(shard).part
        names = ("total", "next", "S", "D", "X", "E")
        commands = [("HMGET", key(workflow_id, f"items:{place}"), *names) for place in places]
        replies = await self._ask(commands) if commands else []
        return {place: _items_of(reply or [None] * 6) for place, reply in zip(places, replies, strict=True)}

    async def _nodes(self, shard: Queue, workflow_id: WorkflowId, rows: Sequence[_Row]) -> list[StoredNode]:
        heads = await self.heads(shard, workflow_id, [row.place for row in rows])
        parents = {parent for head in heads.values() for parent in head.parents}
        names = {place: head.name for place, head in heads.items()}
        others = await self.heads(shard, workflow_id, sorted(parents - heads.keys()))
        names |= {place: head.name for place, head in others.items()}
        items = await self._items(shard, workflow_id, [place for place, head in heads.items() if head.is_map])
        holding = await self._holding(
            shard, workflow_id, {row.place: heads[row.place] for row in rows if row.place in heads and _waits(row.live)}
        )
        placed = await self._placed(shard, workflow_id, heads, {row.place: read_live(row.live)[2] for row in rows})
        return [
            _node(
                shard.tenant,
                heads[row.place],
                names,
                row,
                items.get(row.place),
                holding.get(row.place, ()),
                partition=placed.get(row.place),
            )
            for row in rows
            if row.place in heads
        ]

    async def _placed(
        self, shard: Queue, workflow_id: WorkflowId, heads: dict[int, NodeHead], runs: dict[int, int]
    ) -> dict[int, int | None]:
        """Return the partitions of those of these nodes that are placed late, in these runs."""
        late = [place for place, head in heads.items() if head.is_placed_late and not head.is_map]
        if not late:
            return {}
        key = self._keys.of_workflows(shard).part(workflow_id, "live")
        (found,) = await self._ask([("HMGET", key, *(f"p{place}" for place in late))])
        rows = zip(late, found or [None] * len(late), strict=True)
        return {place: read_partition(text, runs[place]) for place, text in rows}

    async def _holding(
        self, shard: Queue, workflow_id: WorkflowId, waiting: dict[int, NodeHead]
    ) -> dict[int, list[tuple[int, NodeState]]]:
        """Return for nodes that wait the places and the states of those before them that keep them from starting."""
        parents = sorted({parent for head in waiting.values() for parent in head.parents})
        if not parents:
            return {}
        key = self._keys.of_workflows(shard).part
        live, graphs = await self._ask(
            [
                ("HMGET", key(workflow_id, "live"), *map(str, parents)),
                ("HMGET", key(workflow_id, "graph"), *map(str, waiting)),
            ]
        )
        states = {place: read_live(text)[0] for place, text in zip(parents, live or [None] * len(parents), strict=True)}
        letters = dict(zip(waiting, map(_letters_of, graphs or [None] * len(waiting)), strict=True))
        return {
            place: [(one, states[one]) for one in head.parents if _holds(states[one], letters[place])]
            for place, head in waiting.items()
        }


_decode_graph = msgspec.msgpack.Decoder(list[int | str]).decode
_UNDONE = frozenset({NodeState.WAITING, NodeState.STARTING, NodeState.STARTED})


def _waits(live: bytes | None) -> bool:
    return read_live(live)[0] is NodeState.WAITING


def _letters_of(graph: bytes | None) -> str:
    """Return the letters of a node in its graph, of which the first says what it does after a failure."""
    try:
        return str(_decode_graph(graph or b"")[1])
    except (IndexError, *UNDECODABLE):
        return ""  # another program wrote it


def _holds(state: NodeState, letters: str) -> bool:
    """Return whether a node in this state keeps one behind it waiting."""
    return state in _UNDONE or (state is NodeState.DEAD and letters[:1] != "r")


def _partition_of(held: Mapping[bytes, bytes], item: int) -> int | None:
    """Return the partition of an item, where it was decided on late, from the hash of the items of its node."""
    found = held.get(b"p%d" % item, b"")
    return int(found) if found.isdigit() else None


def _items_of(values: Sequence[bytes | None]) -> StoredItems:
    total, upto, *ended = (read_int(value) for value in values)
    states = (NodeState.SUCCEEDED, NodeState.DEAD, NodeState.CANCELLED, NodeState.EXPIRED)
    counts = dict(zip(states, ended, strict=True))
    counts |= {NodeState.STARTED: upto - sum(ended), NodeState.WAITING: total - upto}
    return StoredItems(total if values[0] else None, {state: count for state, count in counts.items() if count > 0})


def _node(
    tenant: Tenant,
    head: NodeHead,
    names: dict[int, str],
    row: _Row,
    items: StoredItems | None,
    holding: Sequence[tuple[int, NodeState]],
    *,
    partition: int | None,
) -> StoredNode:
    state, version, run = read_live(row.live)
    began, ended = read_times(row.times, state)
    has_job = not head.is_map and (state is NodeState.STARTED or version > 0)
    queue = queue_of(tenant, head.job_id)
    assert queue is not None
    is_over = state in (NodeState.DEAD, NodeState.CANCELLED, NodeState.EXPIRED)
    return StoredNode(
        place=row.place,
        name=head.name,
        queue=queue,
        state=state,
        first_job_id=head.job_id,
        is_placed_late=head.is_placed_late,
        job_id=job_id_of(head.job_id, run, partition=partition) if has_job else None,
        reason=row.why.decode(errors="replace") if row.why and is_over else "",
        parents=tuple(names[parent] for parent in head.parents if parent in names),
        waits_for=tuple((names[parent], state) for parent, state in holding if parent in names),
        optional=head.optional,
        is_map=head.is_map,
        items=items,
        run=run,
        began_at_ms=began,
        ended_at_ms=ended,
    )
