"""Data keys in Redis: wrapped, in one hash for all tenants, so that no job waits for another database."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import msgspec
from msgspec import Struct

from millstream_codec import StoredDataKey
from millstream_contracts import UNDECODABLE
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import REDIS_ERRORS, failed, with_retries
from millstream_streams.connection.replies import unless_wrong_type
from millstream_streams.store.keys import Keys
from millstream_streams.store.scripting import ACCESS, Argument, load_script, run_script

T = TypeVar("T")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoredDataKey).decode


class KeptDataKey(Struct, frozen=True):
    """A data key with what it is for."""

    tenant: str
    kid: str
    key: StoredDataKey
    is_current: bool
    """Whether it encrypts what the tenant submits now."""


class WrappedKeys(Struct, frozen=True):
    """The data keys that one key-encryption key wraps."""

    count: int
    sample: KeptDataKey
    """One of them, by which one sees whether the key is there."""


SCANNED_AT_ONCE = 1000


class DataKeys:
    """Reads and makes data keys. Every method may raise StoreUnavailableError and StoreError."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._name = keys.data_keys
        self._patience_s = patience_s

    async def current(self, tenant: str) -> tuple[str, StoredDataKey | None]:
        """Return the id of the present key of a tenant, and the key; an empty id where there is none."""
        kid = await self._get(tenant)
        return (kid.decode(errors="replace"), await self.get(tenant, kid.decode())) if kid else ("", None)

    async def get(self, tenant: str, kid: str) -> StoredDataKey | None:
        """Return a key; None where there is none that this release can read."""
        return _read(await self._get(f"{tenant} {kid}"))

    async def succeed_data_key(
        self, tenant: str, before: str, kid: str, key: StoredDataKey
    ) -> tuple[str, StoredDataKey | None]:
        """Make a key the present one where `before` still is; return the one that is then."""
        script = load_script(ACCESS + "succeed_data_key")
        arguments: list[Argument] = [tenant, before, kid, _encode(key)]
        present, blob = await self._call(lambda: run_script(self._client, script, (self._name,), arguments))
        return present.decode(), _read(blob)

    async def make_lasting_key(self, tenant: str, kid: str, key: StoredDataKey) -> StoredDataKey | None:
        """Store a key that never changes, where there is none of this id; return the one that is there then."""
        script = load_script(ACCESS + "make_lasting_key")
        arguments: list[Argument] = [f"{tenant} {kid}", _encode(key)]
        return _read(await self._call(lambda: run_script(self._client, script, (self._name,), arguments)))

    async def put(self, tenant: str, kid: str, key: StoredDataKey) -> None:
        """Store a key in another wrapping: the same key, so it does not matter which of two stays."""
        await self._call(lambda: unless_wrong_type(self._client.hset(self._name, f"{tenant} {kid}", _encode(key)), 0))

    async def all(self) -> AsyncIterator[KeptDataKey]:
        """Yield all keys, by tenant and id."""
        found: dict[bytes, bytes] = await self._call(lambda: unless_wrong_type(self._client.hgetall(self._name), {}))
        for name in sorted(found):
            tenant, blank, kid = name.partition(b" ")
            if blank and (key := _read(found[name])):
                yield KeptDataKey(tenant.decode(), kid.decode(), key, found.get(tenant) == kid)

    async def by_key_encryption_key(self) -> dict[str, "WrappedKeys"]:
        """Return what each key-encryption key wraps, by its id. Read in parts, because there may be very many."""
        names: defaultdict[str, set[bytes]] = defaultdict(set)
        samples: dict[str, KeptDataKey] = {}
        at = 0
        while True:
            at, found = await self._call(partial(self._scan, at))
            for name, blob in found.items():  # a scan may return a field twice
                tenant, blank, kid = name.partition(b" ")
                if blank and (key := _read(blob)):
                    names[key.kek].add(name)
                    samples[key.kek] = KeptDataKey(tenant.decode(), kid.decode(), key, is_current=False)
            if at == 0:
                return {kek: WrappedKeys(len(names[kek]), sample) for kek, sample in sorted(samples.items())}

    async def _scan(self, at: int) -> tuple[int, dict[bytes, bytes]]:
        reply = await unless_wrong_type(self._client.hscan(self._name, at, count=SCANNED_AT_ONCE), (0, {}))
        return int(reply[0]), reply[1]

    async def _get(self, field: str) -> bytes:
        return await self._call(lambda: unless_wrong_type(self._client.hget(self._name, field), None)) or b""

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await with_retries(lambda _: call(), self._patience_s, lambda: None)
        except REDIS_ERRORS as error:
            raise failed("data keys cannot be read", error) from error


def _read(blob: bytes) -> StoredDataKey | None:
    try:
        return _decode(blob) if blob else None
    except UNDECODABLE:
        return None
