"""Keys are made, listed, rotated and revoked over the API, and none can grant what it does not have."""

from typing import Any

import pytest
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, problem

from millstream_contracts import DEFAULT_TENANT, GRANTABLE, ROLE_SCOPES, MintedKey, Role, Scope, Tenant, mint_key
from millstream_ingest.api.app import API_ROUTES
from millstream_streams import Broker, KeyChange, StoredApiKey


async def created(ingest: Ingest, admin: MintedKey, **fields: Any) -> dict[str, Any]:
    """Make a key, and return the answer."""
    response = await ingest.http.post("/v1/keys", json={"name": "a key", **fields}, headers=bearer(admin))
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.json()


async def test_secret_is_shown_once_and_never_stored(ingest: Ingest, admin: MintedKey, broker: Broker):
    """The secret is in the answer that makes the key, and in no other answer, nor in Redis."""
    made = await created(ingest, admin, role="operator", expires_in_s=3600)
    assert made["created_by"] == admin.id
    shown = await ingest.http.get(f"/v1/keys/{made['id']}", headers=bearer(admin))
    listed = await ingest.http.get("/v1/keys", headers=bearer(admin))
    secret = made["key"].rpartition("_")[2]
    stored = b"".join((await broker.client.hgetall(broker.keys.api_keys)).values())
    for text in (shown.text, listed.text, repr(stored)):
        assert secret not in text
    del made["key"]
    assert shown.json() == made
    assert made in listed.json()["items"]


async def test_key_is_asked_for_with_a_role_or_scopes(ingest: Ingest, admin: MintedKey):
    """A key with both a role and scopes, with neither, or with what cannot be granted is refused by its field."""
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "/role"),
        ({"role": "admin", "scopes": ["jobs:read"]}, "/role"),
        ({"scopes": ["jobs:read", "public"]}, "/scopes/1"),
        ({"role": "emperor"}, "/role"),
        ({"role": "admin", "expires_in_s": 1}, "/expires_in_s"),
        ({"role": "admin", "name": ""}, "/name"),
    ]
    for fields, pointer in wrong:
        response = await ingest.http.post("/v1/keys", json={"name": "a", **fields}, headers=bearer(admin))
        found = problem(response, 422, "invalid-request")
        assert [error["pointer"].removeprefix("#") for error in found["errors"]] == [pointer], fields


async def test_no_key_grants_what_it_does_not_have(ingest: Ingest, give: Give, admin: MintedKey):
    """A key that may only manage keys can make one like itself, and neither make nor rotate one with more."""
    clerk = await give(scopes=["keys:manage", "jobs:read"])
    fields = {"name": "a", "role": "admin"}
    problem(await ingest.http.post("/v1/keys", json=fields, headers=bearer(clerk)), 403, "forbidden")
    rotated = await ingest.http.post(f"/v1/keys/{admin.id}/rotate", json={}, headers=bearer(clerk))
    problem(rotated, 403, "forbidden")
    like = await ingest.http.post("/v1/keys", json={"name": "a", "scopes": ["jobs:read"]}, headers=bearer(clerk))
    assert like.json()["scopes"] == ["jobs:read"]


async def test_rotated_key_works_beside_its_successor_until_it_ends(
    ingest: Ingest, give: Give, admin: MintedKey, broker: Broker
):
    """Both keys work during the overlap, the successor has the rights of the old one, and a key has one successor."""
    old = await give(Role.OPERATOR)
    path = f"/v1/keys/{old.id}"
    made = await ingest.http.post(f"{path}/rotate", json={"overlap_s": 60}, headers=bearer(admin))
    successor = made.json()
    for key in (old.text, successor["key"]):
        assert (await ingest.http.get("/v1/jobs", headers=bearer(key))).status_code == 200
    shown = (await ingest.http.get(path, headers=bearer(admin))).json()
    assert (shown["successor"], shown["role"]) == (successor["id"], successor["role"])
    assert shown["expires_at"]
    again = await ingest.http.post(f"{path}/rotate", json={}, headers=bearer(admin))
    problem(again, 409, "wrong-state")


async def test_rotation_without_overlap_ends_the_old_key(ingest: Ingest, give: Give, admin: MintedKey):
    """With an overlap of nothing the old key is refused at once."""
    old = await give(Role.OPERATOR)
    response = await ingest.http.post(f"/v1/keys/{old.id}/rotate", json={"overlap_s": 0}, headers=bearer(admin))
    assert response.status_code == 201
    await ingest.services.key_cache.refresh()
    problem(await ingest.http.get("/v1/jobs", headers=bearer(old)), 401, "unauthenticated")


async def test_keys_of_another_tenant_are_not_there(ingest: Ingest, give: Give, admin: MintedKey, broker: Broker):
    """A key of another tenant is neither listed nor found, rotated or revoked, but by those who manage tenants."""
    foreign = mint_key()
    stored = StoredApiKey(digest=foreign.digest, tenant=Tenant("acme"), name="x", role=Role.ADMIN, created_at_ms=1)
    assert await broker.api_keys.put_keys([KeyChange(foreign.id, None, stored)])
    clerk = await give(scopes=["keys:manage"])
    listed = (await ingest.http.get("/v1/keys", headers=bearer(clerk))).json()["items"]
    assert {one["id"] for one in listed} == {admin.id, clerk.id}
    path = f"/v1/keys/{foreign.id}"
    problem(await ingest.http.get(path, headers=bearer(clerk)), 404, "key-not-found")
    problem(await ingest.http.delete(path, headers=bearer(clerk)), 404, "key-not-found")
    problem(await ingest.http.post(f"{path}/rotate", json={}, headers=bearer(clerk)), 404, "key-not-found")


async def test_last_use_is_noted(ingest: Ingest, admin: MintedKey):
    """A key shows when it was used last, once the uses are noted."""
    path = f"/v1/keys/{admin.id}"
    assert "last_used_at" not in (await ingest.http.get(path, headers=bearer(admin))).json()
    await ingest.services.key_cache.note_uses()
    assert (await ingest.http.get(path, headers=bearer(admin))).json()["last_used_at"]


@pytest.mark.parametrize("role", list(Role))
async def test_principal_is_told_what_it_may_do(ingest: Ingest, give: Give, role: Role):
    """`GET /v1/me` tells every key its role and its scopes."""
    key = await give(role)
    me = (await ingest.http.get("/v1/me", headers=bearer(key))).json()
    assert (me["tenant"], me["role"], me["key_id"]) == (DEFAULT_TENANT, role, key.id)
    assert set(me["scopes"]) == ROLE_SCOPES[role]


_PLACES = (
    "job_type job_id worker schedule template signal webhook_id operation_id key_id session_id backfill_id"
    " workflow_id batch_id"
)
VALUES = dict.fromkeys([*_PLACES.split(), "tenant"], "none")


@pytest.mark.parametrize("scope", [*GRANTABLE, None], ids=str)
async def test_each_route_lets_in_exactly_the_scopes_that_it_declares(ingest: Ingest, give: Give, scope: str | None):
    """A key with one scope, or with none that is known, gets into the routes that declare it, and into no others.

    One that may submit gets into those about a job or a batch of its own, where it has none.
    """
    key = await give(scopes=[scope] if scope else [])
    for route in API_ROUTES:
        path = route.path.format(**VALUES)
        for method in route.methods:
            async with ingest.http.stream(method, path, headers=bearer(key), content=b"{") as response:
                if route.own and scope == Scope.JOBS_SUBMIT and "{" in route.path:
                    assert response.status_code == 404, (method, route.path)
                    continue
                is_let_in = route.scope in {scope, "authenticated", "public"}
                assert (response.status_code != 403) == is_let_in, (method, route.path)
                if not is_let_in:
                    assert f'scope="{route.scope}"' in response.headers["www-authenticate"]


async def test_full_store_of_keys_is_told(ingest: Ingest, admin: MintedKey, monkeypatch: pytest.MonkeyPatch):
    """When there are as many keys as there may be, a further one is refused, and revoking makes room."""
    monkeypatch.setattr("millstream_contracts.limits.MAX_API_KEYS", 2)
    made = await created(ingest, admin, role="viewer")
    refused = await ingest.http.post("/v1/keys", json={"name": "a", "role": "viewer"}, headers=bearer(admin))
    problem(refused, 422, "invalid-request")
    await ingest.http.delete(f"/v1/keys/{made['id']}", headers=bearer(admin))
    await created(ingest, admin, role="viewer")
