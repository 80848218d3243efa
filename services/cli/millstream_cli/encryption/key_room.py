"""Looks at the data keys of an installation, makes new ones and rewraps old ones."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from millstream_cli.settings import DoctorSettings
from millstream_codec import LASTING, Codec, KeyLostError, Keyring
from millstream_contracts import DEFAULT_TENANT
from millstream_runtime import SettingsError, provider_of
from millstream_streams import Broker, KeptDataKey, open_broker


class SeenKey(Struct, frozen=True):
    """A data key as `millstream encryption` shows it."""

    tenant: str
    key: str
    """Its id."""
    wrapped_by: str
    """The id of the key-encryption key."""
    made_at_ms: int
    state: str
    """`current`, `kept` for what it has encrypted, `lasting` for unique keys, which are compared for ever, or `lost`
    where its key-encryption key is not here."""


class Rewrapped(Struct, frozen=True):
    """What `millstream encryption rewrap` has done."""

    rewrapped: int
    unchanged: int
    lost: list[str]
    """Data keys whose key-encryption key is not here, each as `tenant id`."""


async def look(settings: DoctorSettings) -> list[SeenKey]:
    """Return all data keys. Raises: StoreError, SettingsError."""
    async with _opened(settings) as (broker, keyring):
        seen = []
        async for one in broker.data_keys.all():
            is_open = await keyring.opens(one.tenant, one.kid, one.key)
            state = _state(one) if is_open else "lost"
            seen.append(SeenKey(one.tenant, one.kid, one.key.kek, one.key.made_at_ms, state))
        return seen


def _state(key: KeptDataKey) -> str:
    if key.kid == LASTING:
        return "lasting"
    return "current" if key.is_current else "kept"


async def rotate(settings: DoctorSettings, tenant: str | None) -> dict[str, str]:
    """Give a tenant, or all that have one and the default one, a new data key. Returns: its id, by tenant."""
    async with _opened(settings) as (broker, keyring):
        tenants = {tenant} if tenant else {DEFAULT_TENANT, *[one.tenant async for one in broker.data_keys.all()]}
        return {one: await keyring.rotate(one) for one in sorted(tenants)}


async def rewrap(settings: DoctorSettings) -> Rewrapped:
    """Wrap all data keys by the present key-encryption key. Raises: StoreError, SettingsError."""
    async with _opened(settings) as (broker, keyring):
        rewrapped = unchanged = 0
        lost: list[str] = []
        async for one in broker.data_keys.all():
            try:
                rewrapped_key = await keyring.rewrap(one.tenant, one.kid, one.key)
            except KeyLostError:
                lost.append(f"{one.tenant} {one.kid}")
                continue
            if rewrapped_key is None:
                unchanged += 1
            else:
                await broker.data_keys.put(one.tenant, one.kid, rewrapped_key)
                rewrapped += 1
        return Rewrapped(rewrapped, unchanged, lost)


@asynccontextmanager
async def _opened(settings: DoctorSettings) -> AsyncIterator[tuple[Broker, Keyring]]:
    provider = provider_of(settings)
    if provider is None:
        raise SettingsError(["there are no keys: set MILLSTREAM_ENCRYPTION_KEYS or its companions as for the services"])
    keyring = Keyring(provider)
    async with open_broker(
        settings.redis, namespace=settings.namespace, patience_s=0.5, codec=Codec("off", keyring=keyring)
    ) as broker:
        yield broker, keyring
