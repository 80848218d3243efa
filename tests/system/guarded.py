"""Runs each service as a Redis user of its own, with the rights of deploy/redis/users.acl and no others."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
from acl_users import ADMIN_ACCESS, as_user, password_of, write_users
from listening import announced_url
from msgspec import Struct
from system.running import SHORT, environment, millstream
from topologies.cluster import three_primaries
from topologies.nodes import Access, Node
from topologies.sentinel import sentinel_trio
from waiting import wait_until

from millstream import Client
from millstream_cli.parent_watch import guarded
from millstream_cli.redis_finder import RedisBinary

DOCUMENT = Path(__file__).parents[2] / "docs" / "redis-acl.md"
_READY_S = 60
_STOP_S = 60
_SILENT_MS = 30_000
_CALM = {"appendonly": "yes", "repl-diskless-sync-delay": 0}


class GuardedRedis(Struct, frozen=True):
    """Servers with the users of the file and an administrator."""

    url: str
    nodes: list[Node]

    def refusals(self) -> list[Any]:
        """Return the commands that the servers have refused to any user."""
        return [entry for node in self.nodes for entry in node.ask("ACL", "LOG")]


def infrastructure() -> list[str]:
    """Return the lines of the document for replicas and Sentinels."""
    return [line.strip() for line in DOCUMENT.read_text().splitlines() if line.startswith("    user millstream-")]


@contextmanager
def guarded_redis(folder: Path, binary: RedisBinary, mode: str) -> Iterator[GuardedRedis]:
    """Start one server, a Sentinel trio or a cluster, with the users of the file."""
    # WAITAOF is a command since 7.2: to ask for it where it is not is an error of the file.
    version = tuple(map(int, binary.version.split(".")[:2]))
    more = {"millstream-ingest": "+waitaof"} if version >= (7, 2) else {}
    users = write_users(folder / "users.acl", more=more, others=infrastructure())
    settings = {**_CALM, "aclfile": f'"{users}"'}
    with ExitStack() as undo:
        if mode == "cluster":
            cluster = undo.enter_context(three_primaries(folder / "cluster", binary, settings, access=ADMIN_ACCESS))
            yield GuardedRedis(cluster.url, cluster.nodes)
        elif mode == "sentinel":
            replica, watcher = "millstream-replica", "millstream-sentinel"
            settings |= {"masteruser": replica, "masterauth": password_of(replica)}
            watch_as = Access(username=watcher, password=password_of(watcher))
            trio = undo.enter_context(
                sentinel_trio(
                    folder / "trio", binary, settings, down_after_ms=_SILENT_MS, access=ADMIN_ACCESS, watch_as=watch_as
                )
            )
            yield GuardedRedis(trio.url, trio.servers)
        else:
            node = Node(binary, folder / "server", settings, access=ADMIN_ACCESS)
            undo.callback(node.end)
            node.start()
            # A database other than 0 has to be selected.
            yield GuardedRedis(node.url.removesuffix("0") + "1", [node])


class GuardedSystem:
    """Services as processes, each of which connects as the user of its name."""

    def __init__(self, redis: GuardedRedis, folder: Path) -> None:
        self._redis = redis
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.url = ""
        """The address of the API, once ingest has been started."""

    def client(self) -> Client:
        """Return a client of the API."""
        return Client(self.url)

    def http(self) -> httpx2.AsyncClient:
        """Return a plain HTTP client of the system."""
        return httpx2.AsyncClient(base_url=self.url, trust_env=False, timeout=60)

    def redis_url(self, user: str) -> str:
        """Return the address with a user in it."""
        return as_user(self._redis.url, f"millstream-{user}")

    async def start(self, service: str, *words: str) -> "subprocess.Popen[bytes]":
        """Start a service and return once it is ready."""
        log = self._folder / f"{service}-{len(self._processes)}.log"
        process = self._run(service, words, log)
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
            await wait_until(lambda: _is_ready(http, log), f"{service} is ready; see {log}", _READY_S)
        if service == "ingest":
            await wait_until(lambda: announced_url(log, "listening"), f"ingest listens; see {log}", _READY_S)
            self.url = announced_url(log, "listening") or ""
        return process

    def _run(self, service: str, words: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
        if service == "ingest":
            words = (*words, "--port", "0")
        with log.open("wb") as output:
            process = subprocess.Popen(
                guarded(millstream(service, *words)),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment(**SHORT, MILLSTREAM_REDIS_URL=self.redis_url(service), MILLSTREAM_ADMIN_PORT="0"),
                cwd=self._folder,
            )
        self._processes.append(process)
        return process

    def logs(self) -> str:
        """Return all that the services have logged."""
        return "".join(path.read_text() for path in sorted(self._folder.glob("*.log")))

    def stop(self) -> Sequence[int]:
        """Stop the services that still run. Returns: the exit codes."""
        running = [process for process in self._processes if process.poll() is None]
        for process in running:
            process.terminate()
        return [process.wait(_STOP_S) for process in running]

    def kill(self) -> None:
        """Kill the services that still run."""
        for process in self._processes:
            process.kill()
            process.wait(_STOP_S)
            if process.stdin:
                process.stdin.close()


async def _is_ready(http: httpx2.AsyncClient, log: Path) -> bool:
    if (url := announced_url(log, "admin")) is None:
        return False
    try:
        return (await http.get(f"{url}/readyz")).status_code == 200
    except httpx2.HTTPError:
        return False
