"""The Redis under test: a real server with `appendfsync always`, which can be killed, restarted and filled."""

import os
import signal
from functools import partial
from pathlib import Path
from typing import Self

import anyio.to_thread
import redis.asyncio
from ports import reserve_ports

from millstream_cli.embedded import EmbeddedRedis, start_embedded_redis
from millstream_cli.redis_finder import RedisBinary, find_redis
from millstream_streams.connection.address import parse_redis_url
from millstream_streams.connection.connections import connect
from millstream_streams.connection.faults import with_retries

HOST = "127.0.0.1"
PATIENCE_S = 30.0


class RedisKeeper:
    """Keeps one server; an async context manager."""

    def __init__(self, folder: Path, binary: RedisBinary | None = None) -> None:
        self._folder = folder
        self._binary = binary or find_redis()
        self._server: EmbeddedRedis | None = None
        self.client: redis.asyncio.Redis
        """A client of the server without a proxy, for the checker, and for the actions of an operator."""

    @property
    def address(self) -> tuple[str, int]:
        """Return the address, which is the same after each start."""
        assert self._server is not None
        return HOST, self._server.port

    @property
    def url(self) -> str:
        """Return the address for a client without a proxy."""
        assert self._server is not None
        return self._server.url

    async def __aenter__(self) -> Self:
        await self._start(*reserve_ports(1))
        self.client = connect(parse_redis_url(self.url))
        await self._fsync_always()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await anyio.to_thread.run_sync(self.kill)

    def kill(self) -> None:
        """Kill the server, as a power cut does."""
        if self._server is not None and self._server.returncode is None:
            os.kill(self._server.pid, signal.SIGKILL)
            self._server.close()

    async def restart(self) -> None:
        """Start the server again with its data, on its port and without its scripts."""
        assert self._server is not None
        await self._start(self._server.port)
        await self.client.connection_pool.disconnect()
        await self._fsync_always()

    async def fill(self) -> None:
        """Set maxmemory so that the server is full."""
        await self._set("maxmemory", "1mb")

    async def empty(self) -> None:
        """Remove that bound."""
        await self._set("maxmemory", "0")

    async def _start(self, port: int) -> None:
        start = partial(start_embedded_redis, self._folder, port, binary=self._binary)
        self._server = await anyio.to_thread.run_sync(start)

    async def _fsync_always(self) -> None:
        # After the start, since the embedded server starts with everysec. What is written in between survives the
        # death of the process as well, for the kernel has it.
        await self._set("appendfsync", "always")

    async def _set(self, name: str, value: str) -> None:
        # With patience: this loop has the proxies of nine processes on it, and a connection may take its time.
        await with_retries(lambda _: self.client.config_set(name, value), PATIENCE_S, lambda: None)
