"""The operator has a tenant deleted: what is refused, and what is closed by the time that is answered."""

from collections.abc import AsyncIterator

import pytest
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, patient, problem, remembering_ingest, running_ingest
from ingest.tenants.test_tenants import ask, key_of, make

from millstream_contracts import DEFAULT_TENANT, JobType, MintedKey, Queue, Role, Tenant
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker

ACME = Tenant("acme")
JOB = {"type": "email.send", "payload": None}
DELETE = "DELETE /v1/tenants/acme?confirm=acme"


@pytest.fixture
async def ingest(settings: IngestSettings, admin: MintedKey, history_url: str) -> AsyncIterator[Ingest]:
    """Yield a running ingest that asks for keys and has a history."""
    assert admin
    async with remembering_ingest(settings, history_url) as running:
        yield running


async def state_of(ingest: Ingest, admin: MintedKey) -> str:
    """Return the state of the tenant."""
    return str((await ask(ingest, admin, "GET /v1/tenants/acme")).json()["state"])


async def test_once_it_is_answered_no_key_works_and_no_job_starts(ingest: Ingest, admin: MintedKey, broker: Broker):
    """Keys and sessions are revoked, queues closed, submissions refused; the operation can be read by the operator."""
    await make(ingest, admin)
    theirs = await key_of(ingest, admin)
    opened = await ask(ingest, theirs, "POST /v1/sessions", {})
    assert opened.status_code == 201, opened.text
    assert (await ask(ingest, theirs, "POST /v1/jobs", JOB)).status_code == 202
    begun = await ask(ingest, admin, DELETE)
    assert (begun.status_code, begun.json()["kind"], begun.json()["tenant"]) == (202, "delete-tenant", "acme")
    assert begun.headers["location"] == f"/v1/operations/{begun.json()['id']}"
    assert await broker.settings.suspended([Queue(ACME, JobType("email.send"))]) == [True]
    await ingest.services.key_cache.refresh()
    for key in (theirs, opened.json()["token"]):
        problem(await ask(ingest, key, "POST /v1/jobs", JOB), 401, "unauthenticated")
    shown = (await ask(ingest, admin, "GET /v1/tenants/acme")).json()
    assert (shown["state"], shown["deletion"]) == ("deleting", begun.json()["id"])
    assert (await ask(ingest, admin, f"GET /v1/operations/{begun.json()['id']}")).json()["state"] == "pending"


async def test_a_repetition_returns_the_operation_that_is_at_it(ingest: Ingest, admin: MintedKey):
    """A request whose answer was lost may be sent again: nothing begins twice."""
    await make(ingest, admin)
    first, again = [(await ask(ingest, admin, DELETE)).json() for _ in range(2)]
    assert first["id"] == again["id"]
    listed = (await ask(ingest, admin, "GET /v1/operations")).json()["items"]
    assert [one["id"] for one in listed] == [first["id"]]


@pytest.mark.parametrize("query", ["", "?confirm=", "?confirm=globex", "?confirm=ACME"])
async def test_nothing_is_deleted_without_the_name_once_more(ingest: Ingest, admin: MintedKey, query: str):
    """A request without the name of the tenant is refused by its field, and the tenant stays as it is."""
    await make(ingest, admin)
    found = problem(await ask(ingest, admin, f"DELETE /v1/tenants/acme{query}"), 422, "invalid-request")
    assert [error["pointer"].removeprefix("#") for error in found["errors"]] == ["/confirm"]
    assert await state_of(ingest, admin) == "active"


async def test_what_cannot_be_deleted_is_refused(ingest: Ingest, admin: MintedKey):
    """The operator's own tenant stays, and of one that there is not nothing is begun."""
    problem(await ask(ingest, admin, "DELETE /v1/tenants/default?confirm=default"), 409, "wrong-state")
    problem(await ask(ingest, admin, "DELETE /v1/tenants/ghost?confirm=ghost"), 404, "tenant-not-found")
    assert (await ask(ingest, admin, "GET /v1/operations")).json()["items"] == []


@pytest.mark.parametrize("role", [*Role])
async def test_no_key_of_a_tenant_deletes_one(ingest: Ingest, admin: MintedKey, role: Role):
    """Whatever its role, a key of a tenant deletes neither another one nor its own, and does not see the operation."""
    await make(ingest, admin)
    await make(ingest, admin, "globex")
    theirs = await key_of(ingest, admin, role, "globex")
    for name in ("acme", "globex", "ghost"):
        problem(await ask(ingest, theirs, f"DELETE /v1/tenants/{name}?confirm={name}"), 403, "forbidden")
    begun = (await ask(ingest, admin, DELETE)).json()
    found = await ask(ingest, theirs, f"GET /v1/operations/{begun['id']}")
    assert found.status_code in {403, 404}
    assert await state_of(ingest, admin) == "deleting"


async def test_a_deletion_is_neither_paused_nor_ended_nor_asked_for_elsewhere(ingest: Ingest, admin: MintedKey):
    """A deletion goes on to its end, and only the route of the tenant begins one."""
    await make(ingest, admin)
    begun = (await ask(ingest, admin, DELETE)).json()
    for verb in ("pause", "resume", "cancel"):
        problem(await ask(ingest, admin, f"POST /v1/operations/{begun['id']}/{verb}"), 409, "wrong-state")
    body = {"kind": "delete-tenant", "subject": "acme"}
    problem(await ask(ingest, admin, "POST /v1/operations", body), 422, "invalid-request")
    for line in ("POST /v1/tenants/acme/resume", "POST /v1/tenants/acme/suspend"):
        problem(await ask(ingest, admin, line, {}), 409, "wrong-state")
    problem(await ask(ingest, admin, "POST /v1/tenants", {"name": "acme"}), 409, "wrong-state")
    asked = {"name": "late", "role": "admin", "tenant": "acme"}
    problem(await ask(ingest, admin, "POST /v1/keys", asked), 422, "invalid-request")


async def test_without_a_history_nothing_is_begun(settings: IngestSettings, admin: MintedKey, give: Give):
    """An operation needs a history: without one the tenant stays as it is."""
    await give(Role.ADMIN, tenant=ACME)
    async with running_ingest(patient(settings)) as ingest:
        refused = await ingest.http.delete("/v1/tenants/acme?confirm=acme", headers=bearer(admin))
        problem(refused, refused.status_code, "no-history")
        assert await state_of(ingest, admin) == "active"


async def test_the_audit_trail_has_the_request(ingest: Ingest, admin: MintedKey, broker: Broker):
    """Who asked is recorded with the name that was typed and what the tenant was."""
    await make(ingest, admin, title="Acme Ltd.")
    begun = await ask(ingest, admin, DELETE)
    entries = (await broker.audit_trail.waiting(20)).entries
    [entry] = [one for one in entries if one.action == "deleteTenant"]
    assert (entry.tenant, entry.key_id, entry.query) == (DEFAULT_TENANT, admin.id, {"confirm": "acme"})
    assert entry.made == begun.headers["location"]
    assert entry.changes["title"]["before"] == "Acme Ltd."
