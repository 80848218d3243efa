"""Templates of submissions in Redis: one hash a tenant, name to what was put."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from millstream_contracts import UNDECODABLE, Tenant
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import REDIS_ERRORS, failed, with_retries
from millstream_streams.connection.replies import unless_wrong_type
from millstream_streams.store.keys import Keys


class StoredTemplate(Struct, frozen=True, array_like=True):
    """What is stored of a template."""

    fields: dict[str, Raw]
    """The fields that were given, each a MessagePack value."""
    description: str
    updated_at_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoredTemplate).decode


class Templates:
    """Reads and changes templates. Every method may raise StoreUnavailableError; those that write StoreError too."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._keys = keys
        self._patience_s = patience_s

    async def get(self, tenant: Tenant, name: str) -> StoredTemplate | None:
        """Return a template; None where there is none that this release can read."""
        key = self._keys.templates(tenant)
        found = await self._call(lambda: unless_wrong_type(self._client.hget(key, name), None))
        return _read(found) if found else None

    async def all(self, tenant: Tenant) -> dict[str, StoredTemplate]:
        """Return all templates of a tenant that this release can read, by name."""
        key = self._keys.templates(tenant)
        found: dict[bytes, bytes] = await self._call(lambda: unless_wrong_type(self._client.hgetall(key), {}))
        read = {name.decode(errors="replace"): _read(found[name]) for name in sorted(found)}
        return {name: one for name, one in read.items() if one}

    async def count(self, tenant: Tenant) -> int:
        """Return how many templates a tenant has."""
        key = self._keys.templates(tenant)
        return int(await self._call(lambda: unless_wrong_type(self._client.hlen(key), 0)))

    async def put(self, tenant: Tenant, name: str, template: StoredTemplate) -> bool:
        """Store a template. Returns: whether it is new."""
        key, value = self._keys.templates(tenant), _encode(template)
        return bool(await self._call(lambda: self._client.hset(key, name, value)))

    async def remove(self, tenant: Tenant, name: str) -> bool:
        """Remove a template. Returns: False when it is not there."""
        key = self._keys.templates(tenant)
        return bool(await self._call(lambda: self._client.hdel(key, name)))

    async def _call(self, call: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await with_retries(lambda _: call(), self._patience_s, lambda: None)
        except REDIS_ERRORS as error:
            raise failed("the templates cannot be stored", error) from error


def _read(blob: bytes) -> StoredTemplate | None:
    try:
        return _decode(blob)
    except UNDECODABLE:
        return None
