"""Which Redis the tests run against, and how it is started.

In this order: what MILLSTREAM_TEST_REDIS names (the URL of a running server, or the path of a server program), a
container when a Docker engine answers and has the image, a server started by the tests.
"""

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from msgspec import Struct

from millstream_cli.embedded import start_embedded_redis
from millstream_cli.redis_finder import RedisBinary, find_redis
from millstream_streams.connections import parse_redis_url

IMAGE = "redis:7"
_PORT = 6379
_DOCKER_TIMEOUT_S = 5


class RunningServer(Struct, frozen=True):
    """A server that somebody else started and ends."""

    url: str
    version: str

    def __str__(self) -> str:
        """Say what it is."""
        return f"{self.version}, running already at {parse_redis_url(self.url)!r}"

    @contextmanager
    def run(self, folder: Path) -> Iterator[str]:
        """Yield its URL."""
        yield self.url


class Container(Struct, frozen=True):
    """A container of an image that the Docker engine has."""

    version: str

    def __str__(self) -> str:
        """Say what it is."""
        return f"redis {self.version}, in a container of the local image {IMAGE}"

    @contextmanager
    def run(self, folder: Path) -> Iterator[str]:
        """Start it, yield its URL, remove it."""
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
    """A server program of this machine, started by the tests."""

    binary: RedisBinary

    def __str__(self) -> str:
        """Say what it is."""
        kind = "valkey" if "valkey" in self.binary.path.name else "redis"
        return f"{kind} {self.binary.version}, started by the tests from {self.binary.path}"

    @contextmanager
    def run(self, folder: Path) -> Iterator[str]:
        """Start it on a free port, yield its URL, end it."""
        with start_embedded_redis(folder, binary=self.binary) as server:
            yield server.url


RedisSource = RunningServer | Container | LocalServer


def choose_redis(wish: str | None) -> RedisSource:
    """Return the server of this run. `wish` is a URL, the path of a server program, or nothing.

    Raises: NoRedisError, when there is no server at all.
    """
    if wish and "://" in wish:
        return RunningServer(wish, _version_at(wish))
    if wish:
        return LocalServer(find_redis([Path(wish)]))
    return _container() or LocalServer(find_redis())


def binary_for(source: RedisSource) -> RedisBinary:
    """Return the program for a server that one test has to itself: the one of this run where it has one."""
    return source.binary if isinstance(source, LocalServer) else find_redis()


def _version_at(url: str) -> str:
    parsed = parse_redis_url(url)
    host, port = parsed.hosts[0]
    options = {"username": parsed.username, "password": parsed.password, "ssl": parsed.tls}
    with redis.Redis(host=host, port=port, protocol=2, **options) as client:
        info = client.info("server")
    return f"valkey {info['valkey_version']}" if "valkey_version" in info else f"redis {info['redis_version']}"


def _container() -> Container | None:
    """Return the container that can be started without pulling anything, or None."""
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
