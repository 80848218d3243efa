"""Holds data keys in memory: the present one of each tenant, and each by which something was read.

A tenant has a new data key each month, and one more with each rotation. All are kept for ever, wrapped, for what they
have encrypted may be read at any time.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from os import urandom
from typing import Protocol

import anyio
from msgspec import Struct

from millstream_codec.errors import KeyLostError
from millstream_codec.providers import KeyProvider
from millstream_codec.sealing import KEY_BYTES, DataKey

LASTING = "lasting"
"""The id of the key of a tenant that never changes: what it makes is compared for as long as there are jobs."""

FRESH_FOR_S = 60.0
"""How long a process goes on with a key after a rotation."""


class StoredDataKey(Struct, frozen=True, kw_only=True):
    """A data key as it is stored: wrapped, so that to read it takes its key-encryption key."""

    kek: str
    """The id of the key-encryption key."""
    wrapped: bytes
    made_at_ms: int


class DataKeyStore(Protocol):
    """Where data keys are kept."""

    async def current(self, tenant: str) -> tuple[str, StoredDataKey | None]:
        """Return the id of the present key of a tenant, and the key; an empty id where there is none."""
        ...

    async def get(self, tenant: str, kid: str) -> StoredDataKey | None:
        """Return a key."""
        ...

    async def succeed_data_key(
        self, tenant: str, before: str, kid: str, key: StoredDataKey
    ) -> tuple[str, StoredDataKey | None]:
        """Make a key the present one where `before` still is; return the one that is then."""
        ...

    async def make_lasting_key(self, tenant: str, kid: str, key: StoredDataKey) -> StoredDataKey | None:
        """Store a key that never changes, where there is none of this id; return the one that is there then."""
        ...


class Keyring:
    """The data keys that one process has read. For one event loop."""

    def __init__(self, provider: KeyProvider, now: Callable[[], float] = time.time) -> None:
        """`now` gives Unix seconds: in which month a new key is made."""
        self._provider = provider
        self._now = now
        self.store: DataKeyStore | None = None
        """Set by the broker that the codec belongs to."""
        self._held: dict[tuple[str, str], DataKey] = {}
        self._current: dict[str, tuple[DataKey, float, str]] = {}
        """By tenant, with the time until which it counts as fresh, and the month in which it does."""
        self._loading = anyio.Lock()

    def held(self, tenant: str) -> DataKey:
        """Return the present key of a tenant, after :meth:`current` has returned it."""
        return self._current[tenant][0]

    async def current(self, tenant: str) -> DataKey:
        """Return the present key of a tenant, making one where it has none of this month.

        Raises: KeyLostError; what the store raises.
        """
        if found := self._fresh(tenant):
            return found
        async with self._loading:
            return self._fresh(tenant) or await self._load_current(tenant)

    def held_lasting(self, tenant: str) -> DataKey:
        """Return the lasting key of a tenant, after :meth:`lasting` has returned it."""
        return self._held[tenant, LASTING]

    async def lasting(self, tenant: str) -> DataKey:
        """Return the key of a tenant that never changes, making it where there is none.

        Raises: KeyLostError; what the store raises.
        """
        if found := self._held.get((tenant, LASTING)):
            return found
        async with self._loading:
            if found := self._held.get((tenant, LASTING)):
                return found
            stored = await self._stores().get(tenant, LASTING)
            if stored is None:
                new = await self._wrapped(tenant, LASTING, urandom(KEY_BYTES), int(self._now() * 1000))
                stored = await self._stores().make_lasting_key(tenant, LASTING, new)
            if stored is None:
                raise KeyLostError(f"the data key `{LASTING}` cannot be read")
            return await self._unwrap(tenant, LASTING, stored)

    async def of(self, tenant: str, kid: str) -> DataKey:
        """Return a key by its id. Raises: KeyLostError; what the store raises."""
        found = self._held.get((tenant, kid))
        if found is not None:
            return found
        stored = await self._stores().get(tenant, kid)
        if stored is None:
            raise KeyLostError(f"the data key `{kid}` is not there")
        return await self._unwrap(tenant, kid, stored)

    async def rotate(self, tenant: str) -> str:
        """Make a new key the present one. Returns: its id."""
        before, _ = await self._stores().current(tenant)
        kid, _ = await self._succeed(tenant, before)
        self._current.pop(tenant, None)
        return kid

    async def rewrap(self, tenant: str, kid: str, stored: StoredDataKey) -> StoredDataKey | None:
        """Return a stored key wrapped by the present key-encryption key; None where it is. Raises: KeyLostError."""
        if stored.kek == self._provider.current:
            return None
        secret = await self._provider.unwrap(stored.kek, stored.wrapped, _context(tenant, kid))
        return await self._wrapped(tenant, kid, secret, stored.made_at_ms)

    @property
    def key_encryption_key(self) -> str:
        """Return the id of the key that wraps new data keys."""
        return self._provider.current

    async def opens(self, tenant: str, kid: str, stored: StoredDataKey) -> bool:
        """Return whether a stored key can be unwrapped here."""
        try:
            await self._provider.unwrap(stored.kek, stored.wrapped, _context(tenant, kid))
        except KeyLostError:
            return False
        return True

    def _fresh(self, tenant: str) -> DataKey | None:
        found = self._current.get(tenant)
        if found is None or time.monotonic() > found[1] or found[2] != self._month():
            return None
        return found[0]

    async def _load_current(self, tenant: str) -> DataKey:
        kid, stored = await self._stores().current(tenant)
        if stored is None or kid.partition(".")[0] < self._month():
            kid, stored = await self._succeed(tenant, kid)
        if stored is None:
            raise KeyLostError(f"the data key `{kid}` is not there")
        key = self._held.get((tenant, kid)) or await self._unwrap(tenant, kid, stored)
        self._current[tenant] = key, time.monotonic() + FRESH_FOR_S, self._month()
        return key

    async def _succeed(self, tenant: str, before: str) -> tuple[str, StoredDataKey | None]:
        kid = _after(before, self._month())
        new = await self._wrapped(tenant, kid, urandom(KEY_BYTES), int(self._now() * 1000))
        return await self._stores().succeed_data_key(tenant, before, kid, new)

    async def _wrapped(self, tenant: str, kid: str, secret: bytes, made_at_ms: int) -> StoredDataKey:
        kek = self._provider.current
        wrapped = await self._provider.wrap(kek, secret, _context(tenant, kid))
        return StoredDataKey(kek=kek, wrapped=wrapped, made_at_ms=made_at_ms)

    async def _unwrap(self, tenant: str, kid: str, stored: StoredDataKey) -> DataKey:
        secret = await self._provider.unwrap(stored.kek, stored.wrapped, _context(tenant, kid))
        key = self._held[tenant, kid] = DataKey(kid, secret)
        return key

    def _month(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m")

    def _stores(self) -> DataKeyStore:
        assert self.store is not None  # the broker has set it
        return self.store


def _after(before: str, month: str) -> str:
    """Return the id of the key after another: that of the month, or the next of it. A clock may have been ahead."""
    begun, _, number = before.partition(".")
    return month if begun < month else f"{begun}.{int(number or 1) + 1}"


def _context(tenant: str, kid: str) -> bytes:
    return f"{tenant}\0{kid}".encode()
