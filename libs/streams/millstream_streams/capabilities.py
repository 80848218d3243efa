"""What the connected server is, what it lacks, and whether jobs are safe on it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from redis.exceptions import NoPermissionError, ResponseError

from millstream_streams.address import RedisAddress
from millstream_streams.connections import Client
from millstream_streams.errors import StoreUnavailableError, UnsuitableRedisError
from millstream_streams.faults import attempt, require_mode

MINIMUM_REDIS = (6, 2)
MINIMUM_VALKEY = (7, 2)
WAITAOF_SINCE = (7, 2)
RECOMMENDED_LISTPACK_VALUE = 1024
"""`hash-max-listpack-value`: with it a queued job takes 576 B instead of 1,009 (Redis 7.0.15, 268-byte spec)."""

RECOMMENDED_NODE_ENTRIES = 16
"""`stream-node-max-entries`: to delete an entry takes a walk through its node (measured on Redis 7.0.15: 3 to 4 us
with 100, 1.3 with 16)."""


class Capabilities(Struct, frozen=True, kw_only=True):
    """A server as its answers describe it. What it hides, as managed services do, is None."""

    server: str
    """`redis` or `valkey`."""
    version: tuple[int, ...]
    mode: str
    uptime_s: int
    """Since the server started; on a cluster, any of its nodes."""
    waitaof: bool
    maxmemory_policy: str | None
    appendonly: bool | None
    listpack_value: int | None
    node_entries: int | None

    def objections(self) -> list[str]:
        """Return the reasons for which jobs would not be safe here."""
        found = []
        minimum = MINIMUM_VALKEY if self.server == "valkey" else MINIMUM_REDIS
        if self.version < minimum:
            needed = ".".join(map(str, minimum))
            found.append(f"{self.server} {self.version_text} is too old: {needed} or later is needed")
        if self.maxmemory_policy not in {None, "noeviction"}:
            found.append(
                f"maxmemory-policy is `{self.maxmemory_policy}`: Redis would throw jobs away when it is full; "
                "set it to noeviction"
            )
        return found

    def advice(self) -> list[str]:
        """Return what could be better and is no danger to what is stored."""
        found = []
        if self.maxmemory_policy is None:
            found.append("this server hides its configuration: make sure that maxmemory-policy is noeviction")
        if self.appendonly is False:
            found.append("appendonly is off: a restart of Redis loses jobs; set appendonly yes")
        if self.listpack_value is not None and self.listpack_value < RECOMMENDED_LISTPACK_VALUE:
            found.append(
                f"hash-max-listpack-value is {self.listpack_value}: with {RECOMMENDED_LISTPACK_VALUE} a waiting job "
                "takes about half of the memory"
            )
        if self.node_entries is not None and not 0 < self.node_entries <= RECOMMENDED_NODE_ENTRIES:
            found.append(
                f"stream-node-max-entries is {self.node_entries}: with {RECOMMENDED_NODE_ENTRIES} a job costs Redis "
                "5 to 8 % less"
            )
        if not self.waitaof:
            found.append("no WAITAOF before Redis 7.2: a submission cannot ask for durability on disk")
        return found

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version))


async def probe(client: Client, url: RedisAddress) -> Capabilities:
    """Ask a server what it is. Raises: StoreUnavailableError."""
    info: Mapping[str, Any] = await attempt(lambda: client.info("server", **_anywhere(url)))
    if url.is_cluster and "redis_version" not in info:
        info = next(iter(info.values()))
    require_mode(str(info.get("redis_mode", "")), url.mode)
    is_valkey = "valkey_version" in info
    version = _version(str(info["valkey_version" if is_valkey else "redis_version"]))
    settings = await _settings(client, url)
    listpack = settings.get("hash-max-listpack-value", settings.get("hash-max-ziplist-value"))
    return Capabilities(
        server="valkey" if is_valkey else "redis",
        version=version,
        mode=url.mode,
        uptime_s=int(info.get("uptime_in_seconds", 0)),
        waitaof=version >= WAITAOF_SINCE,
        maxmemory_policy=settings.get("maxmemory-policy"),
        appendonly=None if "appendonly" not in settings else settings["appendonly"] == "yes",
        listpack_value=_number(listpack),
        node_entries=_number(settings.get("stream-node-max-entries")),
    )


async def require_suitable(client: Client, url: RedisAddress) -> Capabilities:
    """Probe a server and refuse one on which jobs get lost. Raises: UnsuitableRedisError, StoreUnavailableError."""
    found = await probe(client, url)
    objections = found.objections()
    if objections:
        raise UnsuitableRedisError("; ".join(objections))
    return found


async def _settings(client: Client, url: RedisAddress) -> dict[str, str]:
    answers: dict[str, str] = {}
    for pattern in ("maxmemory-policy", "appendonly", "hash-max-*", "stream-node-max-entries"):
        try:
            reply = await attempt(lambda pattern=pattern: client.config_get(pattern, **_anywhere(url)))  # type: ignore[misc]
        except ResponseError:
            return {}  # managed services refuse CONFIG
        except StoreUnavailableError as error:
            if isinstance(error.__cause__, NoPermissionError):
                return {}
            raise
        answers.update({_text(name): _text(value) for name, value in reply.items()})
    return answers


def _anywhere(url: RedisAddress) -> dict[str, Any]:
    return {"target_nodes": RANDOM_NODE} if url.is_cluster else {}


RANDOM_NODE = "random"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
