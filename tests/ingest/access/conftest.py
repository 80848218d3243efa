"""An ingest that asks for keys, and keys for it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from ingest.access.issuing import Issuer, issuing
from ingest.serving import Ingest, patient, remembering_ingest, running_ingest
from msgspec.structs import replace

from millstream_contracts import DEFAULT_TENANT, MintedKey, Role, mint_key
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker, KeyChange, StoredApiKey, StoredTenant

Give = Callable[..., Awaitable[MintedKey]]


@pytest.fixture
def settings(settings: IngestSettings) -> IngestSettings:
    """Return the settings of an ingest that asks for keys."""
    return replace(settings, auth="required")


@pytest.fixture
def give(broker: Broker) -> Give:
    """Return a function that stores a key of a role, or with other fields, and its tenant where there is none yet."""

    async def store(role: Role | str = "", **fields: Any) -> MintedKey:
        minted, now_ms = mint_key(), broker.clock.now_ms()
        tenant = fields.pop("tenant", DEFAULT_TENANT)
        if await broker.tenants.get(tenant) is None:
            await broker.tenants.put_tenant(tenant, None, StoredTenant(created_at_ms=now_ms))
        stored = StoredApiKey(
            digest=minted.digest,
            tenant=tenant,
            name=f"a test's {role}",
            role=role,
            created_at_ms=now_ms,
            **fields,
        )
        kept_in = broker.sessions if stored.session_of else broker.api_keys
        assert await kept_in.put_keys([KeyChange(minted.id, None, stored)])
        return minted

    return store


@pytest.fixture
async def admin(give: Give) -> MintedKey:
    """Store a key that may do everything."""
    return await give(Role.ADMIN)


@pytest.fixture
async def ingest(broker: Broker, settings: IngestSettings, admin: MintedKey) -> AsyncIterator[Ingest]:
    """Yield a running ingest that asks for keys; its client has none."""
    async with running_ingest(patient(settings)) as running:
        yield running


def bearer(key: MintedKey | str) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"Authorization": f"Bearer {key if isinstance(key, str) else key.text}"}


@pytest.fixture
async def remembering(
    broker: Broker, settings: IngestSettings, admin: MintedKey, history_url: str
) -> AsyncIterator[Ingest]:
    """Yield an ingest that asks for keys and has a history."""
    async with remembering_ingest(settings, history_url) as running:
        yield running


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """Run an issuer of tokens."""
    async with issuing() as running:
        yield running


@pytest.fixture
def mapping() -> dict[str, Any]:
    """Return what the operator says of the issuer besides its address; tests override it."""
    return {}
