"""Several Redis servers under test: a primary with a replica under Sentinel, and a cluster.

Services reach them directly and not through proxies, because a client is told the servers' own addresses.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

import anyio.to_thread
from topologies.cluster import Cluster, three_primaries
from topologies.sentinel import SentinelTrio, sentinel_trio

from millstream_cli.redis_finder import RedisBinary, find_redis


class TrioKeeper:
    """Keeps a primary, its replica and three Sentinels; an async context manager."""

    trio: SentinelTrio

    def __init__(self, folder: Path, binary: RedisBinary | None = None) -> None:
        self._folder = folder
        self._binary = binary or find_redis()
        self._undo = ExitStack()

    @property
    def url(self) -> str:
        """Return the address, for services and checker alike."""
        return self.trio.url

    async def __aenter__(self) -> Self:
        made = sentinel_trio(self._folder, self._binary)
        self.trio = await anyio.to_thread.run_sync(self._undo.enter_context, made)
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.to_thread.run_sync(self._undo.close)


class ClusterKeeper:
    """Keeps a cluster of three primaries; an async context manager."""

    cluster: Cluster

    def __init__(self, folder: Path, binary: RedisBinary | None = None) -> None:
        self._folder = folder
        self._binary = binary or find_redis()
        self._undo = ExitStack()

    @property
    def url(self) -> str:
        """Return the address, for services and checker alike."""
        return self.cluster.url

    async def __aenter__(self) -> Self:
        made = three_primaries(self._folder, self._binary)
        self.cluster = await anyio.to_thread.run_sync(self._undo.enter_context, made)
        return self

    async def __aexit__(self, *_: object) -> None:
        await anyio.to_thread.run_sync(self._undo.close)
