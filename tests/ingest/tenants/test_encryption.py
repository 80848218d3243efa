"""All jobs of a tenant are stored encrypted where it says so; it is refused where there are no keys for it."""

import base64

import pytest
from ingest.access.conftest import bearer
from ingest.serving import Ingest, problem, running_ingest
from ingest.tenants.test_tenants import ask, key_of, make
from msgspec.structs import replace
from waiting import wait_until

from millstream_contracts import MintedKey
from millstream_ingest.settings import IngestSettings
from millstream_runtime import Secret
from millstream_streams import Broker

KEYS = "kek1:" + base64.b64encode(b"1" * 32).decode()
CANARY = "canary-4711"
JOB = {"type": "pay", "payload": {"card": CANARY}}


@pytest.fixture
def settings(settings: IngestSettings) -> IngestSettings:
    """Return the settings of an ingest that has keys."""
    return replace(settings, encryption_keys=Secret(KEYS))


async def is_plain(broker: Broker, job_id: str) -> bool:
    """Return whether the payload of a job stands in Redis as it was sent."""
    async for key in broker.client.scan_iter(f"{broker.keys.namespace}:*{job_id}*"):
        if CANARY.encode() in b"".join((await broker.client.hgetall(key)).values()):
            return True
    return False


async def test_jobs_of_such_a_tenant_are_stored_encrypted(ingest: Ingest, admin: MintedKey, broker: Broker):
    """From the change on a submission is stored encrypted, and is answered and read as it was sent."""
    assert "encryption" not in await make(ingest, admin)
    theirs = await key_of(ingest, admin)
    before = (await ask(ingest, theirs, "POST /v1/jobs", JOB)).json()
    assert "encrypted" not in before or before["encrypted"] is False
    assert await is_plain(broker, before["id"])
    changed = (await ask(ingest, admin, "PATCH /v1/tenants/acme", {"encryption": "all"})).json()
    assert changed["encryption"] == "all"
    later = {}

    async def is_encrypted() -> bool:
        later.update((await ask(ingest, theirs, "POST /v1/jobs", JOB)).json())
        return bool(later["encrypted"])

    await wait_until(is_encrypted, "this ingest knows")
    assert not await is_plain(broker, later["id"])
    for job in (before, later):
        assert (await ask(ingest, theirs, f"GET /v1/jobs/{job['id']}")).json()["payload"] == JOB["payload"]
    # Those of other tenants are stored as ever.
    other = (await ask(ingest, admin, "POST /v1/jobs", JOB)).json()
    assert await is_plain(broker, other["id"])
    back = (await ask(ingest, admin, "PATCH /v1/tenants/acme", {"encryption": "inherit"})).json()
    assert "encryption" not in back
    await wait_until(lambda: _not(is_encrypted), "this ingest knows")
    assert await is_plain(broker, later["id"])


async def _not(check) -> bool:  # type: ignore[no-untyped-def]
    return not await check()


async def test_a_tenant_is_made_so(ingest: Ingest, admin: MintedKey, broker: Broker):
    """A tenant that is made with `all` has its first job encrypted, and a batch of jobs as well."""
    made = await make(ingest, admin, encryption="all")
    assert made["encryption"] == "all"
    theirs = await key_of(ingest, admin)
    assert not await is_plain(broker, (await ask(ingest, theirs, "POST /v1/jobs", JOB)).json()["id"])
    stored = await ask(ingest, theirs, "POST /v1/jobs/batch", {"jobs": [JOB, JOB]})
    assert stored.status_code < 300, stored.text
    for one in stored.json()["items"]:
        assert not await is_plain(broker, one["id"])


async def test_a_unique_key_of_such_a_tenant_is_hashed(ingest: Ingest, admin: MintedKey, broker: Broker):
    """A second job with the key is answered with the first one, and Redis has the key of neither."""
    await make(ingest, admin, encryption="all")
    theirs = await key_of(ingest, admin)
    asked = {**JOB, "unique": {"key": CANARY}}
    first = await ask(ingest, theirs, "POST /v1/jobs", asked)
    second = await ask(ingest, theirs, "POST /v1/jobs", asked)
    assert (first.status_code, second.status_code) == (202, 200)
    assert second.headers["unique-conflict"] == "true"
    assert second.json()["id"] == first.json()["id"]
    assert not await is_plain(broker, first.json()["id"])
    shown = (await ask(ingest, theirs, f"GET /v1/jobs/{first.json()['id']}")).json()
    assert shown["unique"]["key"].startswith("keyed:")


async def test_it_is_refused_where_there_are_no_keys(admin: MintedKey, broker: Broker, settings: IngestSettings):
    """Without keys a tenant is neither made nor changed so, and the answer names the field and the setting."""
    async with running_ingest(replace(settings, encryption_keys=None)) as blind:
        for line, body in (
            ("POST /v1/tenants", {"name": "acme", "encryption": "all"}),
            ("PATCH /v1/tenants/default", {"encryption": "all", "title": "x"}),
        ):
            refused = problem(await ask(blind, admin, line, body), 422, "invalid-request")
            [fault] = refused["errors"]
            assert fault["pointer"] == "/encryption"
            assert "MILLSTREAM_ENCRYPTION_KEYS" in fault["detail"]
        listed = await blind.http.get("/v1/tenants", headers=bearer(admin))
        assert [(one["name"], one.get("title", "")) for one in listed.json()["items"]] == [("default", "")]
        await make(blind, admin, encryption="inherit")


async def test_an_ingest_that_lost_its_keys_takes_no_job_of_it(
    ingest: Ingest, admin: MintedKey, settings: IngestSettings
):
    """An ingest without keys stores nothing of such a tenant, and lets its other fields be changed."""
    await make(ingest, admin, encryption="all")
    theirs = await key_of(ingest, admin)
    async with running_ingest(replace(settings, encryption_keys=None)) as blind:
        problem(await ask(blind, theirs, "POST /v1/jobs", JOB), 503, "store-unreachable")
        asked = {"title": "Acme", "encryption": "all"}
        changed = await ask(blind, admin, "PATCH /v1/tenants/acme", asked)
        assert (changed.status_code, changed.json()["title"], changed.json()["encryption"]) == (200, "Acme", "all")


async def test_what_is_no_encryption_is_refused_by_its_field(ingest: Ingest, admin: MintedKey):
    """Another word than `inherit` and `all` is refused."""
    found = problem(
        await ask(ingest, admin, "POST /v1/tenants", {"name": "a", "encryption": "on"}), 422, "invalid-request"
    )
    assert found["errors"][0]["pointer"] == "/encryption"
