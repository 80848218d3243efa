"""The capabilities of one server: what it is, what it lacks, and whether jobs are safe on it."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Literal

from msgspec import Struct
from redis.exceptions import ResponseError

from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import require_mode, translating
from millstream_streams.connection.refusals import refusal_behind
from millstream_streams.errors import MissingRightError
from millstream_streams.suitability.vitals import VITAL_SETTINGS, Vitals, vitals_of

MINIMUM_REDIS = (6, 2)
MINIMUM_VALKEY = (7, 2)
WAITAOF_SINCE = (7, 2)
RECOMMENDED_LISTPACK_VALUE = 1024
"""`hash-max-listpack-value`: with it a queued job takes 576 B instead of 1,009 (Redis 7.0.15, 268-byte spec)."""

RECOMMENDED_NODE_ENTRIES = 16
"""`stream-node-max-entries`: to delete an entry takes a walk through its node (measured on Redis 7.0.15: 3 to 4 us
with 100, 1.3 with 16)."""


class Capabilities(Struct, frozen=True, kw_only=True):
    """A server as it describes itself. What it hides, as managed services do, is None."""

    server: str
    """`redis` or `valkey`."""
    version: tuple[int, ...]
    """Empty when it is hidden."""
    role: Literal["primary", "replica"] | None
    uptime_s: int | None
    """The time since the server started."""
    waitaof: bool | None
    maxmemory_policy: str | None
    appendonly: bool | None
    listpack_value: int | None
    node_entries: int | None
    replicas: tuple[str, ...] = ()
    """The addresses of the replicas of this server."""
    vitals: Vitals | None = None
    """The state of the server; of settings that INFO lacks only what a thorough probe has read."""

    def objections(self) -> list[str]:
        """Return the reasons for which jobs would not be safe here."""
        found = []
        if self.is_too_old:
            needed = ".".join(map(str, self._minimum))
            found.append(f"{self.server} {self.version_text} is too old: {needed} or later is needed")
        if self.maxmemory_policy not in {None, "noeviction"}:
            found.append(
                f"maxmemory-policy is `{self.maxmemory_policy}`: Redis would throw jobs away when it is full; "
                "set it to noeviction"
            )
        return found

    def advice(self) -> list[str]:
        """Return what could be better without being a danger to stored jobs."""
        found = []
        if self.maxmemory_policy is None:
            found.append("this server hides its configuration: make sure that maxmemory-policy is noeviction")
        if not self.version:
            found.append("this server hides its version: make sure that it is Redis 6.2, Valkey 7.2 or later")
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
        if self.waitaof is False:
            found.append("no WAITAOF before Redis 7.2: a submission cannot ask for durability on disk")
        return found

    @property
    def is_too_old(self) -> bool:
        """Whether its version is known, and below the least that is needed."""
        return bool(self.version) and self.version < self._minimum

    @property
    def _minimum(self) -> tuple[int, ...]:
        return MINIMUM_VALKEY if self.server == "valkey" else MINIMUM_REDIS

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return ".".join(map(str, self.version)) or "of hidden version"


async def examine(client: Client, mode: str, *, thorough: bool) -> Capabilities:
    """Probe the server of a client that is no cluster's. `mode` is that of the address.

    INFO has everything that decides whether jobs are safe, and needs no right to CONFIG, by which passwords can be
    read. A `thorough` probe reads CONFIG as well, for settings that INFO lacks. Raises: StoreUnavailableError;
    WrongServerError, when the server is of another kind than the address says.
    """
    info = await _unless_refused("info", client.info) or await _greeting(client)
    require_mode(str(info.get("redis_mode", "")), mode)
    version_field = next((name for name in ("valkey_version", "redis_version") if name in info), "")
    version = _version(str(info.get(version_field, "")))
    hides_policy = "maxmemory_policy" not in info
    settings = await _settings(client) if thorough or hides_policy else {}
    listpack = settings.get("hash-max-listpack-value", settings.get("hash-max-ziplist-value"))
    return Capabilities(
        server=version_field.removesuffix("_version") or "redis",
        version=version,
        role=_ROLES.get(info.get("role", "")),
        uptime_s=info.get("uptime_in_seconds"),
        waitaof=version >= WAITAOF_SINCE if version else None,
        maxmemory_policy=info.get("maxmemory_policy", settings.get("maxmemory-policy")),
        appendonly=_appendonly(info, settings),
        listpack_value=_number(listpack),
        node_entries=_number(settings.get("stream-node-max-entries")),
        replicas=tuple(_replicas(info)),
        vitals=vitals_of(info, settings),
    )


_ROLES: dict[str, Literal["primary", "replica"]] = {
    "master": "primary",
    "slave": "replica",
    "primary": "primary",
    "replica": "replica",
}


async def _greeting(client: Client) -> Mapping[str, Any]:
    """Return the response of HELLO, for which no right is needed, in the terms of INFO."""
    reply = await _unless_refused("hello", partial(client.execute_command, "HELLO", 2)) or []
    words = dict(zip(map(_text, reply[::2]), map(_text, reply[1::2]), strict=False))
    known = {f"{words['server']}_version": words["version"]} if {"server", "version"} <= words.keys() else {}
    names = {"role": "role", "mode": "redis_mode"}
    return {**known, **{ours: words[theirs] for theirs, ours in names.items() if theirs in words}}


async def _settings(client: Client) -> dict[str, str]:
    answers: dict[str, str] = {}
    for pattern in ("maxmemory-policy", "appendonly", "hash-max-*", "stream-node-max-entries", *VITAL_SETTINGS):
        reply = await _unless_refused("config", partial(client.config_get, pattern))
        if reply is None:
            return {}
        answers.update({_text(name): _text(value) for name, value in reply.items()})
    return answers


async def _unless_refused(command: str, call: Callable[[], Awaitable[Any]]) -> Any:
    """Return the response to a command, or None where the server refuses it, as managed ones do."""
    try:
        return await translating(call)
    except ResponseError:
        return None
    except MissingRightError as error:
        refusal = refusal_behind(error)
        if refusal is None or refusal.command.partition("|")[0] != command:
            raise  # what was refused is what a connection sends first
        return None


def _appendonly(info: Mapping[str, Any], settings: Mapping[str, str]) -> bool | None:
    if "aof_enabled" in info:
        return bool(info["aof_enabled"])
    return None if "appendonly" not in settings else settings["appendonly"] == "yes"


def _replicas(info: Mapping[str, Any]) -> list[str]:
    rows = (info.get(f"slave{number}") for number in range(int(info.get("connected_slaves", 0))))
    return [f"{row['ip']}:{row['port']}" for row in rows if isinstance(row, dict)]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
