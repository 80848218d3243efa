"""What is above a quota of a tenant is refused, and nothing of other tenants."""

import pytest
from ingest.serving import Ingest, problem
from ingest.tenants.test_tenants import JOB, ask, key_of, make
from streams.seeds import take
from waiting import wait_until

from millstream_contracts import JobType, MintedKey, Queue, Tenant
from millstream_ingest.http.errors import IngestError
from millstream_ingest.tenants.quotas import Quotas
from millstream_streams import Broker


async def held(ingest: Ingest, name: str, count: int) -> None:
    """Wait until ingest knows a tenant with so many quotas."""

    def is_known() -> bool:
        stored = ingest.services.key_cache.tenants.get(Tenant(name))
        return stored is not None and sum(map(bool, _given(stored.quotas))) == count

    await wait_until(is_known, "ingest knows the quotas")


def _given(quotas: object) -> list[object]:
    return [getattr(quotas, name) for name in quotas.__struct_fields__]  # type: ignore[attr-defined]


async def test_payload_above_the_quota_is_too_large(ingest: Ingest, admin: MintedKey):
    """A payload above the quota is refused alone and in a batch, and one of another tenant is not."""
    await make(ingest, admin, quotas={"payload_bytes": 10})
    theirs = await key_of(ingest, admin)
    await held(ingest, "acme", 1)
    large = {**JOB, "payload": "x" * 20}
    problem(await ask(ingest, theirs, "POST /v1/jobs", large), 413, "too-large")
    batch = (await ask(ingest, theirs, "POST /v1/jobs/batch", {"jobs": [JOB, large]})).json()
    assert [item["status"] for item in batch["items"]] == [202, 413]
    assert (await ask(ingest, admin, "POST /v1/jobs", large)).status_code == 202


async def test_jobs_above_the_quota_wait_outside(ingest: Ingest, admin: MintedKey, broker: Broker):
    """While as many jobs wait as the quota allows, further ones are refused; when some have gone, they are taken."""
    await make(ingest, admin, quotas={"jobs_waiting": 2})
    theirs = await key_of(ingest, admin)
    await held(ingest, "acme", 1)
    made = [(await ask(ingest, theirs, "POST /v1/jobs", JOB)).json() for _ in range(2)]
    refused = problem(await ask(ingest, theirs, "POST /v1/jobs", JOB), 429, "tenant-backlog-full")
    assert refused
    batch = (await ask(ingest, theirs, "POST /v1/jobs/batch", {"jobs": [JOB]})).json()
    assert [item["status"] for item in batch["items"]] == [429]
    assert (await ask(ingest, admin, "POST /v1/jobs", JOB)).status_code == 202
    await broker.store.cancel(Queue(Tenant("acme"), JobType("email.send")), [made[0]["id"]])

    async def is_taken() -> bool:
        return (await ask(ingest, theirs, "POST /v1/jobs", JOB)).status_code == 202

    await wait_until(is_taken, "there is room for one more")


async def test_jobs_above_the_quota_of_running_ones_wait(ingest: Ingest, admin: MintedKey, broker: Broker):
    """As many jobs of a tenant start as its quota says, from the first one on; a job that waits says so, with numbers.

    Once a change of the quota is answered it is in force.
    """
    queue = Queue(Tenant("acme"), JobType("email.send"))
    await make(ingest, admin, quotas={"jobs_running": 2})
    theirs = await key_of(ingest, admin)
    ids = [(await ask(ingest, theirs, "POST /v1/jobs", JOB)).json()["id"] for _ in range(4)]
    assert await take(broker, queue) == []
    await broker.quotas.deal(queue.tenant, [queue])
    taken = await take(broker, queue)
    assert [one.id for one in taken] == ids[:2]
    assert (await ask(ingest, admin, "GET /v1/tenants/acme")).json()["jobs_running"] == 2
    assert "jobs_running" not in (await ask(ingest, admin, "GET /v1/tenants")).json()["items"][0]
    (reason, _) = (await ask(ingest, theirs, f"GET /v1/jobs/{ids[3]}/explain")).json()["reasons"]
    told = "its tenant may run 2 jobs at once, and runs 2: its queue may have 2 of them now, and has 2"
    assert (reason["code"], reason["detail"]) == ("quota", told)
    changed = (await ask(ingest, admin, "PATCH /v1/tenants/acme", {"quotas": {"jobs_running": 3}})).json()
    assert changed["quotas"] == {"jobs_running": 3}
    assert [one.id for one in await take(broker, queue)] == ids[2:3]
    await ask(ingest, admin, "PATCH /v1/tenants/acme", {"quotas": {}})
    assert [one.id for one in await take(broker, queue)] == ids[3:]
    assert "jobs_running" not in (await ask(ingest, admin, "GET /v1/tenants/acme")).json()


async def test_tenant_that_submits_seldom_is_held_to_its_quota(ingest: Ingest, admin: MintedKey, broker: Broker):
    """A tenant without room has none while it submits nothing, and has some once its jobs are gone."""
    await make(ingest, admin, quotas={"jobs_waiting": 1})
    theirs = await key_of(ingest, admin)
    await held(ingest, "acme", 1)
    quotas, queue = (
        Quotas(broker, lambda: ingest.services.key_cache.tenants),
        Queue(Tenant("acme"), JobType("email.send")),
    )
    made = (await ask(ingest, theirs, "POST /v1/jobs", JOB)).json()
    quotas.take(queue, 1)
    for _ in range(3):
        await quotas.count()
    with pytest.raises(IngestError):
        quotas.take(queue, 1)
    await broker.store.cancel(queue, [made["id"]])
    await quotas.count()
    quotas.take(queue, 1)


async def test_jobs_of_tenants_that_submit_nothing_are_not_counted(broker: Broker, ingest: Ingest):
    """Counting costs what tenants submit, and nothing for those that are idle."""
    quotas = Quotas(broker, lambda: ingest.services.key_cache.tenants)
    await quotas.count()
    assert quotas._room == {}


async def test_keys_of_a_tenant_share_its_limit(ingest: Ingest, admin: MintedKey):
    """What two keys of a tenant submit counts together, and a limit that is taken away counts no more."""
    limits = {"submissions_per_s": 0.01, "burst": 2}
    made = await make(ingest, admin, limits=limits)
    assert made["limits"] == limits
    one, other = [await key_of(ingest, admin) for _ in range(2)]
    await ingest.services.key_cache.refresh()
    answers = [await ask(ingest, key, "POST /v1/jobs", JOB) for key in (one, other, one, other)]
    assert [answer.status_code for answer in answers] == [202, 202, 429, 429]
    assert answers[-1].json()["violated-policies"] == ["tenant-submissions"]
    assert (await ask(ingest, admin, "POST /v1/jobs", JOB)).status_code == 202
    changed = (await ask(ingest, admin, "PATCH /v1/tenants/acme", {"limits": {}})).json()
    assert "limits" not in changed
    await ingest.services.key_cache.refresh()
    assert (await ask(ingest, one, "POST /v1/jobs", JOB)).status_code == 202
    problem(await ask(ingest, admin, "PATCH /v1/tenants/acme", {"limits": {"burst": 1}}), 422, "invalid-request")


async def test_schedules_and_keys_above_the_quota_are_refused(ingest: Ingest, admin: MintedKey):
    """A tenant with as many as it may have is refused one more, and may change those that it has."""
    await make(ingest, admin, quotas={"schedules": 1, "keys": 1})
    theirs = await key_of(ingest, admin)
    await held(ingest, "acme", 2)
    schedule = {"every_s": 3600, "job": JOB}
    assert (await ask(ingest, theirs, "PUT /v1/schedules/a", schedule)).status_code == 201
    assert (await ask(ingest, theirs, "PUT /v1/schedules/a", schedule)).status_code == 200
    problem(await ask(ingest, theirs, "PUT /v1/schedules/b", schedule), 403, "quota-reached")
    asked = {"name": "a", "role": "viewer"}
    problem(await ask(ingest, theirs, "POST /v1/keys", asked), 403, "quota-reached")
    problem(await ask(ingest, admin, "POST /v1/keys", {**asked, "tenant": "acme"}), 403, "quota-reached")
