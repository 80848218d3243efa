"""The queues of a tenant follow its state, by whatever key it was changed, and whenever they are used first."""

from msgspec.structs import replace
from streams.seeds import seed, take

from millstream_contracts import JobType, Queue, Tenant, TenantState
from millstream_dispatcher.tenants.tenant_book import TenantBook
from millstream_dispatcher.tenants.tenant_keeper import TenantKeeper
from millstream_streams import Broker, StoredTenant
from millstream_telemetry import MetricRegistry, TenantMetrics

ACME, GLOBEX = Tenant("acme"), Tenant("globex")


def keeper(broker: Broker, registry: MetricRegistry | None = None) -> TenantKeeper:
    """Return the duty of a dispatcher that has just started."""
    metrics = TenantMetrics(registry or MetricRegistry())
    return TenantKeeper(broker, TenantBook(broker.tenants), metrics, interval_s=5.0)


async def put(broker: Broker, tenant: Tenant, state: TenantState) -> None:
    """Give a tenant a state, as an ingest does that dies before it gets to the queues."""
    read = await broker.tenants.get(tenant)
    becomes = replace(read or StoredTenant(created_at_ms=1), state=state, changed_at_ms=2)
    assert await broker.tenants.put_tenant(tenant, read, becomes)


async def test_queues_follow_what_an_ingest_has_left(broker: Broker):
    """Queues of a suspended tenant give nothing, also one that is used later, and all go on when the tenant does."""
    known, later, other = (Queue(one, JobType(name)) for one, name in ((ACME, "a"), (ACME, "b"), (GLOBEX, "a")))
    await broker.registry.add_queues([known, other])
    await put(broker, GLOBEX, TenantState.ACTIVE)
    await put(broker, ACME, TenantState.SUSPENDED)
    await keeper(broker).run_once()
    await broker.registry.add_queues([later])
    await keeper(broker).run_once()
    for queue in (known, later, other):
        await seed(broker, queue)
    assert [len(await take(broker, queue)) for queue in (known, later, other)] == [0, 0, 1]
    await put(broker, ACME, TenantState.ACTIVE)
    await keeper(broker).run_once()
    assert [len(await take(broker, queue)) for queue in (known, later)] == [1, 1]


async def test_tenants_are_counted_by_state(broker: Broker):
    """The gauge has all tenants by state, and one of a state that is not known as suspended."""
    await put(broker, ACME, TenantState.SUSPENDED)
    await broker.client.hset(broker.keys.tenants, GLOBEX, b"\x81\xa5state\xa3odd")
    registry = MetricRegistry()
    await keeper(broker, registry).run_once()
    found = {one: registry.get_sample_value("millstream_tenants", {"state": one}) for one in ("active", "suspended")}
    assert found == {"active": 1.0, "suspended": 2.0}
