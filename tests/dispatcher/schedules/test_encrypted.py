"""Jobs of schedules are stored encrypted where their tenant says so."""

import base64

import pytest
from dispatcher.schedules.conftest import Town

from millstream_codec import Codec, Keyring, keys_of_text
from millstream_contracts import DEFAULT_TENANT, TenantEncryption, queue_of
from millstream_streams import Broker, StoredTenant, StoreUnavailableError, open_broker

KEYS = "kek1:" + base64.b64encode(b"1" * 32).decode()


async def test_the_job_of_an_occasion_is_encrypted_as_its_tenant_says(town: Town, broker: Broker) -> None:
    """A dispatcher without keys stores no job of such a tenant, and one that has them stores it encrypted."""
    read = await broker.tenants.get(DEFAULT_TENANT)
    assert await broker.tenants.put_tenant(DEFAULT_TENANT, read, StoredTenant(encryption=TenantEncryption.ALL))
    await town.put()
    assert (await town.scheduler().run_once()).started == 1
    with pytest.raises(StoreUnavailableError, match="MILLSTREAM_ENCRYPTION_KEYS is unset"):
        await town.starter().run_once()
    assert await town.jobs() == []
    codec = Codec(keyring=Keyring(keys_of_text(KEYS)))
    async with open_broker(broker.address, namespace=broker.keys.namespace, codec=codec) as ours:
        ready = Town(ours)
        await ready.free_starts()
        await ready.starter().run_once()
        [job_id] = await ready.jobs()
        queue = queue_of(DEFAULT_TENANT, job_id)
        assert queue is not None
        stored = await broker.views.job(queue, job_id)
        assert stored is not None
        assert stored.encrypted
        assert stored.payload is None
        shown = await ours.views.job(queue, job_id)
        assert shown is not None
        assert shown.encrypted
