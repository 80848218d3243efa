"""A Redis for one measurement: on loopback, without persistence, and deleted afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from millstream_cli.embedded import start_embedded_redis


class RedisServer:
    """A running server."""

    def __init__(self, url: str, version: str, client: Redis) -> None:
        self.url = url
        self.version = version
        self._client = client

    def cpu_s(self) -> float:
        """Return the CPU seconds of the server."""
        info = self._client.info("cpu")
        return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])


@contextmanager
def fresh_redis() -> Iterator[RedisServer]:
    """Start an empty server, and end it afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        start_embedded_redis(Path(folder)) as server,
        Redis.from_url(server.url) as client,
    ):
        client.config_set("appendonly", "no")
        yield RedisServer(server.url, server.version, client)
