"""What Redis has of one tenant, wherever it lies, and how it is removed: its keys, and its entries in those of all.

Jobs that have ended, and what requests are known by again, are in no list: they are found by their keys alone. So Redis
walks all of its keys, some at a time, and the caller keeps where it goes on.
"""

import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct
from redis.exceptions import ResponseError

from millstream_contracts import Tenant
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import REDIS_ERRORS, failed, with_retries
from millstream_streams.connection.replies import unless_wrong_type
from millstream_streams.store.keys import Keys

T = TypeVar("T")

KEYS_AT_ONCE = 1_000
"""The keys that Redis looks at in one step of a walk, which takes it half a millisecond."""

OTHER = "other_keys"
_KINDS = {"job": "jobs", "sched": "schedules", "flow": "workflows", "batch": "batches"}
"""What a key is the whole of, by the first word behind its tag; beside it there may be parts."""

_GLOB = re.compile(r"([\[\]*?\\])")


class Swept(Struct, frozen=True):
    """How far a walk over all keys is."""

    cursor: str
    """Where it goes on; empty once every key was looked at."""
    removed: Counter[str]
    """How many keys it has removed, by what they are of."""


class TenantRemains:
    """Removes what there is of tenants. Every method may raise StoreUnavailableError and StoreError."""

    def __init__(self, client: Client, walking: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._walking = walking
        """A client of its own connections: a walk of a cluster asks node by node."""
        self._is_cluster = hasattr(walking, "get_primaries")
        self._keys = keys
        self._patience_s = patience_s

    async def forget(self, tenant: Tenant) -> int:
        """Take the queues of a tenant off the registry, its shards too, and its data keys. Returns: how many entries.

        Duties find queues by the registry, so none of them makes a key of these anew once it has read that again.
        """
        prefix = f"{tenant}/".encode()
        forgotten = 0
        for name in (self._keys.queues, self._keys.schedules, self._keys.workflows, self._keys.batches):
            forgotten += await self._forget_members(name, prefix)
        forgotten += await self._forget_dormant(prefix)
        forgotten += await self._forget_fields(self._keys.callbacks, lambda field: field.startswith(prefix))
        # The id of its last one stays: processes hold keys by their ids, and a tenant of the same name gets others.
        wrapped = f"{tenant} ".encode()
        return forgotten + await self._forget_fields(self._keys.data_keys, lambda field: field.startswith(wrapped))

    async def sweep(self, tenant: Tenant, cursor: str, *, keep_closed: bool, within_s: float) -> Swept:
        """Remove keys of a tenant for some time, from a cursor on; an empty one begins.

        `keep_closed` leaves what is set of queues, by which no job of one starts.
        """
        until, removed = time.monotonic() + within_s, Counter[str]()
        # Braces mean nothing in a pattern, and a name of a tenant has nothing that does.
        namespace = _GLOB.sub(r"\\\1", self._keys.namespace)
        pattern = f"{namespace}:{{{tenant}/*"
        while True:
            cursor, found = await self._call(partial(self._scan, pattern, cursor))
            doomed = [key for key in found if not (keep_closed and _behind_tag(key) == "settings")]
            if doomed:
                await self._call(partial(self._walking.unlink, *doomed))
                removed.update(map(_kind, doomed))
            if not cursor or time.monotonic() >= until:
                return Swept(cursor, removed)

    async def _scan(self, pattern: str, cursor: str) -> tuple[str, list[bytes]]:
        """Take one step of a walk. Returns: where it goes on, and keys."""
        if not self._is_cluster:
            at, keys = await self._walking.scan(cursor=int(cursor or 0), match=pattern, count=KEYS_AT_ONCE)
            return (str(at) if at else ""), list(keys)
        await self._walking.initialize()
        nodes = {node.name: node for node in self._walking.get_primaries()}
        names = sorted(nodes)
        name, _, text = cursor.rpartition(" ")
        # A node that is gone, or no primary any more: what it had may be anywhere.
        name, at = (name, int(text)) if name in nodes else (names[0], 0)
        cursors, keys = await self._walking.scan(cursor=at, match=pattern, count=KEYS_AT_ONCE, target_nodes=nodes[name])
        if cursors[name]:
            return f"{name} {cursors[name]}", list(keys)
        further = names[names.index(name) + 1 :]
        return (f"{further[0]} 0" if further else ""), list(keys)

    async def _forget_members(self, name: str, prefix: bytes) -> int:
        found: Iterable[bytes] = await self._call(lambda: unless_wrong_type(self._client.smembers(name), set()))
        tags = [tag for tag in found if tag.startswith(prefix)]
        if tags:
            await self._call(lambda: self._client.srem(name, *tags))
        return len(tags)

    async def _forget_dormant(self, prefix: bytes) -> int:
        name, no_tags = self._keys.dormant, list[bytes]()
        found: Iterable[bytes] = await self._call(lambda: unless_wrong_type(self._client.zrange(name, 0, -1), no_tags))
        tags = [tag for tag in found if tag.startswith(prefix)]
        if tags:
            await self._call(lambda: self._client.zrem(name, *tags))
        return len(tags)

    async def _forget_fields(self, name: str, is_theirs: Callable[[bytes], bool]) -> int:
        found: Iterable[bytes] = await self._call(lambda: unless_wrong_type(self._client.hgetall(name), {}))
        fields = [field for field in found if is_theirs(field)]
        if fields:
            await self._call(lambda: self._client.hdel(name, *fields))
        return len(fields)

    async def _call(self, call: Callable[[], Awaitable[T]]) -> Any:
        try:
            return await with_retries(lambda _: call(), self._patience_s, lambda: None)
        except (*REDIS_ERRORS, ResponseError) as error:
            raise failed("the keys of a tenant cannot be removed", error) from error


def _behind_tag(key: bytes) -> str:
    return key.decode(errors="replace").partition("}:")[2]


def _kind(key: bytes) -> str:
    """Return what a key is of; the parts of a workflow or a batch, and a backfill, are none by themselves."""
    word, _, name = _behind_tag(key).partition(":")
    return _KINDS.get(word, OTHER) if name and ":" not in name and " " not in name else OTHER
