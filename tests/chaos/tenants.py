"""The scenario of tenants: keys come and go, one tenant is suspended and one deleted, whatever is killed meanwhile."""

import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import anyio
import httpx2
import msgspec
from chaos.asker import ANSWER_WITHIN_S, Asker
from chaos.fleet import Timing
from chaos.journal import now_ms
from chaos.kills import kills_beside_redis
from chaos.stage import Stage
from chaos.submitter import Submitter, Wish
from chaos.tenancy import Deletion, KeyLife, Suspension
from msgspec import Struct

from millstream import Client
from millstream_contracts import DEFAULT_TENANT, AuditChain, ChainChecker, Role, Tenant, mint_key
from millstream_ingest.access.key_cache import STALE_AFTER_S
from millstream_streams import KeyChange, StoredApiKey

ACME, INITECH, HOOLI = Tenant("acme"), Tenant("initech"), Tenant("hooli")
"""The tenants whose keys change all the time, which is suspended again and again, and which is deleted."""
TENANTS = (DEFAULT_TENANT, ACME, INITECH, HOOLI)

TIMING = Timing(more={"AUTH": "required", "DELETION_SETTLES_S": "10"})
"""The deletion looks again for longer than a lease: what a killed worker had is found by then."""
QUOTAS = {"jobs_waiting": 30, "keys": 8}
MIX = (
    Wish(type="chaos.quick", weight=40),
    Wish(type="chaos.slow", weight=15, seconds=(0.2, 1.5)),
    Wish(type="chaos.flaky", weight=10, times=(1, 2)),
    Wish(type="chaos.parent", weight=8),
    Wish(type="chaos.quick", weight=8, delay_s=(0.2, 2.0)),
    Wish(type="chaos.spread", weight=15),
)
LATER = Wish(type="chaos.quick", delay_s=(1.0, 2.0))
RATE_PER_S = 4.0
"""Of each tenant."""
WAITING = 5
"""The jobs of a tenant that are not due yet when it is suspended."""
LIVE_KEYS = 3
OVERLAP_S = 1
EARLIER_KEYS = 6
"""Of the keys that have ended so many are tried again: trying all would look like guessing."""
PROBE_EVERY_S = 0.3
HELD_S = (STALE_AFTER_S + 1.0, STALE_AFTER_S + 4.0)
"""How long the tenant is suspended: longer than an ingest may know nothing of it."""
DELETED_WITHIN_S = 240.0
"""A dispatcher that is killed in a step of the deletion delays it by a minute."""
STORED_WITHIN_S = 60.0
AFTERWARDS_S = 3.0

Faults = Callable[[Stage], Awaitable[None]]


class Estate(Struct):
    """Who asks for changes: the operator, and an administrator of each tenant."""

    http: httpx2.AsyncClient
    operator: Asker
    admins: dict[Tenant, Asker]


async def tenants(stage: Stage) -> None:
    """Kill every service and Redis while keys and tenants change: none does more than it may, and all is on record."""
    await run_tenants(stage, kills_beside_redis)


async def run_tenants(stage: Stage, faults: Faults) -> None:
    """Have tenants submit jobs under changes and faults, and read the audit trail at the end."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False, timeout=ANSWER_WITHIN_S))
        estate = await _found(stage, http)
        stage.tenancy.deletion = deletion = Deletion(HOOLI)
        loads = [await stack.enter_async_context(_load_of(stage, tenant)) for tenant in TENANTS]
        stop, leave = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as tasks:
            for tenant, load in zip(TENANTS, loads, strict=True):
                tasks.start_soon(load.load, RATE_PER_S, MIX, leave if tenant == HOOLI else stop)
            tasks.start_soon(_probe, stage.apart("probe"), estate, stop)
            async with anyio.create_task_group() as changing:
                changing.start_soon(faults, stage.apart("faults"))
                changing.start_soon(_change_keys, stage.apart("keys"), estate)
                changing.start_soon(_suspend, stage.apart("suspensions"), estate, loads[TENANTS.index(INITECH)])
                changing.start_soon(_flood, stage.apart("flood"), loads[TENANTS.index(ACME)])
                changing.start_soon(_delete, stage.apart("deletion"), estate, deletion, leave)
            # The events of the deleted tenant are gone, and no counter that knew of them may be compared with the rest.
            await _renew(stage)
            await anyio.sleep(AFTERWARDS_S)
            stop.set()
        await _read_trails(stage, estate)
    _describe(stage)


async def _found(stage: Stage, http: httpx2.AsyncClient) -> Estate:
    """Store a key of the operator, as `millstream keys bootstrap` does, and have it make the tenants and their keys."""
    minted, now = mint_key(), now_ms()
    stored = StoredApiKey(
        digest=minted.digest, tenant=DEFAULT_TENANT, name="operator", role=Role.ADMIN, created_at_ms=now
    )
    await stage.broker.api_keys.put_keys([KeyChange(minted.id, None, stored)])
    stage.tenancy.keys[minted.id] = life = KeyLife(minted.id, minted.text, DEFAULT_TENANT, now)
    operator = Asker(stage.apart("operator"), http, life)
    admins = {DEFAULT_TENANT: operator}
    for tenant in TENANTS[1:]:
        quotas = QUOTAS if tenant == ACME else {}
        await operator.change("POST /v1/tenants", {"name": tenant, "quotas": quotas})
        key = await operator.new_key(Role.ADMIN, tenant, "administrator")
        assert key is not None
        admins[tenant] = Asker(stage.apart(tenant), http, key)
    return Estate(http, operator, admins)


def _load_of(stage: Stage, tenant: Tenant) -> Submitter:
    deletion, rng = stage.tenancy.deletion, random.Random(f"{tenant} {stage.rng.random()}")

    def choose_key() -> str:
        live = stage.tenancy.keys_of(tenant)
        # One whose keys have all ended goes on with the last one.
        known = [key for key in stage.tenancy.keys.values() if key.tenant == tenant]
        return rng.choice(live or known[-1:]).text

    ledger = deletion.ledger if deletion and deletion.tenant == tenant else stage.submitter.ledger
    return Submitter(stage.fleet.of("ingest"), rng, {}, ledger=ledger, tenant=tenant, choose_key=choose_key)


async def _probe(stage: Stage, estate: Estate, stop: anyio.Event) -> None:
    """Try keys that work and keys that have ended at each ingest, and ask for jobs of other tenants."""
    while not stop.is_set():
        keys = list(stage.tenancy.keys.values())
        ended = [key for key in keys if not key.is_live][-EARLIER_KEYS:]
        live = [key for key in keys if key.is_live]
        key = stage.rng.choice(ended if ended and stage.rng.random() < 0.5 else live)
        asker, ingest = Asker(stage, estate.http, key), stage.any_of("ingest")
        foreign = [
            job for entry in stage.submitter.ledger.entries[-50:] if entry.tenant != key.tenant for job in entry.ids
        ]
        if foreign and stage.rng.random() < 0.3:
            job = stage.rng.choice(foreign)
            await asker.use(ingest, f"/v1/jobs/{job}", job)
        else:
            await asker.use(ingest, "/v1/me")
        await anyio.sleep(PROBE_EVERY_S * stage.rng.uniform(0.5, 1.5))


async def _change_keys(stage: Stage, estate: Estate) -> None:
    """Make, rotate and revoke keys of one tenant, by its own administrator."""
    admin, ends_at = estate.admins[ACME], anyio.current_time() + stage.seconds
    if key := await admin.new_key(Role.OPERATOR, ACME, "revoked"):
        await _revoke(admin, key)
    while anyio.current_time() < ends_at:
        live = [key for key in stage.tenancy.keys_of(ACME) if key is not admin.key]
        if len(live) < LIVE_KEYS and stage.rng.random() < 0.8:
            await admin.new_key(Role.OPERATOR, ACME, "changing")
        elif live and stage.rng.random() < 0.4:
            await _rotate(admin, stage.rng.choice(live))
        elif live:
            await _revoke(admin, stage.rng.choice(live))
        await anyio.sleep(stage.rng.uniform(0.2, 1.0))


async def _rotate(admin: Asker, key: KeyLife) -> None:
    key.ending_ms = now_ms() + OVERLAP_S * 1000
    response = await admin.change(f"POST /v1/keys/{key.id}/rotate", {"overlap_s": OVERLAP_S})
    if response.status_code == 201:
        admin.note_key(response)
    key.ended_ms = now_ms() + OVERLAP_S * 1000
    await anyio.sleep(OVERLAP_S)
    # It counts for the quota for as long as it is stored.
    await _revoke(admin, key)


async def _revoke(admin: Asker, key: KeyLife) -> None:
    key.ending_ms = min(key.ending_ms, now_ms())
    # 404 where an earlier request was not answered, and has revoked it.
    await admin.change(f"DELETE /v1/keys/{key.id}")
    key.ended_ms = min(key.ended_ms, now_ms())


async def _suspend(stage: Stage, estate: Estate, load: Submitter) -> None:
    """Suspend one tenant again and again, for longer than an ingest may know nothing of it, with jobs that fall due."""
    ends_at, operator = anyio.current_time() + stage.seconds, estate.operator
    while anyio.current_time() < ends_at:
        await anyio.sleep(stage.rng.uniform(0.5, 2.0))
        await load.submit_many(LATER, WAITING)
        suspension = Suspension(INITECH)
        stage.tenancy.suspensions.append(suspension)
        response = await operator.change(f"POST /v1/tenants/{INITECH}/suspend", {"reason": "unpaid"})
        stage.expect(response.status_code == 200, f"a suspension was answered {response.text}")
        suspension.answered_ms = now_ms()
        await anyio.sleep(stage.rng.uniform(*HELD_S))
        suspension.resuming_ms = now_ms()
        response = await operator.change(f"POST /v1/tenants/{INITECH}/resume")
        stage.expect(response.status_code == 200, f"the end of a suspension was answered {response.text}")


async def _flood(stage: Stage, load: Submitter) -> None:
    """Submit more jobs at once than the tenant may have waiting, again and again."""
    ends_at = anyio.current_time() + stage.seconds
    while anyio.current_time() < ends_at:
        await anyio.sleep(stage.rng.uniform(1.0, 3.0))
        await load.submit_many(LATER, len(stage.fleet.of("ingest")) * QUOTAS["jobs_waiting"])


async def _delete(stage: Stage, estate: Estate, deletion: Deletion, leave: anyio.Event) -> None:
    """Delete one tenant in the middle of its work, and return once nothing of it should be left."""
    await anyio.sleep(stage.seconds * stage.rng.uniform(0.2, 0.4))
    theirs = stage.tenancy.keys_of(HOOLI)
    for key in theirs:
        key.ending_ms = now_ms()
    response = await estate.operator.change(f"DELETE /v1/tenants/{HOOLI}?confirm={HOOLI}")
    stage.expect(response.status_code == 202, f"the deletion was answered {response.text}")
    deletion.answered_ms = now_ms()
    for key in theirs:
        key.ended_ms = deletion.answered_ms
    # It goes on to submit for as long as an ingest may not know of it, and a little longer.
    await anyio.sleep(HELD_S[0])
    leave.set()
    path = f"/v1/operations/{response.json()['id']}"

    async def is_done() -> bool:
        await anyio.sleep(PROBE_EVERY_S)
        shown = await estate.operator.use(stage.any_of("ingest"), path)
        return shown is not None and shown.status_code == 200 and shown.json()["state"] == "done"

    begun = anyio.current_time()
    deletion.is_done = await stage.wait(is_done, "the tenant is deleted", DELETED_WITHIN_S)
    stage.figures["deleted"] = f"{HELD_S[0] + anyio.current_time() - begun:.0f} s after it was answered"


async def _renew(stage: Stage) -> None:
    """Kill every process that counts, and wait for those that take their places."""
    for kind in ("worker", "reaper", "ingest"):
        for service in stage.fleet.of(kind):
            before = service.pid
            await stage.kill(service)
            await stage.wait(
                lambda service=service, before=before: service.pid != before, f"{service.name} is back", ANSWER_WITHIN_S
            )
    await stage.fleet.wait_ready()


async def _read_trails(stage: Stage, estate: Estate) -> None:
    """Read all records once the history has them, and verify each chain, as its auditor does."""
    tenancy, broker, history = stage.tenancy, stage.broker, stage.history
    assert history is not None

    async def are_stored() -> bool:
        return not await broker.audit_trail.count_waiting()

    await stage.wait(are_stored, "the history has all audit records", STORED_WITHIN_S)
    tenancy.begun = [entry.request_id for entry in await broker.audit_trail.begun()]
    for tenant in TENANTS:
        found = await history.audit_records(tenant)
        tenancy.trail += found
        if tenant == HOOLI:
            # No key can read its chain any more.
            checker = ChainChecker(AuditChain(tenant=tenant, head=await broker.audit_trail.head(tenant)))
            for record in found:
                checker.check(msgspec.to_builtins(record))
            told = checker.result()
        else:
            url, key = stage.any_of("ingest").url("listening"), estate.admins[tenant].key
            async with Client(url, api_key=key.text) as client:
                told = await client.verify_audit()
        tenancy.verified += told.records
        tenancy.faults += [f"record {fault.seq} of {tenant}: {fault.detail}" for fault in told.faults]


def _describe(stage: Stage) -> None:
    tenancy = stage.tenancy
    ended = [key for key in tenancy.keys.values() if not key.is_live]
    stage.figures["keys"] = f"{len(tenancy.keys)}, of which {len(ended)} ended, tried {len(tenancy.uses)} times"
    stage.figures["suspensions"] = str(len(tenancy.suspensions))
    lost = sum(not change.status for change in tenancy.changes)
    stage.figures["changes"] = f"{len(tenancy.changes)}, of which {lost} were not answered"
    stage.figures["audit records"] = f"{len(tenancy.trail)}, and {len(tenancy.begun)} with a begin alone"
