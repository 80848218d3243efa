"""Tenants are changed by what was read of them, and no job starts in a queue whose tenant is suspended."""

from datetime import timedelta

import pytest
from msgspec.structs import replace
from streams.seeds import commit, job_of, seed, take
from streams.test_claim import read_one
from streams.test_gate import tune

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, Tenant, TypePolicy, TypeRegistration, limits
from millstream_streams import ALL_TENANTS, Broker, StoredTenant, StoreError, TooManyTenantsError

ACME = Tenant("acme")
STORED = StoredTenant(title="Acme", created_at_ms=1, changed_at_ms=1)


async def test_change_of_what_was_not_read_changes_nothing(broker: Broker):
    """A tenant is changed only where it is what was read, a repetition is done already."""
    tenants = broker.tenants
    assert await tenants.put_tenant(ACME, None, STORED)
    version = await broker.api_keys.version()
    assert await tenants.put_tenant(ACME, None, STORED)
    assert await broker.api_keys.version() == version
    other = replace(STORED, title="Another")
    assert not await tenants.put_tenant(ACME, replace(STORED, title="x"), other)
    assert await tenants.get(ACME) == STORED
    assert await tenants.put_tenant(ACME, STORED, other)
    assert await broker.api_keys.version() != version
    assert await tenants.put_tenant(ACME, other, None)
    assert await tenants.get(ACME) is None


async def test_operator_has_a_tenant_of_which_nothing_is_stored(broker: Broker):
    """The operator's own tenant is always there, and what is stored of it takes the place of nothing."""
    found = await broker.tenants.get(DEFAULT_TENANT)
    assert found is not None
    assert found.is_active
    assert list(await broker.tenants.all()) == [DEFAULT_TENANT]
    assert await broker.tenants.put_tenant(DEFAULT_TENANT, found, replace(found, title="us"))
    assert (await broker.tenants.all())[DEFAULT_TENANT].title == "us"


async def test_encryption_of_a_newer_release_counts_as_all(broker: Broker):
    """A tenant inherits until it says otherwise, and each word but `inherit` has all of its jobs encrypted."""
    for word, is_encrypted in (("inherit", False), ("all", True), ("odd", True)):
        before = await broker.tenants.get(ACME)
        assert await broker.tenants.put_tenant(ACME, before, replace(STORED, encryption=word))
        assert await broker.tenants.encrypts_all(ACME) is is_encrypted
    assert not await broker.tenants.encrypts_all("ghost")
    assert not await broker.tenants.encrypts_all(DEFAULT_TENANT)


async def test_there_are_no_more_tenants_than_may_be(broker: Broker, monkeypatch: pytest.MonkeyPatch):
    """A tenant too many is refused, and one that is there can be changed all the same."""
    monkeypatch.setattr(limits, "MAX_TENANTS", 1)
    assert await broker.tenants.put_tenant(ACME, None, STORED)
    with pytest.raises(TooManyTenantsError):
        await broker.tenants.put_tenant(Tenant("umbrella"), None, STORED)
    assert await broker.tenants.put_tenant(ACME, STORED, replace(STORED, title="x"))


async def test_tenant_of_a_newer_release_may_do_nothing(broker: Broker):
    """A state that is not known, and a tenant that cannot be read, are not active; a foreign key is told."""
    await broker.client.hset(broker.keys.tenants, mapping={"a": b"\x81\xa5state\xa3odd", "b": b"\xc1"})
    found = await broker.tenants.all()
    assert [found[Tenant(name)].is_active for name in "ab"] == [False, False]
    # What `encryption` says of one that cannot be read is not known, so nothing of it is stored as it is.
    assert [found[Tenant(name)].encrypts_all for name in "ab"] == [False, True]
    await broker.client.delete(broker.keys.tenants)
    await broker.client.set(broker.keys.tenants, "x")
    assert list(await broker.tenants.all()) == [DEFAULT_TENANT]
    with pytest.raises(StoreError, match="the tenants cannot be stored"):
        await broker.tenants.put_tenant(ACME, None, STORED)
    await broker.client.delete(broker.keys.tenants)


@pytest.mark.parametrize("kind", ["plain", "gated"])
async def test_no_job_of_a_suspended_queue_starts(broker: Broker, queue: Queue, kind: str):
    """Neither what was ready starts, nor what comes later, nor what a worker had read already; then all do."""
    await take(broker, queue)
    if kind == "gated":
        await tune(broker, queue, c=100)
    ids = await seed(broker, queue, 2)
    entry = await read_one(broker, queue)
    assert await broker.settings.suspend(queue)
    assert not await broker.settings.suspend(queue)
    ids += await seed(broker, queue, 1)
    assert await take(broker, queue, read=[entry]) == []
    assert await broker.settings.suspended([queue, Queue(ACME, JobType("other"))]) == [True, False]
    depths = await broker.store.measure(queue)
    assert (depths.paused, sum(depths.queued)) == (True, 3)
    assert await broker.settings.release(queue)
    assert not await broker.settings.release(queue)
    found: list[str] = []
    while more := await take(broker, queue):
        found += [one.id for one in more]
    assert sorted(found) == sorted(ids)


@pytest.mark.parametrize("kind", ["plain", "gated"])
async def test_no_job_starts_in_a_suspended_queue_whose_read_was_lost(broker: Broker, queue: Queue, kind: str):
    """What a read brought whose answer the worker has never seen lies ready again; what it had claimed is its own."""
    await take(broker, queue)
    if kind == "gated":
        await tune(broker, queue, c=100)
    [claimed] = await seed(broker, queue)
    call = {"consumer": "w1", "nonce": "n", "limit": 1}
    await broker.store.claim(queue, **call)
    [read] = await seed(broker, queue)
    await read_one(broker, queue)
    assert await broker.settings.suspend(queue)
    again = await broker.store.claim(queue, **call, resume=True)
    assert [one.id for one in again.deliveries] == [claimed]
    assert await broker.settings.release(queue)
    assert [one.id for one in await take(broker, queue, "w2")] == [read]


async def test_running_job_of_a_suspended_queue_ends(broker: Broker, queue: Queue):
    """A job that runs when its tenant is suspended is committed as ever."""
    [job_id] = await seed(broker, queue, 1)
    [delivery] = await take(broker, queue)
    await broker.settings.suspend(queue)
    await commit(broker, delivery)
    assert (await job_of(broker, queue, job_id)).state == "succeeded"


async def test_types_of_a_worker_count_for_the_tenants_that_it_serves(broker: Broker):
    """What a worker registers counts for the tenants that it serves, also once it is gone."""
    registry = broker.registry
    everywhere, named = (TypeRegistration(type=JobType(one), policy=TypePolicy()) for one in ("all.do", "some.do"))
    alive = timedelta(minutes=1)
    await registry.add_types(DEFAULT_TENANT, [everywhere], worker="a", alive_for=alive, others=[ALL_TENANTS])
    await registry.add_types(ACME, [named], worker="b", alive_for=alive, others=["globex"])

    async def types_of(tenant: str) -> list[str]:
        return list(await registry.types(Tenant(tenant)))

    for _ in range(2):
        assert await types_of("default") == ["all.do"]
        assert await types_of("acme") == ["all.do", "some.do"]
        assert await types_of("globex") == ["all.do", "some.do"]
        assert await types_of("umbrella") == ["all.do"]
        # What a release has left behind counts as it did.
        await broker.client.delete(broker.keys.starts)
