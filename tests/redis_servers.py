"""Chooses and starts the Redis servers of the tests.

If MILLSTREAM_TEST_REDIS names the URL of a running server, tests run on that alone; if it names the path of a server
program, on that program alone. Otherwise most tests run on one server, a container if a Docker engine has the image, or
one that the tests start; and those of the store on every server of this machine, on a primary with a replica under
Sentinel and on a cluster.
"""

import gc
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
import redis
from msgspec import Struct
from topologies.cluster import three_primaries
from topologies.sentinel import sentinel_trio
from topologies.servers import SOURCES, Missing, find_servers, name_of

from millstream_cli.embedded import start_embedded_redis
from millstream_cli.redis_finder import RedisBinary, find_redis
from millstream_streams import parse_redis_url

IMAGE = "redis:7"
_PORT = 6379
_DOCKER_TIMEOUT_S = 5
_SILENT_MS = 30_000


class RunningServer(Struct, frozen=True):
    """A server that the tests neither start nor end."""

    url: str
    version: str

    def __str__(self) -> str:
        """Return a description."""
        return f"{self.version}, running already at {parse_redis_url(self.url)!r}"

    @property
    def name(self) -> str:
        """Return the mark of the tests that run on it."""
        kind, _, version = self.version.partition(" ")
        return "-".join([kind, ".".join(version.split(".")[:2]), *([self.mode] if self.mode != "single" else [])])

    @property
    def mode(self) -> str:
        """Return the mode that its URL names."""
        return parse_redis_url(self.url).mode

    @contextmanager
    def run(self, folder: Path) -> Iterator[str]:
        """Yield the URL."""
        yield self.url


class Container(Struct, frozen=True):
    """A container of an image that the Docker engine has."""

    version: str

    def __str__(self) -> str:
        """Return a description."""
        return f"redis {self.version}, in a container of the local image {IMAGE}"

    @property
    def name(self) -> str:
        """Return the mark of the tests that run on it."""
        return "redis-container"

    @property
    def mode(self) -> str:
        """Return the mode that a URL names."""
        return "single"

    @contextmanager
    def run(self, folder: Path) -> Iterator[str]:
        """Start the container, yield its URL, and remove it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not our code
            from testcontainers.core.config import testcontainers_config
            from testcontainers.core.container import DockerContainer
            from testcontainers.core.wait_strategies import LogMessageWaitStrategy
        # The watchdog of testcontainers is an image of its own, which would have to be pulled.
        testcontainers_config.ryuk_disabled = True
        ready = LogMessageWaitStrategy("Ready to accept connections")
        container = DockerContainer(IMAGE).with_exposed_ports(_PORT).waiting_for(ready)
        with container.with_command("redis-server --appendonly yes --bind 0.0.0.0 --protected-mode no") as running:
            yield f"redis://{running.get_container_host_ip()}:{running.get_exposed_port(_PORT)}/0"


class LocalServer(Struct, frozen=True):
    """A server program of this machine that the tests start: one server, a Sentinel trio or a cluster."""

    binary: RedisBinary
    mode: str = "single"

    def __str__(self) -> str:
        """Return a description."""
        return f"{self.name} ({self.binary.version}), started by the tests from {self.binary.path}"

    @property
    def name(self) -> str:
        """Return the mark of the tests that run on it."""
        return name_of(self.binary) + ("" if self.mode == "single" else f"-{self.mode}")

    @contextmanager
    def run(self, folder: Path) -> Iterator[str]:
        """Start it on free ports, yield its URL, and end it."""
        # On a busy machine a server may be silent for seconds: here that must not begin a failover.
        makers = {
            "single": start_embedded_redis,
            "sentinel": partial(sentinel_trio, down_after_ms=_SILENT_MS),
            "cluster": partial(three_primaries, options={"cluster-node-timeout": _SILENT_MS}),
        }
        with makers[self.mode](folder, binary=self.binary) as server:
            yield server.url


RedisSource = RunningServer | Container | LocalServer


class Servers(Struct, frozen=True):
    """The servers of this run."""

    default: RedisSource
    """The server of all tests that run on one server."""
    every: dict[str, RedisSource]
    """The servers by name, for the tests that run on each."""
    missing: list[Missing]

    @property
    def programs(self) -> dict[str, RedisBinary]:
        """Return the programs for tests that start servers of their own, by name."""
        singles = [one for one in self.every.values() if isinstance(one, LocalServer) and one.mode == "single"]
        found = [one.binary for one in singles] or [binary_for(self.default)]
        return {name_of(binary): binary for binary in found}

    def report(self) -> list[str]:
        """Return which servers are used and which are missing, a line for each."""
        return [
            f"redis under test: {self.default}",
            f"redis under the tests of the store: {', '.join(self.every)}",
            *(f"redis not found: {one.name}: {one.reason}" for one in self.missing),
        ]


SERVERS = pytest.StashKey[Servers]()
"""The key under which pytest keeps the servers."""


class ServerPool:
    """Starts each server when it is first asked for, and ends all of them together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._undo = ExitStack()
        self._urls: dict[str, str] = {}

    def url_of(self, source: RedisSource) -> str:
        """Return the URL of a server, which runs from now on."""
        if source.name not in self._urls:
            self._urls[source.name] = self._undo.enter_context(source.run(self._folder / source.name))
        return self._urls[source.name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()


def choose_servers(wish: str | None) -> Servers:
    """Return the servers of this run. `wish` is a URL, the path of a server program, or nothing.

    Raises: NoRedisError, when there is no server at all.
    """
    default = choose_redis(wish)
    if wish:
        one = name_of(default.binary) if isinstance(default, LocalServer) else default.name
        absent = [Missing(source.wanted, f"MILLSTREAM_TEST_REDIS names {one}") for source in SOURCES]
        return Servers(default, _by_name(_topologies(default)), [gap for gap in absent if not _is(one, gap.name)])
    found, missing = find_servers()
    singles = [LocalServer(binary) for binary in found.values()]
    return Servers(default, _by_name([*singles, *_topologies(default)]), missing)


def choose_redis(wish: str | None) -> RedisSource:
    """Return the server of this run. `wish` is a URL, the path of a server program, or nothing.

    Raises: NoRedisError, when there is no server at all.
    """
    if wish and "://" in wish:
        return RunningServer(wish, _version_at(wish))
    if wish:
        return LocalServer(find_redis([Path(wish)]))
    return _container() or LocalServer(find_redis())


def _topologies(default: RedisSource) -> list[RedisSource]:
    """Return the default server, and the topologies that its program can form."""
    if not isinstance(default, LocalServer):
        return [default]
    return [default, LocalServer(default.binary, "sentinel"), LocalServer(default.binary, "cluster")]


def _by_name(sources: list[RedisSource]) -> dict[str, RedisSource]:
    return {source.name: source for source in sources}


def _is(name: str, wanted: str) -> bool:
    return f"{name}.".startswith(f"{wanted}.")


def binary_for(source: RedisSource) -> RedisBinary:
    """Return the program for a server of one test's own: that of this run, if it has one."""
    return source.binary if isinstance(source, LocalServer) else find_redis()


def _version_at(url: str) -> str:
    parsed = parse_redis_url(url)
    host, port = parsed.hosts[0]
    options = {"username": parsed.username, "password": parsed.password, "ssl": parsed.tls}
    with redis.Redis(host=host, port=port, protocol=2, **options) as client:
        info = client.info("server")
    return f"valkey {info['valkey_version']}" if "valkey_version" in info else f"redis {info['redis_version']}"


def _container() -> Container | None:
    """Return the container that can be started without a download, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not our code: it forgets the socket of an engine that does not answer
        version = _image_version()
        gc.collect()
    return None if version is None else Container(version)


def _image_version() -> str | None:
    import docker

    try:
        client = docker.from_env(timeout=_DOCKER_TIMEOUT_S)
    except docker.errors.DockerException:
        return None
    try:
        variables = client.images.get(IMAGE).attrs["Config"]["Env"]
    except (docker.errors.DockerException, OSError):
        return None
    finally:
        client.close()
    return dict(variable.split("=", 1) for variable in variables).get("REDIS_VERSION", "of unknown version")
