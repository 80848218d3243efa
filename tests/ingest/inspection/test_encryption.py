"""`GET /v1/system` shows which keys jobs are stored encrypted by, and nothing of the keys themselves."""

import base64

import pytest
from ingest.inspection.test_system import said
from ingest.serving import Ingest, running_ingest
from msgspec.structs import replace

from millstream_codec import Codec, Keyring, keys_of_text
from millstream_contracts import DEFAULT_TENANT, Tenant, TenantEncryption
from millstream_ingest.settings import IngestSettings
from millstream_runtime import Secret
from millstream_streams import Broker, StoredTenant, open_broker

OLD = "kek1:" + base64.b64encode(b"1" * 32).decode()
NEW = "kek2:" + base64.b64encode(b"2" * 32).decode()


async def write_with(broker: Broker, keys: str, *tenants: str) -> None:
    """Have the present data keys of tenants made by a process with these keys."""
    codec = Codec(keyring=Keyring(keys_of_text(keys)))
    async with open_broker(broker.address, namespace=broker.keys.namespace, codec=codec):
        assert codec.keyring is not None
        for tenant in tenants:
            await codec.keyring.rotate(tenant)


async def test_without_keys_there_is_nothing_to_show(ingest: Ingest) -> None:
    """Where nothing is encrypted and ingest has no keys, there is neither a status nor a check."""
    found = await ingest.get("/v1/system")
    assert found["encryption"] is None
    assert [one for one in found["checks"] if one["name"] == "encryption"] == []


async def test_each_key_is_shown_with_what_it_wraps(broker: Broker, settings: IngestSettings) -> None:
    """The present key, an older one and how many data keys each wraps are shown; of their secrets nothing is."""
    await write_with(broker, OLD, "acme", "globex")
    read = await broker.tenants.get(DEFAULT_TENANT)
    assert await broker.tenants.put_tenant(DEFAULT_TENANT, read, StoredTenant(encryption=TenantEncryption.ALL))
    assert await broker.tenants.put_tenant(Tenant("acme"), None, StoredTenant())
    async with running_ingest(replace(settings, encryption_keys=Secret(f"{NEW},{OLD}"), encrypt="all")) as ingest:
        answer = await ingest.http.get("/v1/system")
        found = answer.json()
        old = {"id": "kek1", "is_current": False, "is_known": True, "data_keys": 2}
        new = {"id": "kek2", "is_current": True, "is_known": True, "data_keys": 0}
        assert found["encryption"] == {"encrypts": "all", "keys": [old, new], "tenants": 1}
        assert said(found, "encryption", "bad") == []
        assert len(said(found, "encryption", "ok")) == 2
        for secret in (OLD, NEW):
            assert secret.partition(":")[2] not in answer.text
        blobs = [one.key.wrapped async for one in broker.data_keys.all()]
        assert blobs
        assert not any(base64.b64encode(blob).decode() in answer.text for blob in blobs)


@pytest.mark.parametrize("keys", [None, NEW])
async def test_a_key_that_is_not_there_must_be_given_back(
    broker: Broker, settings: IngestSettings, keys: str | None
) -> None:
    """A key-encryption key that wraps data keys, and that ingest does not have, is a bad check that names it."""
    await write_with(broker, OLD, "acme")
    chosen = Secret(keys) if keys else None
    async with running_ingest(replace(settings, encryption_keys=chosen)) as ingest:
        found = await ingest.get("/v1/system")
        [lost] = [one for one in found["encryption"]["keys"] if not one["is_known"]]
        assert (lost["id"], lost["data_keys"], lost["is_current"]) == ("kek1", 1, False)
        [told] = said(found, "encryption", "bad")
        assert "`kek1`" in told


async def test_a_key_of_another_content_counts_as_lost(broker: Broker, settings: IngestSettings) -> None:
    """A key with the right id that does not open a data key is one that is not there."""
    await write_with(broker, OLD, "acme")
    other = "kek1:" + base64.b64encode(b"x" * 32).decode()
    async with running_ingest(replace(settings, encryption_keys=Secret(other))) as ingest:
        [key] = (await ingest.get("/v1/system"))["encryption"]["keys"]
        assert (key["is_current"], key["is_known"]) == (True, False)


async def test_an_encrypted_tenant_without_keys_is_told(broker: Broker, ingest: Ingest) -> None:
    """A tenant whose jobs are to be encrypted, at an ingest without keys, is a bad check."""
    assert await broker.tenants.put_tenant(Tenant("acme"), None, StoredTenant(encryption=TenantEncryption.ALL))
    found = await ingest.get("/v1/system")
    assert found["encryption"] == {"encrypts": "declared", "keys": [], "tenants": 1}
    [told] = said(found, "encryption", "bad")
    assert "has no encryption keys" in told
