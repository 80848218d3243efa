"""Both clients make, list, change, suspend, resume and delete tenants."""

from typing import Any

import pytest
from sdk.client.scripted_api import Connect, Reply, ScriptedApi

TENANT: dict[str, Any] = {"name": "acme", "state": "active", "quotas": {"keys": 3}}

CALLS = [
    ("tenants", (), {"name": "a"}, ("GET", "/v1/tenants"), {"items": [TENANT], "next_cursor": None}, None),
    ("tenant", ("acme",), {}, ("GET", "/v1/tenants/acme"), TENANT, None),
    (
        "create_tenant",
        ("acme",),
        {"title": "Acme", "quotas": {"keys": 3}},
        ("POST", "/v1/tenants"),
        TENANT,
        {"name": "acme", "title": "Acme", "quotas": {"keys": 3}},
    ),
    ("change_tenant", ("acme",), {"quotas": {}}, ("PATCH", "/v1/tenants/acme"), TENANT, {"quotas": {}}),
    (
        "create_tenant",
        ("acme",),
        {"encryption": "all"},
        ("POST", "/v1/tenants"),
        {**TENANT, "encryption": "all"},
        {"name": "acme", "encryption": "all"},
    ),
    (
        "change_tenant",
        ("acme",),
        {"encryption": "inherit"},
        ("PATCH", "/v1/tenants/acme"),
        TENANT,
        {"encryption": "inherit"},
    ),
    ("change_tenant", ("acme",), {"title": ""}, ("PATCH", "/v1/tenants/acme"), TENANT, {"title": ""}),
    ("suspend_tenant", ("acme",), {"reason": "x"}, ("POST", "/v1/tenants/acme/suspend"), TENANT, {"reason": "x"}),
    ("resume_tenant", ("a/b",), {}, ("POST", "/v1/tenants/a%2Fb/resume"), TENANT, None),
    ("create_key", ("a",), {"role": "admin", "tenant": "acme"}, ("POST", "/v1/keys"), None, {"tenant": "acme"}),
]
DELETION: dict[str, Any] = {
    "id": "op_1",
    "kind": "delete-tenant",
    "state": "running",
    "rate": 50.0,
    "created_at": "2026-01-02T00:00:00Z",
    "updated_at": "2026-01-02T00:00:00Z",
    "tenant": "acme",
    "removed": {"jobs": 3},
}
KEY = {"id": "7Kq2vXbA", "name": "a", "created_at": "2026-01-02T00:00:00Z", "key": "ms_7Kq2vXbA_s"}


@pytest.mark.parametrize(
    ("method", "arguments", "options", "line", "answer", "body"), CALLS, ids=lambda one: str(one)[:20]
)
async def test_call_asks_for_tenants(
    connect: Connect,
    api: ScriptedApi,
    method: str,
    arguments: tuple[str, ...],
    options: dict[str, Any],
    line: tuple[str, str],
    answer: Any,
    body: Any,
):
    """Each call sends one request, and returns what the API has answered."""
    api.script.append(Reply(200, answer or KEY))
    assert await getattr(connect(), method)(*arguments, **options)
    [request] = api.received
    assert (request.method, request.path.partition("?")[0]) == line
    if body is not None:
        assert request.body.items() >= body.items()


async def test_deletion_has_the_name_once_more_and_returns_its_operation(connect: Connect, api: ScriptedApi):
    """The name that confirms it is sent as it was given, and what is removed can be read."""
    api.script.append(Reply(202, DELETION))
    begun = await connect().delete_tenant("acme", confirm="acme ")
    assert (begun.kind, begun.tenant, begun.removed) == ("delete-tenant", "acme", {"jobs": 3})
    [request] = api.received
    assert (request.method, request.path, request.query) == ("DELETE", "/v1/tenants/acme", {"confirm": ["acme "]})


async def test_unknown_quota_is_refused_before_a_request(connect: Connect, api: ScriptedApi):
    """A quota that there is not, or that is no number, is a ValueError that names it."""
    for quotas in ({"kies": 1}, {"keys": -1}):
        with pytest.raises(ValueError, match=r"quotas: .*(kies|keys)"):
            await connect().create_tenant("acme", quotas=quotas)
    assert api.received == []


async def test_unknown_encryption_is_refused_before_a_request(connect: Connect, api: ScriptedApi):
    """An encryption that there is not is a ValueError that names the words that there are."""
    for call in ("create_tenant", "change_tenant"):
        with pytest.raises(ValueError, match="encryption: expected inherit or all, not 'on'"):
            await getattr(connect(), call)("acme", encryption="on")
    assert api.received == []
