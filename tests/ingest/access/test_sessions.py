"""A key is exchanged for a session, which has its rights, and ends by itself, by hand, or with its key."""

from typing import Any

import pytest
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, patient, problem, running_ingest
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, MintedKey, Role, limits
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker


async def opened(ingest: Ingest, key: MintedKey | str, **fields: Any) -> dict[str, Any]:
    """Open a session, and return the answer."""
    response = await ingest.http.post("/v1/sessions", json=fields, headers=bearer(key))
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.json()


async def status(ingest: Ingest, token: str) -> int:
    """Return the status with which a credential is answered."""
    return (await ingest.http.get("/v1/me", headers=bearer(token))).status_code


@pytest.mark.parametrize("role", list(Role))
async def test_session_has_the_rights_of_its_key_and_no_others(ingest: Ingest, give: Give, role: Role):
    """The principal of a session has role, scopes and tenant of the key, and is told both ids."""
    key = await give(role)
    session = await opened(ingest, key)
    with_key, with_session = [
        (await ingest.http.get("/v1/me", headers=bearer(one))).json() for one in (key, session["token"])
    ]
    assert with_session == {**with_key, "session_id": session["id"], "expires_at": session["expires_at"]}
    assert with_session["key_id"] == key.id


async def test_token_is_shown_once_and_never_stored(ingest: Ingest, admin: MintedKey, broker: Broker):
    """The token is in the answer that opens the session, and in no other answer, nor in Redis."""
    session = await opened(ingest, admin)
    secret = session.pop("token").rpartition("_")[2]
    shown = await ingest.http.get(f"/v1/sessions/{session['id']}", headers=bearer(admin))
    listed = await ingest.http.get("/v1/sessions", headers=bearer(admin))
    stored = b"".join((await broker.client.hgetall(broker.keys.sessions)).values())
    for text in (shown.text, listed.text, repr(stored)):
        assert secret not in text
    assert shown.json() == session
    assert listed.json()["items"] == [session]


async def test_session_ends_with_its_key_at_the_latest(ingest: Ingest, give: Give, broker: Broker):
    """A session lasts as long as was asked for, twelve hours when nothing was, and never longer than its key."""
    now_ms = broker.clock.now_ms()
    lasting, ending = await give(Role.VIEWER), await give(Role.VIEWER, expires_at_ms=now_ms + 600_000)

    async def lifetime_s(key: MintedKey, **fields: Any) -> float:
        session = await opened(ingest, key, **fields)
        stored = (await broker.sessions.all())[1][session["id"]]
        assert stored.expires_at_ms
        return (stored.expires_at_ms - stored.created_at_ms) / 1000

    assert await lifetime_s(lasting) == limits.SESSION_TTL_S
    assert await lifetime_s(lasting, expires_in_s=90) == 90
    assert await lifetime_s(ending) <= 600
    for too_much in (limits.SESSION_TTL_S + 1, 1):
        refused = await ingest.http.post("/v1/sessions", json={"expires_in_s": too_much}, headers=bearer(lasting))
        found = problem(refused, 422, "invalid-request")
        assert [error["pointer"].removeprefix("#") for error in found["errors"]] == ["/expires_in_s"]


async def test_expired_session_is_refused(ingest: Ingest, give: Give, broker: Broker):
    """A session whose time is over is refused, though nothing has removed it yet."""
    key = await give(Role.VIEWER)
    session = await give(Role.VIEWER, session_of=key.id, expires_at_ms=broker.clock.now_ms() - 1)
    problem(await ingest.http.get("/v1/me", headers=bearer(session)), 401, "unauthenticated")


async def test_signing_out_ends_the_session_everywhere_and_no_other(
    ingest: Ingest, settings: IngestSettings, admin: MintedKey
):
    """A session that is ended is refused by another ingest too, while others of the same key go on."""
    session, other = await opened(ingest, admin), await opened(ingest, admin)
    async with running_ingest(settings) as second:
        assert await status(second, session["token"]) == 200
        ended = await ingest.http.delete("/v1/sessions/current", headers=bearer(session["token"]))
        assert (ended.json()["id"], ended.status_code) == (session["id"], 200)
        assert ended.json()["ended_at"]

        async def is_refused() -> bool:
            return await status(second, session["token"]) == 401

        await wait_until(is_refused, "the other ingest refuses the session")
        assert await status(second, other["token"]) == 200


async def test_revoked_key_takes_its_sessions_along_and_no_others(ingest: Ingest, give: Give, admin: MintedKey):
    """With a key its sessions are refused; the key that revoked it, and the sessions of that, are not."""
    key = await give(Role.OPERATOR)
    session, other = await opened(ingest, key), await opened(ingest, admin)
    assert (await ingest.http.delete(f"/v1/keys/{key.id}", headers=bearer(admin))).status_code == 200
    await ingest.services.key_cache.refresh()
    assert await status(ingest, session["token"]) == 401
    assert await status(ingest, other["token"]) == 200
    listed = (await ingest.http.get("/v1/sessions", headers=bearer(admin))).json()["items"]
    assert [one["id"] for one in listed] == [other["id"]]


async def test_rotation_without_overlap_ends_the_sessions_of_the_old_key(ingest: Ingest, give: Give, admin: MintedKey):
    """A key that is rotated because it leaked ends, and so do the sessions that were opened with it."""
    key = await give(Role.OPERATOR)
    session = await opened(ingest, key)
    rotated = await ingest.http.post(f"/v1/keys/{key.id}/rotate", json={"overlap_s": 0}, headers=bearer(admin))
    assert rotated.status_code == 201
    await ingest.services.key_cache.refresh()
    assert await status(ingest, session["token"]) == 401


async def test_admin_ends_the_session_of_another(ingest: Ingest, give: Give, admin: MintedKey):
    """A session is ended by its id with `keys:manage`, and not without it."""
    viewer = await give(Role.VIEWER)
    session = await opened(ingest, viewer)
    path = f"/v1/sessions/{session['id']}"
    problem(await ingest.http.delete(path, headers=bearer(viewer)), 403, "forbidden")
    assert (await ingest.http.delete(path, headers=bearer(admin))).status_code == 200
    problem(await ingest.http.delete(path, headers=bearer(admin)), 404, "session-not-found")
    await ingest.services.key_cache.refresh()
    assert await status(ingest, session["token"]) == 401


async def test_session_opens_no_other_and_a_key_has_none_to_end(ingest: Ingest, admin: MintedKey):
    """A stolen session cannot outlive itself by a new one, and a request with a key is told that it has no session."""
    session = await opened(ingest, admin)
    again = await ingest.http.post("/v1/sessions", json={}, headers=bearer(session["token"]))
    problem(again, 403, "forbidden")
    problem(await ingest.http.delete("/v1/sessions/current", headers=bearer(admin)), 404, "session-not-found")


async def test_key_that_a_session_makes_is_its_keys(ingest: Ingest, admin: MintedKey):
    """A key that is made with a session names the key behind it as its maker: sessions are soon forgotten."""
    session = await opened(ingest, admin)
    made = await ingest.http.post("/v1/keys", json={"name": "a", "role": "viewer"}, headers=bearer(session["token"]))
    assert made.json()["created_by"] == admin.id


async def test_sessions_take_no_keys_place(ingest: Ingest, admin: MintedKey, monkeypatch: pytest.MonkeyPatch):
    """Where there are as many keys as there may be, sessions are opened all the same, up to a bound of their own."""
    monkeypatch.setattr("millstream_contracts.limits.MAX_API_KEYS", 1)
    monkeypatch.setattr("millstream_contracts.limits.MAX_SESSIONS", 1)
    session = await opened(ingest, admin)
    refused = await ingest.http.post("/v1/sessions", json={}, headers=bearer(admin))
    assert "sessions already" in problem(refused, 422, "invalid-request")["detail"]
    assert await status(ingest, session["token"]) == 200


async def test_oldest_session_of_a_key_gives_way(
    ingest: Ingest, give: Give, admin: MintedKey, monkeypatch: pytest.MonkeyPatch
):
    """A program that signs in again and again ends its own oldest sessions, and none of another key."""
    monkeypatch.setattr("millstream_contracts.limits.MAX_SESSIONS_OF_KEY", 2)
    key = await give(Role.VIEWER)
    other = await opened(ingest, admin)
    sessions = []
    for _ in range(3):
        sessions.append(await opened(ingest, key))
        await ingest.services.key_cache.refresh()
    assert [await status(ingest, one["token"]) for one in [*sessions, other]] == [401, 200, 200, 200]


async def test_sessions_of_another_tenant_are_not_there(ingest: Ingest, admin: MintedKey, give: Give):
    """A session of another tenant is neither listed nor found nor ended."""
    foreign = await give(Role.ADMIN, tenant="acme")
    session = await opened(ingest, foreign)
    assert (await ingest.http.get("/v1/sessions", headers=bearer(admin))).json()["items"] == []
    path = f"/v1/sessions/{session['id']}"
    problem(await ingest.http.get(path, headers=bearer(admin)), 404, "session-not-found")
    problem(await ingest.http.delete(path, headers=bearer(admin)), 404, "session-not-found")
    assert await status(ingest, session["token"]) == 200


async def test_last_use_of_a_session_is_noted(ingest: Ingest, admin: MintedKey):
    """A session shows when it was used last, once the uses are noted."""
    session = await opened(ingest, admin)
    assert await status(ingest, session["token"]) == 200
    await ingest.services.key_cache.note_uses()
    shown = await ingest.http.get(f"/v1/sessions/{session['id']}", headers=bearer(admin))
    assert shown.json()["last_used_at"]


async def test_without_credentials_there_is_nothing_to_sign_in_with(settings: IngestSettings):
    """Where ingest asks for no credentials, a session is refused, because it would stand for everyone."""
    async with running_ingest(
        patient(IngestSettings(redis_url=settings.redis_url, namespace=settings.namespace, port=0))
    ) as it:
        problem(await it.http.post("/v1/sessions", json={}), 409, "wrong-state")


async def test_garbage_among_the_sessions_stops_no_other_session(ingest: Ingest, admin: MintedKey, broker: Broker):
    """A field that is no session stops neither other sessions nor the look at them."""
    await broker.client.hset(broker.keys.sessions, mapping={"garbage": b"\xc1", "!version": "new"})
    session = await opened(ingest, admin)
    assert await status(ingest, session["token"]) == 200
    assert (await ingest.http.get("/v1/me", headers=bearer(session["token"]))).json()["tenant"] == DEFAULT_TENANT
