"""Both clients send their key, make and change keys, and tell a refusal of theirs by its own error."""

from datetime import timedelta
from typing import Any

import pytest
from sdk.client.scripted_api import Connect, Reply, ScriptedApi

from millstream import AccessError, Client, RequestLimits, SyncClient

KEY: dict[str, Any] = {"id": "7Kq2vXbA", "name": "a", "created_at": "2026-01-02T00:00:00Z"}
SESSION: dict[str, Any] = {
    "id": "3nW8xQbT",
    "key_id": "7Kq2vXbA",
    "name": "a",
    "created_at": "2026-01-02T00:00:00Z",
    "expires_at": "2026-01-02T12:00:00Z",
}
SECRET = {**KEY, "key": "ms_7Kq2vXbA_s"}
ME = {"tenant": "default", "scopes": ["jobs:submit"]}

CALLS = [
    ("keys", (), {}, ("GET", "/v1/keys"), {"items": [KEY], "next_cursor": None}, None),
    ("key", ("7Kq2vXbA",), {}, ("GET", "/v1/keys/7Kq2vXbA"), KEY, None),
    ("revoke_key", ("a/b",), {}, ("DELETE", "/v1/keys/a%2Fb"), KEY, None),
    ("sessions", (), {}, ("GET", "/v1/sessions"), {"items": [SESSION], "next_cursor": None}, None),
    ("session", ("3nW8xQbT",), {}, ("GET", "/v1/sessions/3nW8xQbT"), SESSION, None),
    ("end_session", ("a/b",), {}, ("DELETE", "/v1/sessions/a%2Fb"), SESSION, None),
    ("end_session", (), {}, ("DELETE", "/v1/sessions/current"), SESSION, None),
    (
        "open_session",
        (),
        {"expires_in": timedelta(hours=1)},
        ("POST", "/v1/sessions"),
        {**SESSION, "token": "ms_3nW8xQbT_s"},
        {"expires_in_s": 3600.0},
    ),
    (
        "open_session",
        (),
        {"nonce_secret": "s" * 43},
        ("POST", "/v1/sessions"),
        {**SESSION, "token": "ms_3nW8xQbT_s", "subject": "ann", "issuer": "https://login.example.com", "email": "a@b"},
        {"nonce_secret": "s" * 43},
    ),
    ("principal", (), {}, ("GET", "/v1/me"), ME, None),
    (
        "create_key",
        ("a",),
        {"scopes": ["jobs:submit"], "expires_in": timedelta(hours=1), "types": ("email.*",), "networks": ["::/0"]},
        ("POST", "/v1/keys"),
        SECRET,
        {
            "name": "a",
            "scopes": ["jobs:submit"],
            "expires_in_s": 3600.0,
            "types": ["email.*"],
            "networks": ["::/0"],
        },
    ),
    (
        "create_key",
        ("a",),
        {"role": "submitter", "limits": RequestLimits(submissions_per_s=5, burst=9)},
        ("POST", "/v1/keys"),
        SECRET,
        {"name": "a", "role": "submitter", "limits": {"submissions_per_s": 5, "burst": 9}},
    ),
    (
        "change_key",
        ("a/b",),
        {"limits": RequestLimits(requests_per_s=0.5)},
        ("PATCH", "/v1/keys/a%2Fb"),
        KEY,
        {"limits": {"requests_per_s": 0.5}},
    ),
    (
        "rotate_key",
        ("7Kq2vXbA",),
        {"overlap": 60},
        ("POST", "/v1/keys/7Kq2vXbA/rotate"),
        SECRET,
        {"overlap_s": 60},
    ),
]


@pytest.mark.parametrize(
    ("method", "arguments", "options", "line", "answer", "body"), CALLS, ids=lambda one: str(one)[:20]
)
async def test_call_asks_for_keys(
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
    api.script.append(Reply(200, answer))
    found = await getattr(connect(), method)(*arguments, **options)
    assert found
    [request] = api.received
    assert (request.method, request.path.partition("?")[0]) == line
    if body is not None:
        assert request.body == body


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_key_is_an_error_of_its_own_and_not_repeated(connect: Connect, api: ScriptedApi, status: int):
    """A refusal of the key is an AccessError after one request."""
    api.script.append(Reply(status, {"type": "/problems/x", "title": "No", "status": status, "detail": "no"}))
    with pytest.raises(AccessError):
        await connect().principal()
    assert len(api.received) == 1


async def test_key_goes_with_every_request(api: ScriptedApi):
    """A client sends its key as a bearer token, without the white space that a file had around it."""
    api.script += [Reply(200, ME), Reply(200, ME)]
    with SyncClient(api.url, api_key=" ms_a\n") as client:
        client.principal()
    async with Client(api.url, api_key="ms_a") as client:
        await client.principal()
    assert [request.headers["authorization"] for request in api.received] == ["Bearer ms_a"] * 2


@pytest.mark.parametrize("key", ["", " ", "two words", "é", "a\nb"])
def test_what_is_no_key_is_refused_without_being_quoted(key: str):
    """A key that no header can carry is a ValueError that does not quote it."""
    with pytest.raises(ValueError, match="is no key") as caught:
        Client("http://127.0.0.1:1", api_key=key)
    assert key not in str(caught.value) or not key.strip()


def test_unknown_role_is_told_with_the_one_that_is_near():
    """A role or a scope that does not exist is refused before anything is sent."""
    with SyncClient("http://127.0.0.1:1") as client:
        with pytest.raises(ValueError, match="did you mean `admin`"):
            client.create_key("a", role="adminn")
        for name in ("scopes", "types", "networks"):
            with pytest.raises(TypeError, match=f"{name} are a list"):
                client.create_key("a", **{name: "jobs:submit"})
