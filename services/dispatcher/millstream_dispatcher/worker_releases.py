"""Knows which release each worker runs: its heartbeat says so."""

import time
from collections.abc import Collection, Mapping

from millstream_streams import Registry, StoreError

LOOK_EVERY_S = 5.0
"""How often the heartbeats are read at most, while there are workers of which nothing is known."""

_MOST_KNOWN = 10_000


class WorkerReleases:
    """The releases of workers by their names. A worker has one release for life."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[str, str] = {}
        self._looked_at = float("-inf")

    async def of(self, workers: Collection[str]) -> Mapping[str, str]:
        """Return the releases of these workers, as far as they are known: nothing waits for a Redis that is away."""
        now = time.monotonic()
        if not self._known.keys() >= set(workers) and now >= self._looked_at + LOOK_EVERY_S:
            self._looked_at = now
            await self._look()
        return {name: self._known[name] for name in workers if name in self._known}

    async def _look(self) -> None:
        try:
            found = await self._registry.workers()
        except StoreError:
            return
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        self._known |= {one.name: one.version for one in found if one.version}
