"""Every change by a principal leaves one record, refusals leave some, and no change is possible without its record."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, problem

from millstream_contracts import AuditEntry, AuditOutcome, MintedKey, Role, Scope, limits
from millstream_ingest.access import audit_recorder
from millstream_ingest.api.app import API_ROUTES
from millstream_ingest.api.route import Audited
from millstream_streams import Broker, StoreError

Records = Callable[[], Awaitable[list[AuditEntry]]]

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
NOT_AUDITED = {
    "submitJob": "the history of the job tells of it",
    "submitJobs": "as above",
    "submitWorkflow": "as above",
    "createBatch": "as above",
    "addBatchJobs": "as above",
    "closeBatch": "it submits the callbacks of the batch",
    "previewSchedule": "it changes nothing",
}
"""Routes that change something, and why the trail does not tell of them."""


@pytest.fixture
def records(broker: Broker) -> Records:
    """Return what reads the records that wait in Redis."""

    async def read() -> list[AuditEntry]:
        return (await broker.audit_trail.waiting(1_000)).entries

    return read


def test_every_changing_route_is_audited_or_says_why_not() -> None:
    """A route that may change something is audited, unless it is on the list of those with a reason."""
    changing = [route for route in API_ROUTES if CHANGING & set(route.methods)]
    silent = {route.operation.id for route in changing if route.audited is Audited.NOT}
    assert silent == set(NOT_AUDITED)
    assert len(changing) > len(silent)


async def test_change_says_who_what_and_from_where(ingest: Ingest, admin: MintedKey, records: Records) -> None:
    """A record says who did what to what, from where, by which request, what was asked for, and how it ended."""
    headers = {
        **bearer(admin),
        "X-Request-Id": "req-1",
        "User-Agent": "a test/1",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    made = await ingest.http.post("/v1/keys", json={"name": "web", "role": "viewer"}, headers=headers)
    [record] = await records()
    assert (record.action, record.outcome, record.status) == ("createKey", AuditOutcome.DONE, 201)
    assert (record.method, record.target, record.made) == ("POST", "/v1/keys", f"/v1/keys/{made.json()['id']}")
    assert (record.key_id, record.role, record.tenant) == (admin.id, Role.ADMIN, "default")
    assert (record.address, record.user_agent, record.request_id) == ("127.0.0.1", "a test/1", "req-1")
    assert record.trace_id == "a" * 32
    assert record.asked == {"name": "web", "role": "viewer"}


async def test_change_of_what_is_there_says_what_it_was(ingest: Ingest, admin: MintedKey, records: Records) -> None:
    """The record of a change has the fields that differ, before and after; that of a removal what was removed."""
    path, headers = "/v1/templates/welcome", bearer(admin)
    for description in ("one", "two"):
        body = {"description": description, "type": "email.send", "payload": {"to": "ann@example.com"}}
        response = await ingest.http.put(path, json=body, headers=headers)
        assert response.status_code in {200, 201}, response.text
    assert (await ingest.http.delete(path, headers=headers)).status_code == 200
    put, changed, removed = await records()
    assert put.changes == {}
    assert changed.changes["description"] == {"before": "one", "after": "two"}
    assert removed.changes["description"] == {"before": "two"}
    assert "ann@example.com" not in str([put, changed, removed])


async def test_state_of_a_queue_and_a_job_is_recorded(
    ingest: Ingest, give: Give, admin: MintedKey, records: Records
) -> None:
    """A pause is recorded with its reason and what it changed, and a cancellation with the state of the job before."""
    job = await ingest.submit(headers=bearer(admin), delay_s=60)
    operator = await give(Role.OPERATOR)
    await ingest.http.post("/v1/queues/email.send/pause?reason=down", headers=bearer(operator))
    await ingest.http.post(f"/v1/jobs/{job['id']}/cancel", headers=bearer(operator))
    pause, cancel = await records()
    assert pause.query == {"reason": "down"}
    assert pause.changes["paused"] == {"after": True}
    assert cancel.changes["state"] == {"before": "scheduled", "after": "cancelled"}
    assert {pause.key_id, cancel.key_id} == {operator.id}


async def test_no_secret_gets_into_a_record(ingest: Ingest, admin: MintedKey, broker: Broker) -> None:
    """Neither payloads, nor secrets, nor paths of URLs, nor the body of a signal are recorded."""
    canary = "kanarienvogel"
    headers = bearer(admin)
    url = f"https://ann:{canary}@example.com/{canary}?token={canary}"
    await ingest.http.post("/v1/webhooks", json={"url": url, "api_key": canary}, headers=headers)
    job = await ingest.submit(headers=headers, delay_s=60)
    await ingest.http.post(f"/v1/jobs/{job['id']}/signals/go", json={"word": canary}, headers=headers)
    body = {"cron": "0 3 * * *", "job": {"type": "email.send", "payload": {"to": canary}}}
    await ingest.http.put("/v1/schedules/nightly", json=body, headers=headers)
    await ingest.http.post(f"/v1/queues/email.send/pause?token={canary}", headers=headers)
    assert await broker.audit_trail.count_waiting() == 4
    stored = repr(await broker.client.xrange(broker.keys.audit_trail))
    assert canary not in stored
    assert "https://example.com/..." in stored


async def test_secret_of_a_webhook_is_read_on_the_record(ingest: Ingest, admin: MintedKey, records: Records) -> None:
    """To read a secret changes nothing, and is recorded all the same."""
    await ingest.http.get("/v1/webhooks/whep_1/secret", headers=bearer(admin))
    assert [(record.action, record.outcome) for record in await records()] == [("getWebhookSecret", "refused")]


async def test_submission_and_reads_leave_no_record(ingest: Ingest, admin: MintedKey, broker: Broker) -> None:
    """Submissions are told by the history, and reads change nothing."""
    await ingest.submit(headers=bearer(admin))
    await ingest.http.get("/v1/jobs", headers=bearer(admin))
    assert await broker.audit_trail.count_waiting() == 0
    assert await broker.audit_trail.begun() == []


async def test_refused_change_is_recorded_with_its_problem(ingest: Ingest, admin: MintedKey, records: Records) -> None:
    """A change that the route refuses is one record, with the problem."""
    await ingest.http.delete("/v1/keys/aaaaaaaa", headers=bearer(admin))
    [record] = await records()
    assert (record.outcome, record.status, record.problem) == (AuditOutcome.REFUSED, 404, "key-not-found")


async def test_refused_permission_is_recorded_once_a_minute(ingest: Ingest, give: Give, records: Records) -> None:
    """The first refusal of a key by a route in a minute is recorded, and one by another route."""
    viewer = await give(Role.VIEWER)
    for _ in range(3):
        problem(await ingest.http.get("/v1/keys", headers=bearer(viewer)), 403, "forbidden")
    await ingest.http.post("/v1/keys", json={}, headers=bearer(viewer))
    listed, created = await records()
    assert (listed.action, listed.outcome, listed.key_id) == ("listKeys", AuditOutcome.REFUSED, viewer.id)
    assert Scope.KEYS_MANAGE in listed.detail
    assert created.action == "createKey"


async def test_failed_authentication_is_recorded_once_a_minute(
    ingest: Ingest, admin: MintedKey, records: Records
) -> None:
    """The first failed credential of an address in a minute is recorded, without the credential."""
    problem(await ingest.http.get("/v1/keys"), 401, "unauthenticated")
    assert await records() == []
    wrong = admin.text[:-8] + "x" * 8
    for text in (wrong, "nonsense"):
        problem(await ingest.http.get("/v1/keys", headers=bearer(text)), 401, "unauthenticated")
    [record] = await records()
    assert (record.action, record.key_id, record.address) == ("authenticate", "", "127.0.0.1")
    assert wrong not in str(record)


async def test_session_is_recorded_with_what_was_signed_in_with(
    ingest: Ingest, admin: MintedKey, records: Records
) -> None:
    """A record of a session names the key that was signed in with, and the session, and neither secret."""
    opened = await ingest.http.post("/v1/sessions", json={}, headers=bearer(admin))
    assert opened.status_code == 201, opened.text
    session = opened.json()
    await ingest.submit(headers=bearer(admin))
    await ingest.http.post("/v1/queues/email.send/pause", headers=bearer(session["token"]))
    signed_in, pause = await records()
    assert (signed_in.action, signed_in.key_id, signed_in.session) == ("openSession", admin.id, "")
    assert (pause.action, pause.key_id, pause.session) == ("pauseQueue", admin.id, session["id"])
    assert session["token"] not in str([signed_in, pause])


async def test_refusals_of_many_sources_are_bounded(
    ingest: Ingest, give: Give, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many sources are refused in a minute, as many are recorded as may be."""
    monkeypatch.setattr(audit_recorder, "MAX_REFUSALS", 2)
    for _ in range(3):
        await ingest.http.get("/v1/keys", headers=bearer(await give(Role.VIEWER)))
    assert len(await records()) == 2


async def test_no_change_without_its_record(
    ingest: Ingest, admin: MintedKey, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the begin of a change cannot be noted the change is not made, and says why."""

    async def fail(*_: Any, **__: Any) -> bool:
        raise StoreError("no")

    await ingest.submit(headers=bearer(admin))
    monkeypatch.setattr(type(ingest.services.broker.audit_trail), "begin_action", fail)
    response = await ingest.http.post("/v1/queues/email.send/pause", headers=bearer(admin))
    assert response.status_code >= 500
    settings = await ingest.http.get("/v1/queues/email.send/settings", headers=bearer(admin))
    assert settings.status_code == 200
    assert not settings.json().get("paused")


async def test_lost_outcome_leaves_the_begin(
    ingest: Ingest, admin: MintedKey, broker: Broker, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change whose end cannot be recorded is answered as done, and its begin stays for a dispatcher."""

    async def fail(*_: Any, **__: Any) -> bool:
        raise StoreError("no")

    await ingest.submit(headers=bearer(admin))
    monkeypatch.setattr(type(ingest.services.broker.audit_trail), "end_action", fail)
    response = await ingest.http.post("/v1/queues/email.send/pause", headers=bearer(admin))
    assert response.status_code == 200
    [entry] = await broker.audit_trail.begun()
    assert (entry.action, entry.key_id, entry.outcome) == ("pauseQueue", admin.id, AuditOutcome.UNKNOWN)
    assert await records() == []


async def test_text_of_clients_stays_on_one_line(ingest: Ingest, admin: MintedKey, records: Records) -> None:
    """Line breaks and controls that a client sends in a path or a header are escaped, and long texts are cut."""
    headers = {**bearer(admin), "X-Request-Id": b"a\x9bb" + b"c" * limits.MAX_AUDIT_TEXT_CHARS}
    await ingest.http.delete("/v1/keys/a%0A2026%20fake%00%1b[31m", headers=headers)
    [record] = await records()
    assert record.target == "/v1/keys/a\\u000a2026 fake\\u0000\\u001b[31m"
    assert len(record.request_id) == limits.MAX_AUDIT_TEXT_CHARS
    assert record.request_id.isprintable()
