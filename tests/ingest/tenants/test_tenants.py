"""The operator makes, changes and suspends tenants; a tenant's administrator is one of that tenant alone."""

from typing import Any

import httpx2
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, problem
from waiting import wait_until

from millstream_contracts import JobType, MintedKey, Queue, Role, Tenant
from millstream_streams import Broker

JOB = {"type": "email.send", "payload": None}


async def make(ingest: Ingest, admin: MintedKey, name: str = "acme", **fields: Any) -> dict[str, Any]:
    """Make a tenant, and return it."""
    response = await ingest.http.post("/v1/tenants", json={"name": name, **fields}, headers=bearer(admin))
    assert response.status_code == 201, response.text
    assert response.headers["location"] == f"/v1/tenants/{name}"
    return response.json()


async def key_of(ingest: Ingest, admin: MintedKey, role: str = "admin", tenant: str = "acme") -> str:
    """Make a key of a tenant by the operator, and return its text."""
    fields = {"name": "theirs", "role": role, "tenant": tenant}
    response = await ingest.http.post("/v1/keys", json=fields, headers=bearer(admin))
    assert response.status_code == 201, response.text
    assert response.json()["tenant"] == tenant
    return str(response.json()["key"])


async def ask(ingest: Ingest, key: MintedKey | str, line: str, body: Any = None) -> httpx2.Response:
    """Send a request such as `POST /v1/jobs` with a key."""
    method, _, path = line.partition(" ")
    return await ingest.http.request(method, path, json=body, headers=bearer(key))


async def test_tenant_is_made_listed_read_and_changed(ingest: Ingest, admin: MintedKey):
    """A tenant has the title and the quotas that were given last, and a change leaves what it does not name."""
    made = await make(ingest, admin, title="Acme", quotas={"keys": 3})
    assert (made["state"], made["quotas"], made["created_by"]) == ("active", {"keys": 3}, admin.id)
    await make(ingest, admin, "umbrella")
    listed = (await ask(ingest, admin, "GET /v1/tenants")).json()["items"]
    assert [one["name"] for one in listed] == ["acme", "default", "umbrella"]
    assert made in listed
    first = (await ask(ingest, admin, "GET /v1/tenants?limit=1&name=u")).json()
    assert [one["name"] for one in first["items"]] == ["umbrella"]
    changed = (await ask(ingest, admin, "PATCH /v1/tenants/acme", {"quotas": {"schedules": 1}})).json()
    assert (changed["title"], changed["quotas"]) == ("Acme", {"schedules": 1})
    assert (await ask(ingest, admin, "GET /v1/tenants/acme")).json() == changed


async def test_what_no_tenant_can_be_is_refused_by_its_field(ingest: Ingest, admin: MintedKey):
    """A name that could not stand in a key, or that means every tenant, is refused, and one that is taken."""
    for body, pointer in (
        ({"name": "Acme"}, "/name"),
        ({"name": "a/b"}, "/name"),
        ({"name": "{a}"}, "/name"),
        ({"name": "_cron"}, "/name"),
        ({"name": "all"}, "/name"),
        ({"name": "acme", "quotas": {"keys": -1}}, "/quotas/keys"),
        ({"name": "acme", "quotas": {"kies": 1}}, "/quotas/kies"),
    ):
        found = problem(await ask(ingest, admin, "POST /v1/tenants", body), 422, "invalid-request")
        assert [error["pointer"].removeprefix("#") for error in found["errors"]] == [pointer], body
    await make(ingest, admin)
    problem(await ask(ingest, admin, "POST /v1/tenants", {"name": "acme"}), 409, "wrong-state")
    problem(await ask(ingest, admin, "POST /v1/tenants", {"name": "default"}), 409, "wrong-state")
    problem(await ask(ingest, admin, "GET /v1/tenants/ghost"), 404, "tenant-not-found")
    problem(await ask(ingest, admin, "PATCH /v1/tenants/ghost", {}), 404, "tenant-not-found")


async def test_administrator_of_a_tenant_manages_its_keys_and_no_others(ingest: Ingest, admin: MintedKey):
    """A tenant's administrator makes keys of its own tenant, has no scope over tenants, and sees no other keys."""
    await make(ingest, admin)
    theirs = await key_of(ingest, admin)
    me = (await ask(ingest, theirs, "GET /v1/me")).json()
    assert me["tenant"] == "acme"
    assert "tenants:manage" not in me["scopes"]
    made = (await ask(ingest, theirs, "POST /v1/keys", {"name": "a", "role": "admin"})).json()
    assert made["tenant"] == "acme"
    assert "tenants:manage" not in made["scopes"]
    rotated = await ask(ingest, theirs, f"POST /v1/keys/{made['id']}/rotate", {})
    assert rotated.status_code == 201
    for tenant in ("default", "umbrella"):
        asked = {"name": "a", "role": "viewer", "tenant": tenant}
        problem(await ask(ingest, theirs, "POST /v1/keys", asked), 403, "forbidden")
    problem(await ask(ingest, theirs, "GET /v1/keys?tenant=default"), 403, "forbidden")
    problem(await ask(ingest, theirs, f"GET /v1/keys/{admin.id}"), 404, "key-not-found")
    problem(await ask(ingest, theirs, f"DELETE /v1/keys/{admin.id}"), 404, "key-not-found")
    problem(await ask(ingest, theirs, "GET /v1/tenants"), 403, "forbidden")
    listed = (await ask(ingest, theirs, "GET /v1/keys")).json()["items"]
    assert {one["tenant"] for one in listed} == {"acme"}
    own = (await ask(ingest, admin, "GET /v1/keys")).json()["items"]
    assert "acme" not in {one.get("tenant") for one in own}
    of_acme = (await ask(ingest, admin, "GET /v1/keys?tenant=acme")).json()["items"]
    assert [one["id"] for one in of_acme] == [one["id"] for one in listed]
    assert (await ask(ingest, admin, f"DELETE /v1/keys/{made['id']}")).status_code == 200


async def test_key_is_made_for_a_tenant_that_is_there(ingest: Ingest, admin: MintedKey):
    """A key for a tenant that was not made is refused by its field."""
    asked = {"name": "a", "role": "viewer", "tenant": "ghost"}
    found = problem(await ask(ingest, admin, "POST /v1/keys", asked), 422, "invalid-request")
    assert found["errors"][0]["pointer"] == "/tenant"


async def test_suspended_tenant_submits_nothing_and_reads_all(ingest: Ingest, admin: MintedKey, broker: Broker):
    """A suspended tenant's submissions are refused by their own problem, its queues close at once, and reads go on."""
    await make(ingest, admin)
    theirs = await key_of(ingest, admin)
    job = (await ask(ingest, theirs, "POST /v1/jobs", JOB)).json()
    queue = Queue(Tenant("acme"), JobType("email.send"))
    done = await ask(ingest, admin, "POST /v1/tenants/acme/suspend", {"reason": "unpaid"})
    assert (done.json()["state"], done.json()["reason"]) == ("suspended", "unpaid")
    assert await broker.settings.suspended([queue]) == [True]

    async def is_refused() -> bool:
        return (await ask(ingest, theirs, "POST /v1/jobs", JOB)).status_code == 403

    await wait_until(is_refused, "the submission is refused")
    problem(await ask(ingest, theirs, "POST /v1/jobs", JOB), 403, "tenant-suspended")
    assert (await ask(ingest, theirs, f"GET /v1/jobs/{job['id']}")).status_code == 200
    explained = (await ask(ingest, theirs, f"GET /v1/jobs/{job['id']}/explain")).json()
    assert explained["reasons"][0]["code"] == "suspended"
    again = await ask(ingest, admin, "POST /v1/tenants/acme/suspend", {"reason": "another"})
    assert again.json() == done.json()
    resumed = (await ask(ingest, admin, "POST /v1/tenants/acme/resume")).json()
    assert (resumed["state"], "reason" in resumed) == ("active", False)
    assert await broker.settings.suspended([queue]) == [False]
    await wait_until(lambda: _not(is_refused), "the submission is taken")


async def _not(check: Any) -> bool:
    return not await check()


async def test_operator_is_not_suspended(ingest: Ingest, admin: MintedKey):
    """The operator's own tenant, whose key would have to let it go on again, cannot be suspended."""
    problem(await ask(ingest, admin, "POST /v1/tenants/default/suspend", {}), 409, "wrong-state")


async def test_key_of_a_tenant_that_is_gone_may_do_nothing(ingest: Ingest, broker: Broker, give: Give):
    """A key whose tenant is gone is refused by every route."""
    ghost = Tenant("ghost")
    lost = await give(Role.ADMIN, tenant=ghost)
    assert await broker.tenants.put_tenant(ghost, await broker.tenants.get(ghost), None)
    await ingest.services.key_cache.refresh()
    for line in ("GET /v1/jobs", "GET /v1/me", "GET /v1/keys"):
        problem(await ask(ingest, lost, line), 403, "forbidden")
