"""A deletion removes all that a tenant has and nothing of another, whichever dispatcher ends in the middle of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import msgspec
import pytest
from dispatcher.operations.scene import Scene
from history_databases import execute, rows_of
from leftovers import keys_of_tenant, mentions_of_tenant
from streams.seeds import FAR_MS, commit, lease, nonce, seed, seed_dead, seed_running, take

from millstream_codec import Keyring, LocalKeys, StoredDataKey
from millstream_contracts import (
    DEFAULT_TENANT,
    AuditOutcome,
    BulkOperation,
    JobType,
    OperationState,
    Queue,
    QueueLimits,
    Tenant,
    TenantState,
)
from millstream_dispatcher.operations.tenant_deleter import TenantDeleter
from millstream_history import TABLES_OF_TENANTS, History
from millstream_streams import (
    BATCHES_TYPE,
    SCHEDULES_TYPE,
    WORKFLOWS_TYPE,
    Broker,
    CommitCode,
    Delivery,
    Idempotency,
    KeyChange,
    StoredApiKey,
    StoredTemplate,
    StoredTenant,
)
from millstream_submission import in_deletion
from millstream_telemetry import MetricRegistry

ACME, GLOBEX = Tenant("acme"), Tenant("globex")
MAIL = JobType("email.send")
BY = "Wm3kP0sZ"
MANY_STEPS = 100
KID = "2026-11"
IN_ITS_MONTH = datetime(2026, 11, 28, tzinfo=UTC).timestamp()
DATA_KEY = StoredDataKey(kek="kek", wrapped=b"wrapped", made_at_ms=1)

# What a column without NULL has in a row that tells nothing, by its type.
_VALUES = {
    **dict.fromkeys(("Integer", "BigInteger", "SmallInteger", "Double"), "1"),
    "Text": "'x'",
    "Boolean": "true",
    "JSONB": "'{}'",
    "ARRAY": "'{}'",
}


@pytest.fixture
def queue(queues: list[Queue]) -> Queue:
    """Return a queue of the tenant that is deleted."""
    return Queue(ACME, MAIL)


@pytest.fixture
def deleter(broker: Broker, history: History) -> TenantDeleter:
    """Return what a dispatcher takes steps with that has not begun the deletion."""
    return TenantDeleter(broker, history, settles_s=0.0)


@pytest.fixture
async def theirs(scene: Scene) -> AsyncIterator[list[str]]:
    """Yield the names of the keys that another tenant has, which are all there in the end."""
    broker = scene.broker
    await furnish(broker, GLOBEX)
    await fill_history(scene.url, GLOBEX)
    names = await keys_of(broker, GLOBEX)
    yield names
    assert await keys_of(broker, GLOBEX) == names
    assert set((await rows_of(scene.url, GLOBEX)).values()) == {1}
    await broker.client.delete(*names)


async def furnish(broker: Broker, tenant: Tenant) -> None:
    """Give a tenant something of everything that Redis can have of one."""
    await broker.tenants.put_tenant(tenant, None, StoredTenant(created_at_ms=1, changed_at_ms=1))
    queue = Queue(tenant, MAIL)
    shards = {kind: Queue(tenant, kind, 3) for kind in (SCHEDULES_TYPE, WORKFLOWS_TYPE, BATCHES_TYPE)}
    await broker.registry.add_queues([queue])
    await broker.registry.note_callbacks([queue])
    await broker.registry.rest_queues([Queue(tenant, JobType("report"))], 1)
    client, keys = broker.client, broker.keys
    registries = {keys.schedules: SCHEDULES_TYPE, keys.workflows: WORKFLOWS_TYPE, keys.batches: BATCHES_TYPE}
    for name, kind in registries.items():
        await client.sadd(name, shards[kind].tag)
    await client.hset(keys.of_schedules(shards[SCHEDULES_TYPE]).schedule("nightly"), "state", "active")
    await client.hset(keys.of_workflows(shards[WORKFLOWS_TYPE]).part("WF_00" + "A" * 26), "state", "running")
    await client.hset(keys.of_workflows(shards[WORKFLOWS_TYPE]).part("WF_00" + "A" * 26, "live"), "0", "")
    await client.hset(keys.of_batches(shards[BATCHES_TYPE]).part("BA_00" + "A" * 26), "state", "open")
    await broker.templates.put(tenant, "mail", StoredTemplate({}, "", 1))
    for place, kept in enumerate((broker.api_keys, broker.sessions)):
        stored = StoredApiKey(digest=b"x" * 32, tenant=tenant, name="a", role="admin", created_at_ms=1)
        assert await kept.put_keys([KeyChange(f"{tenant}-{place}", None, stored)])
    await broker.data_keys.succeed_data_key(tenant, "", KID, DATA_KEY)
    await seed_dead(broker, queue)
    await commit(broker, await seed_running(broker, queue))
    await seed(broker, queue, idempotency=Idempotency(key=b"k" * 16, fingerprint="f"))
    await seed(broker, queue, delay_ms=FAR_MS)
    await broker.settings.limit(queue, QueueLimits(concurrency=1_000))


async def fill_history(url: str, tenant: Tenant) -> None:
    """Give a tenant a row in each table that has rows of tenants."""
    for table in TABLES_OF_TENANTS:
        needed = {column.name: type(column.type).__name__ for column in table.c if not column.nullable}
        values = {name: _VALUES.get(kind, "now()") for name, kind in needed.items()} | {"tenant": f"'{tenant}'"}
        await execute(url, f"INSERT INTO {table.name} ({', '.join(values)}) VALUES ({', '.join(values.values())})")


async def keys_of(broker: Broker, tenant: str) -> list[str]:
    """Return the keys with a tenant in their names."""
    return await keys_of_tenant(broker.client, broker.keys.namespace, tenant)


async def mentions(broker: Broker, tenant: str) -> list[str]:
    """Return the keys of all tenants that have an entry of this one."""
    return await mentions_of_tenant(broker.client, broker.keys.namespace, tenant)


async def ask(scene: Scene, name: str = "op_1") -> str:
    """Ask for the deletion, as an ingest does that is killed before it gets to Redis."""
    now = await scene.broker.now()
    made = await scene.history.operations.add_deletion(name, ACME, round(now.timestamp() * 1000), by=BY)
    return made.shown.id


async def shown(scene: Scene, operation: str) -> BulkOperation:
    """Return the operation, which is one of the operator's own tenant."""
    found = await scene.history.operations.find(DEFAULT_TENANT, operation)
    assert found is not None
    return found.shown


async def run(scene: Scene) -> None:
    """Run all steps, without their pauses."""
    for _ in range(MANY_STEPS):
        await scene.make_due()
        if not (await scene.operator.run_once()).more:
            return
    pytest.fail("the deletion goes on and on")


async def test_nothing_of_the_tenant_is_left_and_all_of_others(
    scene: Scene, theirs: list[str], metrics: MetricRegistry
) -> None:
    """No key, no entry and no row is left, but of the audit trail; the operation says what was removed."""
    assert theirs
    await furnish(scene.broker, ACME)
    await fill_history(scene.url, ACME)
    operation = await ask(scene)
    await run(scene)
    found = await shown(scene, operation)
    assert (found.state, found.tenant, found.finished_at is not None) == (OperationState.DONE, ACME, True)
    assert await keys_of(scene.broker, ACME) == []
    assert await mentions(scene.broker, ACME) == []
    assert set((await rows_of(scene.url, ACME)).values()) == {0}
    assert await scene.broker.tenants.get(ACME) is None
    counted = {"jobs": 4, "schedules": 1, "workflows": 1, "batches": 1, "api_keys": 1, "sessions": 1}
    assert counted.items() <= found.removed.items()
    # The deletion itself is an operation of another tenant.
    assert found.removed["webhooks"] == 1
    assert found.removed["history_rows"] >= len(TABLES_OF_TENANTS) - 1
    assert found.done == sum(found.removed.values())
    labels = {"kind": "delete-tenant", "outcome": "done"}
    assert metrics.get_sample_value("millstream_operation_jobs_total", labels) == counted["jobs"]


async def test_the_audit_trail_says_once_what_was_removed(scene: Scene) -> None:
    """One record has who asked and the counts, in the chain of the operator's own tenant."""
    await furnish(scene.broker, ACME)
    operation = await ask(scene)
    await run(scene)
    [entry] = (await scene.broker.audit_trail.waiting(10)).entries
    assert (entry.tenant, entry.action, entry.outcome) == (DEFAULT_TENANT, "deleteTenant", AuditOutcome.DONE)
    assert (entry.target, entry.key_id) == ("/v1/tenants/acme", BY)
    assert entry.changes["jobs"] == {"before": (await shown(scene, operation)).removed["jobs"]}


async def test_dispatchers_that_end_in_the_middle_of_steps_delete_it_whole(
    scene: Scene, theirs: list[str], deleter: TenantDeleter
) -> None:
    """Each step is carried out by a dispatcher that ends before it has stored that, and once more by another."""
    assert theirs
    await furnish(scene.broker, ACME)
    await fill_history(scene.url, ACME)
    operation = await ask(scene)
    for _ in range(MANY_STEPS):
        await scene.make_due()
        taken = await scene.history.operations.take("a dispatcher that is killed", lease_s=60.0)
        if taken is None:
            break
        await deleter.step(taken)
        await scene.make_due()
        await scene.operator.run_once()
    assert (await shown(scene, operation)).state is OperationState.DONE
    assert (await keys_of(scene.broker, ACME), await mentions(scene.broker, ACME)) == ([], [])
    assert set((await rows_of(scene.url, ACME)).values()) == {0}


async def test_a_repeated_last_step_leaves_a_new_tenant_of_the_same_name_alone(
    scene: Scene, deleter: TenantDeleter
) -> None:
    """A dispatcher that is killed after the tenant is gone, and before that is stored, costs its successor nothing."""
    await furnish(scene.broker, ACME)
    operation = await ask(scene)
    while await scene.broker.tenants.get(ACME) is not None:
        await scene.make_due()
        taken = await scene.history.operations.take("a dispatcher that is killed", lease_s=60.0)
        assert taken is not None
        step = await deleter.step(taken)
        if step.state is not OperationState.DONE:
            await scene.history.operations.advance(taken, step)
    again = StoredTenant(created_at_ms=7, changed_at_ms=7)
    assert await scene.broker.tenants.put_tenant(ACME, None, again)
    await scene.broker.registry.add_queues([scene.queue])
    [job] = await seed(scene.broker, scene.queue)
    await run(scene)
    assert (await shown(scene, operation)).state is OperationState.DONE
    assert await scene.broker.tenants.get(ACME) == again
    assert [one.id for one in await take(scene.broker, scene.queue)] == [job]


async def test_a_tenant_of_the_same_name_gets_a_data_key_of_another_id(scene: Scene) -> None:
    """Processes hold keys by their ids: with the same one, what is encrypted for the second tenant would be lost."""
    await furnish(scene.broker, ACME)
    await ask(scene)
    await run(scene)
    data_keys = scene.broker.data_keys
    assert await data_keys.get(ACME, KID) is None
    keyring = Keyring(LocalKeys({"kek": b"k" * 32}, "kek"), lambda: IN_ITS_MONTH)
    keyring.store = data_keys
    assert (await keyring.current(ACME)).kid != KID


async def test_what_comes_late_is_found_by_the_next_round(scene: Scene) -> None:
    """A job that a handler submits into a queue that was not there, after all was removed, is removed too."""
    await furnish(scene.broker, ACME)
    operation = await ask(scene)
    late = Queue(ACME, JobType("report"))
    for _ in range(MANY_STEPS):
        await scene.make_due()
        await scene.operator.run_once()
        if (await shown(scene, operation)).removed.get("jobs", 0) == 4:
            break
    await scene.broker.registry.add_queues([late])
    await seed(scene.broker, late)
    await run(scene)
    assert (await shown(scene, operation)).removed["jobs"] == 5
    assert (await keys_of(scene.broker, ACME), await mentions(scene.broker, ACME)) == ([], [])


async def test_no_job_starts_from_the_first_round_on(scene: Scene) -> None:
    """A worker that knows the queue gets nothing of it, and makes no key, until the tenant is gone."""
    await furnish(scene.broker, ACME)
    await ask(scene)
    for _ in range(MANY_STEPS):
        await scene.make_due()
        more = (await scene.operator.run_once()).more
        if not more or await scene.broker.tenants.get(ACME) is None:
            break
        if (await scene.broker.tenants.get(ACME)) and not await scene.broker.registry.queues(ACME):
            claim = await scene.broker.store.claim(scene.queue, consumer="w", nonce=nonce(), limit=5)
            assert (claim.deliveries, claim.ask_again_ms > 0) == ([], True)
    assert await keys_of(scene.broker, ACME) == []


Act = Callable[[Broker, Delivery], Awaitable[object]]

AFTERWARDS: dict[str, Act] = {
    "commit": commit,
    "renew": lambda broker, held: broker.store.renew(held.queue, consumer="w1", leases=[lease(held, b"\x01")]),
    "hand back": lambda broker, held: broker.store.hand_back(held.queue, worker="w1", deliveries=[held]),
    "recover": lambda broker, held: broker.store.recover(held.queue, lease_ms=0, max_crashes=3),
    "save a step": lambda broker, held: broker.steps.save_step(held, "charge", "", "step", msgspec.msgpack.encode(7)),
    "cancel": lambda broker, held: broker.store.cancel(held.queue, [held.id]),
    "release": lambda broker, held: broker.store.release_due(held.queue),
    "measure": lambda broker, held: broker.store.measure(held.queue),
}


@pytest.mark.parametrize("act", AFTERWARDS.values(), ids=AFTERWARDS.keys())
async def test_what_a_running_attempt_does_afterwards_writes_nothing(scene: Scene, act: Act) -> None:
    """A worker that still runs a job of the tenant is refused, and makes no key of it anew."""
    await furnish(scene.broker, ACME)
    await take(scene.broker, scene.queue)
    held = await seed_running(scene.broker, scene.queue)
    await ask(scene)
    await run(scene)
    answer = await act(scene.broker, held)
    assert answer is not CommitCode.COMMITTED
    assert await keys_of(scene.broker, ACME) == []


async def test_a_second_operation_on_the_same_tenant_fails(scene: Scene) -> None:
    """Of two requests at once one deletes; the other says which."""
    await furnish(scene.broker, ACME)
    stored = await scene.broker.tenants.get(ACME)
    assert stored is not None
    assert await scene.broker.tenants.put_tenant(ACME, stored, in_deletion(stored, "op_first", 1))
    operation = await ask(scene, "op_second")
    await scene.operator.run_once()
    found = await shown(scene, operation)
    assert (found.state, "op_first" in found.detail) == (OperationState.FAILED, True)
    kept = await scene.broker.tenants.get(ACME)
    assert kept is not None
    assert kept.state == TenantState.DELETING
    await run(scene)
    for name in await keys_of(scene.broker, ACME):
        await scene.broker.client.delete(name)


async def test_a_tenant_that_is_not_there_cannot_be_deleted(scene: Scene) -> None:
    """The operation fails with the reason."""
    operation = await ask(scene)
    await run(scene)
    found = await shown(scene, operation)
    assert (found.state, "there is no tenant" in found.detail) == (OperationState.FAILED, True)
