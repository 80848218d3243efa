"""A console over an ingest that asks for keys, and keys of every role."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from console.serving import Browser, Page, running_console
from ingest.serving import Ingest, patient, remembering_ingest, running_ingest

from millstream_console.settings import ConsoleSettings
from millstream_contracts import DEFAULT_TENANT, MintedKey, mint_key
from millstream_ingest.settings import IngestSettings
from millstream_runtime import Secret
from millstream_streams import Broker, KeyChange, StoredApiKey

Give = Callable[..., Awaitable[MintedKey]]


@pytest.fixture
def give(broker: Broker) -> Give:
    """Return a function that stores a key of a role, or with other fields."""

    async def store(role: str = "", **fields: object) -> MintedKey:
        minted = mint_key()
        given = {"digest": minted.digest, "tenant": DEFAULT_TENANT, "name": f"{role} of a test", "role": role}
        stored = StoredApiKey(**given, created_at_ms=broker.clock.now_ms(), **fields)
        assert await broker.api_keys.put_keys([KeyChange(minted.id, None, stored)])
        return minted

    return store


@pytest.fixture(scope="module")
async def guarded(redis_url: str, namespace: str) -> AsyncIterator[Ingest]:
    """Yield a running ingest that asks for keys, without a history."""
    settings = patient(IngestSettings(redis_url=redis_url, namespace=namespace, port=0, auth="required"))
    async with running_ingest(patient(settings)) as running:
        yield running


@pytest.fixture(scope="module")
async def guarded_archive(redis_url: str, namespace: str, database: str) -> AsyncIterator[Ingest]:
    """Yield a running ingest that asks for keys, with a history."""
    key = Secret("signs the calls of webhooks in tests")
    settings = patient(
        IngestSettings(redis_url=redis_url, namespace=namespace, port=0, auth="required", webhook_key=key)
    )
    async with remembering_ingest(settings, database) as running:
        yield running


@pytest.fixture
async def locked(guarded: Ingest, broker: Broker) -> AsyncIterator[Browser]:
    """Yield a console over the ingest that asks for keys; its browser is not signed in."""
    async with running_console(ConsoleSettings(url=str(guarded.http.base_url))) as running:
        yield running


async def sign_in(console: Browser, key: MintedKey | str, to: str = "") -> Page:
    """Sign in with a key, and follow to where that leads."""
    return await console.post("/sign-in", key=key if isinstance(key, str) else key.text, to=to)
