"""Tenants in Redis: one hash for all, beside the keys of the API, with which ingest holds them in memory."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from millstream_contracts import (
    DEFAULT_TENANT,
    UNDECODABLE,
    RequestLimits,
    Tenant,
    TenantEncryption,
    TenantQuotas,
    TenantState,
    limits,
)
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import REDIS_ERRORS, failed, with_retries
from millstream_streams.connection.replies import unless_wrong_type
from millstream_streams.errors import StoreError
from millstream_streams.store.keys import Keys
from millstream_streams.store.scripting import ACCESS, Argument, load_script, run_script

T = TypeVar("T")

_KNOWN_STATES = {state.value: state for state in TenantState}


class StoredTenant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of a tenant. Times are Unix ms, by the clock of Redis."""

    state: str = TenantState.ACTIVE
    """By its word, because a newer release may know more; one that is not known counts as suspended."""
    title: str = ""
    created_at_ms: int = 0
    created_by: str = ""
    changed_at_ms: int = 0
    reason: str = ""
    quotas: TenantQuotas = TenantQuotas()
    limits: RequestLimits | None = None
    """How often all of its keys together may ask; None where that has no limit."""
    deletion: str = ""
    """Id of the operation that deletes it; empty for one that is not being deleted."""
    encryption: str = TenantEncryption.INHERIT
    """By its word, as the state; one that is not known counts as `all`."""

    @property
    def known_state(self) -> TenantState:
        """Return the state as this release knows it. One of a newer release lets nothing start, as suspended does."""
        return _KNOWN_STATES.get(self.state, TenantState.SUSPENDED)

    @property
    def quota_of_running(self) -> int | None:
        """Return how many of its jobs may run at once; None where that has no quota, as while it is being deleted."""
        return None if self.state == TenantState.DELETING else self.quotas.jobs_running

    @property
    def is_active(self) -> bool:
        """Return whether the tenant may submit, and its jobs start."""
        return self.state == TenantState.ACTIVE

    @property
    def encrypts_all(self) -> bool:
        """Return whether all of its jobs are stored encrypted."""
        return self.encryption != TenantEncryption.INHERIT


OPERATOR = StoredTenant()
"""What holds of the operator's own tenant while nothing is stored of it."""


class TooManyTenantsError(StoreError):
    """There are as many tenants as there may be."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoredTenant).decode


class Tenants:
    """Reads and changes tenants. Every method may raise StoreUnavailableError, those that write StoreError."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._keys = keys
        self._patience_s = patience_s
        self._names = (keys.api_keys, keys.api_key_uses, keys.tenants)

    async def all(self) -> dict[Tenant, StoredTenant]:
        """Return all tenants by name, sorted; that of the operator too, of which nothing has to be stored."""
        name = self._keys.tenants
        found: dict[bytes, bytes] = await self._call(lambda: unless_wrong_type(self._client.hgetall(name), {}))
        read = {Tenant(one.decode(errors="replace")): _read(blob) for one, blob in found.items()}
        return dict(sorted({DEFAULT_TENANT: OPERATOR, **read}.items()))

    async def get(self, tenant: Tenant) -> StoredTenant | None:
        """Return a tenant; None where there is none of this name."""
        name = self._keys.tenants
        found = await self._call(lambda: unless_wrong_type(self._client.hget(name, tenant), None))
        if found is None:
            return OPERATOR if tenant == DEFAULT_TENANT else None
        return _read(found)

    async def encrypts_all(self, tenant: str) -> bool:
        """Return whether all jobs of a tenant are stored encrypted; False for one that is not there."""
        stored = await self.get(Tenant(tenant))
        return stored is not None and stored.encrypts_all

    async def put_tenant(self, tenant: Tenant, read: StoredTenant | None, becomes: StoredTenant | None) -> bool:
        """Store a tenant that was not there, change one, or remove it.

        Returns: False where it is not what was read of it by now. Raises: TooManyTenantsError.
        """
        known = None if read is OPERATOR else read
        arguments: list[Argument] = [limits.MAX_TENANTS, tenant, _blob(known), _blob(becomes)]
        script, names = load_script(ACCESS + "put_tenant"), self._names
        try:
            code = int(await self._call(lambda: run_script(self._client, script, names, arguments)))
        except REDIS_ERRORS as error:
            raise failed("the tenants cannot be stored", error) from error
        if code < 0:
            raise TooManyTenantsError(f"there are {limits.MAX_TENANTS:,} tenants already, which is the most")
        return code == 1

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        return await with_retries(lambda _: call(), self._patience_s, lambda: None)


def _blob(tenant: StoredTenant | None) -> bytes:
    return b"" if tenant is None else _encode(tenant)


def _read(blob: bytes) -> StoredTenant:
    try:
        return _decode(blob)
    except UNDECODABLE:
        # It is there, and what it may do is not known: nothing then, and nothing of it is stored as it is.
        return StoredTenant(state="", encryption="")
