"""Reads which results nodes of workflows take, and how large these are, without reading the results."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from millstream_contracts import Queue, WorkflowId
from millstream_streams.store.keys import Keys
from millstream_streams.workflows.node_reader import NodeReader


class InputReader:
    """Reads the inputs of nodes. `ask` returns the replies to commands of one slot."""

    def __init__(
        self, ask: Callable[[list[tuple[Any, ...]]], Awaitable[list[Any]]], nodes: NodeReader, keys: Keys
    ) -> None:
        self._ask = ask
        self._heads = nodes.heads
        self._keys = keys

    async def read(
        self, shard: Queue, workflow_id: WorkflowId, places: Sequence[int]
    ) -> dict[int, list[tuple[str, int | None]]]:
        """Return to which results nodes refer: by place the names of the nodes, and the bytes; None for no result."""
        heads = await self._heads(shard, workflow_id, places)
        wanted = sorted({place for head in heads.values() for place, _ in head.inputs})
        key = self._keys.of_workflows(shard).part(workflow_id, "results")
        found = await self._ask([("HSTRLEN", key, str(place)) for place in wanted]) if wanted else []
        sizes = dict(zip(wanted, found, strict=True))
        return {place: [(name, sizes[one] or None) for one, name in head.inputs] for place, head in heads.items()}
