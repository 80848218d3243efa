"""With `MILLSTREAM_AUTH=required` a request needs a valid key, whichever way it comes in."""

import anyio
import anyio.lowlevel
import pytest
from chaos.fault_proxy import FaultProxy
from ingest.access.conftest import Give, bearer
from ingest.serving import Ingest, patient, problem, running_ingest
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis
from millstream_contracts import DEFAULT_TENANT, MintedKey, Role, mint_key
from millstream_ingest.access import attempts, gate, key_cache
from millstream_ingest.access.gate import KeyGate
from millstream_ingest.access.key_cache import KeyCache
from millstream_ingest.settings import IngestSettings
from millstream_streams import ApiKeys, Broker, KeyChange, StoredApiKey, StoreError, StoreUnavailableError
from millstream_telemetry import IngestMetrics, MetricRegistry

JOB = {"type": "email.send"}


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/"], ids=["fast path", "router"])
async def test_submission_needs_a_key_by_either_door(ingest: Ingest, admin: MintedKey, path: str):
    """A submission without a key is refused with a challenge and stores nothing, and one with a key is taken."""
    refused = await ingest.http.post(path, json=JOB)
    problem(refused, 401, "unauthenticated")
    assert refused.headers["www-authenticate"] == 'Bearer realm="millstream"'
    taken = await ingest.http.post(path, json=JOB, headers=bearer(admin))
    assert taken.status_code == 202
    jobs = (await ingest.http.get("/v1/jobs", headers=bearer(admin))).json()["items"]
    assert [job["id"] for job in jobs] == [taken.json()["id"]]


async def test_public_routes_ask_for_nothing(ingest: Ingest):
    """Probes, metrics and the documentation are answered without a key, and with one that is wrong."""
    for path in ("/health", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/problems/unauthenticated"):
        for headers in ({}, {"Authorization": "Bearer nonsense"}):
            assert (await ingest.http.get(path, headers=headers)).status_code == 200, path


async def test_refusals_say_what_is_wrong_with_a_credential_and_not_with_its_secret(
    ingest: Ingest, admin: MintedKey, give: Give, broker: Broker
):
    """A typo, an unknown key, a wrong secret, an expired key and another scheme are refused; secrets are not quoted."""
    expired = await give(Role.ADMIN, expires_at_ms=broker.clock.now_ms() - 1)
    unknown = mint_key()
    forged = f"ms_{admin.id}{unknown.text[11:]}"
    swapped = admin.text[:20] + admin.text[20:22][::-1] + admin.text[22:]
    wrong = {
        swapped if swapped != admin.text else admin.text[:-1] + "0": "is no key of Millstream",
        unknown.text: "there is no such key",
        expired.text: "has expired",
        "é": "is no key of Millstream",
        forged: "is no key of Millstream",
        "ms_" * 20_000: "is no key of Millstream",
    }
    for text, why in wrong.items():
        response = await ingest.http.get("/v1/jobs", headers={"Authorization": f"Bearer {text}".encode("latin-1")})
        assert why in problem(response, 401, "unauthenticated")["detail"], text
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
        assert text[12:] == "" or text[12:] not in response.text
    basic = await ingest.http.get("/v1/jobs", headers={"Authorization": f"Basic {admin.text}"})
    problem(basic, 401, "unauthenticated")
    twice = await ingest.http.get("/v1/jobs", headers=[*bearer(admin).items(), *bearer(unknown).items()])
    problem(twice, 401, "unauthenticated")


async def test_scheme_may_be_written_in_any_case(ingest: Ingest, admin: MintedKey):
    """The scheme of the header is read in any case, as RFC 9110 has it."""
    for scheme in ("bearer", "BEARER"):
        response = await ingest.http.get("/v1/jobs", headers={"Authorization": f"{scheme} {admin.text}"})
        assert response.status_code == 200


async def test_key_with_the_id_of_another_needs_its_secret_too(ingest: Ingest, admin: MintedKey, broker: Broker):
    """A well-formed key with the id of another key, and another secret, is refused: an id is no secret."""
    other = mint_key()
    stored = StoredApiKey(digest=other.digest, tenant=DEFAULT_TENANT, name="x", role=Role.ADMIN, created_at_ms=1)
    assert await broker.api_keys.put_keys([KeyChange("AAAAAAAA", None, stored)])
    held = {**(await broker.api_keys.all())[1]}
    assert held["AAAAAAAA"].digest == other.digest
    response = await ingest.http.get("/v1/jobs", headers=bearer(other))
    problem(response, 401, "unauthenticated")


async def test_key_that_was_just_made_works_at_once(ingest: Ingest, give: Give):
    """A key that another process has stored a moment ago works, before any hint and any look."""
    assert (await ingest.http.get("/v1/jobs", headers=bearer(await give(Role.ADMIN)))).status_code == 200


async def test_key_that_was_just_made_works_for_requests_side_by_side(broker: Broker, give: Give):
    """Requests with a key that an ingest does not hold yet wait for one look, and none of them is refused."""
    cache = KeyCache(broker)
    await cache.refresh()
    key = await give(Role.ADMIN)
    keys = KeyGate(cache, broker.clock, IngestMetrics(MetricRegistry()))
    headers = {name.lower().encode(): text.encode() for name, text in bearer(key).items()}
    found: list[str] = []

    async def ask() -> None:
        found.append((await keys.find(headers, {"client": ("127.0.0.1", 1)})).key_id)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
    assert found == [key.id] * 5


async def test_key_is_looked_for_again_where_redis_has_not_told(
    broker: Broker, give: Give, monkeypatch: pytest.MonkeyPatch
):
    """A look that fails is a failure for all who wait for it, and tells the next request nothing."""
    cache = KeyCache(broker)
    await cache.refresh()
    key = await give(Role.ADMIN)
    keys = KeyGate(cache, broker.clock, IngestMetrics(MetricRegistry()))
    headers = {name.lower().encode(): text.encode() for name, text in bearer(key).items()}
    failures: list[StoreError] = []

    async def fail(*_: object) -> None:
        await anyio.lowlevel.checkpoint()
        raise StoreUnavailableError("away")

    async def ask() -> None:
        try:
            await keys.find(headers, {"client": ("127.0.0.1", 1)})
        except StoreError as error:
            failures.append(error)

    with monkeypatch.context() as away:
        away.setattr(ApiKeys, "get", fail)
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
    assert len(failures) == 3
    assert (await keys.find(headers, {"client": ("127.0.0.1", 1)})).key_id == key.id


async def test_revoked_key_is_refused_by_another_ingest(ingest: Ingest, settings: IngestSettings, admin: MintedKey):
    """A key that is revoked at one ingest is refused by another one too, told by a hint."""
    key = (await ingest.http.post("/v1/keys", json={"name": "a", "role": "admin"}, headers=bearer(admin))).json()
    async with running_ingest(settings) as other:

        async def status() -> int:
            return (await other.http.get("/v1/jobs", headers=bearer(key["key"]))).status_code

        assert await status() == 200
        revoked = await ingest.http.delete(f"/v1/keys/{key['id']}", headers=bearer(admin))
        assert revoked.json()["revoked_at"]

        async def is_refused() -> bool:
            return await status() == 401

        await wait_until(is_refused, "the other ingest refuses the key")


async def test_hints_are_not_needed_for_a_revocation(ingest: Ingest, admin: MintedKey, give: Give, broker: Broker):
    """A key that is gone from Redis without a hint is refused once the keys are compared again."""
    key = await give(Role.ADMIN)
    assert (await ingest.http.get("/v1/jobs", headers=bearer(key))).status_code == 200
    # As a failover to a replica that never heard of the key would leave it.
    await broker.client.hdel(broker.keys.api_keys, key.id)
    await broker.client.hset(broker.keys.api_keys, "!version", "another")

    async def is_refused() -> bool:
        return (await ingest.http.get("/v1/jobs", headers=bearer(key))).status_code == 401

    await wait_until(is_refused, "the keys were compared")
    assert (await ingest.http.get("/v1/jobs", headers=bearer(admin))).status_code == 200


async def test_keys_that_cannot_be_compared_count_for_nothing(
    own_redis: EmbeddedRedis, link: FaultProxy, namespace: str, primary: Broker, monkeypatch: pytest.MonkeyPatch
):
    """While Redis is away, a known key is refused as unavailable once the keys are stale, and works again after it."""
    monkeypatch.setattr(key_cache, "STALE_AFTER_S", 1.0)
    key = mint_key()
    stored = StoredApiKey(digest=key.digest, tenant=DEFAULT_TENANT, name="x", role=Role.ADMIN, created_at_ms=1)
    assert await primary.api_keys.put_keys([KeyChange(key.id, None, stored)])
    settings = IngestSettings(redis_url=link.url, namespace=namespace, port=0, auth="required")
    async with running_ingest(settings) as ingest:

        async def status() -> int:
            return (await ingest.http.get("/v1/me", headers=bearer(key))).status_code

        assert await status() == 200
        link.refuse()

        async def is_unavailable() -> bool:
            return await status() == 503

        await wait_until(is_unavailable, "the keys are stale")
        link.heal()

        async def is_back() -> bool:
            return await status() == 200

        await wait_until(is_back, "the keys are compared again")


async def test_failed_attempts_of_an_address_are_limited_and_valid_keys_pass(
    ingest: Ingest, admin: MintedKey, monkeypatch: pytest.MonkeyPatch
):
    """After too many failures in a second further attempts get a 429, and requests with a valid key are answered."""
    used = ingest.services.gate
    monkeypatch.setattr(used, "_attempts", attempts.FailedAttempts(clock=lambda: 7.0))
    answers = [
        await ingest.http.get("/v1/jobs", headers=bearer(mint_key())) for _ in range(attempts.MAX_FAILURES_PER_S + 1)
    ]
    assert {one.status_code for one in answers[:-1]} == {401}
    problem(answers[-1], 429, "too-many-attempts")
    assert int(answers[-1].headers["retry-after"]) == 1
    assert (await ingest.http.get("/v1/jobs", headers=bearer(admin))).status_code == 200
    metrics = (await ingest.http.get("/metrics")).text
    assert 'millstream_auth_refused_total{reason="limited"} 1' in metrics
    assert f'millstream_auth_refused_total{{reason="unknown"}} {attempts.MAX_FAILURES_PER_S}' in metrics


async def test_credentials_that_have_ended_are_told_so_and_do_not_count_as_failed_attempts(
    ingest: Ingest, give: Give, broker: Broker, monkeypatch: pytest.MonkeyPatch
):
    """A key that was revoked or has expired, and a session that was ended, get a 401 however often they are sent."""
    monkeypatch.setattr(ingest.services.gate, "_attempts", attempts.FailedAttempts(clock=lambda: 7.0))
    revoked, opener = await give(Role.ADMIN), await give(Role.ADMIN)
    ended = await give(Role.ADMIN, session_of=opener.id)
    expired = await give(Role.ADMIN, expires_at_ms=broker.clock.now_ms() - 1)
    for one in (revoked, ended):
        assert (await ingest.http.get("/v1/me", headers=bearer(one))).status_code == 200
    assert await broker.api_keys.put_keys([KeyChange(revoked.id, None, None)])
    assert await broker.sessions.put_keys([KeyChange(ended.id, None, None)])
    await ingest.services.key_cache.refresh()
    for _ in range(attempts.MAX_FAILURES_PER_S):
        for one in (revoked, ended, expired):
            problem(await ingest.http.get("/v1/me", headers=bearer(one)), 401, "unauthenticated")
    problem(await ingest.http.get("/v1/me", headers=bearer(mint_key())), 401, "unauthenticated")
    metrics = (await ingest.http.get("/metrics")).text
    assert f'millstream_auth_refused_total{{reason="ended"}} {2 * attempts.MAX_FAILURES_PER_S}' in metrics
    for _ in range(attempts.MAX_FAILURES_PER_S - 1):
        await ingest.http.get("/v1/me", headers=bearer(mint_key()))
    problem(await ingest.http.get("/v1/me", headers=bearer(mint_key())), 429, "too-many-attempts")


async def test_key_that_is_back_works_again(ingest: Ingest, give: Give, broker: Broker):
    """A key that Redis had lost and has again, after a failover or from a backup, is taken as before."""
    key = await give(Role.ADMIN)
    assert (await ingest.http.get("/v1/me", headers=bearer(key))).status_code == 200
    stored = await broker.api_keys.get(key.id)
    assert await broker.api_keys.put_keys([KeyChange(key.id, None, None)])
    await ingest.services.key_cache.refresh()
    problem(await ingest.http.get("/v1/me", headers=bearer(key)), 401, "unauthenticated")
    assert await broker.api_keys.put_keys([KeyChange(key.id, None, stored)])

    async def is_back() -> bool:
        return (await ingest.http.get("/v1/me", headers=bearer(key))).status_code == 200

    await wait_until(is_back, "the key is known again")


async def test_unknown_key_is_looked_up_once_a_second(ingest: Ingest, monkeypatch: pytest.MonkeyPatch, broker: Broker):
    """An unknown key that is sent again in the same second asks Redis nothing."""
    asked: list[str] = []
    cache, find = ingest.services.key_cache, ingest.services.key_cache.find

    async def noting(key_id: str):
        asked.append(key_id)
        return await find(key_id)

    monkeypatch.setattr(cache, "find", noting)
    monkeypatch.setattr(ingest.services.gate, "_attempts", attempts.FailedAttempts(clock=lambda: 7.0))
    unknown = mint_key()
    for _ in range(3):
        problem(await ingest.http.get("/v1/jobs", headers=bearer(unknown)), 401, "unauthenticated")
    assert asked == [unknown.id]


async def test_garbage_among_the_keys_stops_no_other_key(ingest: Ingest, admin: MintedKey, broker: Broker):
    """A field that is no key, and an unknown role, stop neither other keys nor the look at them."""
    await broker.client.hset(broker.keys.api_keys, mapping={"garbage": b"\xc1", "!version": "new"})
    future = mint_key()
    stored = StoredApiKey(digest=future.digest, tenant=DEFAULT_TENANT, name="x", role="emperor", created_at_ms=1)
    assert await broker.api_keys.put_keys([KeyChange(future.id, None, stored)])
    assert (await ingest.http.get("/v1/jobs", headers=bearer(admin))).status_code == 200
    problem(await ingest.http.get("/v1/jobs", headers=bearer(future)), 403, "forbidden")


async def test_expired_keys_are_removed_after_a_while(broker: Broker, settings: IngestSettings, give: Give):
    """Ingest removes a session once it has expired or its key is gone, and a key a month after it has expired."""
    now_ms = broker.clock.now_ms()
    old = await give(Role.ADMIN, expires_at_ms=1)
    key = await give(Role.ADMIN)
    expired = await give(Role.ADMIN, expires_at_ms=now_ms - 1, session_of=key.id)
    orphan = await give(Role.ADMIN, expires_at_ms=now_ms + 60_000, session_of="AAAAAAAA")
    session = await give(Role.ADMIN, expires_at_ms=now_ms + 60_000, session_of=key.id)
    recent = await give(Role.ADMIN, expires_at_ms=now_ms - 1)
    async with running_ingest(patient(settings)):

        async def are_gone() -> bool:
            kept = (await broker.api_keys.all())[1] | (await broker.sessions.all())[1]
            return not kept.keys() & {old.id, expired.id, orphan.id}

        await wait_until(are_gone, "they are removed")
        assert recent.id in (await broker.api_keys.all())[1]
        assert session.id in (await broker.sessions.all())[1]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.com"])
def test_ingest_is_open_to_others_only_on_purpose(host: str):
    """An address that other machines reach is refused while it is not said whether keys are asked for."""
    with pytest.raises(ValueError, match="MILLSTREAM_AUTH is not set"):
        IngestSettings(host=host)
    assert not IngestSettings(host=host, auth="off").asks_for_keys
    assert IngestSettings(host=host, auth="required").asks_for_keys


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_address_needs_no_decision(host: str):
    """On a loopback address ingest asks for no keys unless it is told to."""
    assert not IngestSettings(host=host).asks_for_keys


async def test_head_and_options_are_treated_as_get(ingest: Ingest, admin: MintedKey):
    """HEAD needs what GET needs, and OPTIONS nothing, because browsers send it without credentials."""
    assert (await ingest.http.head("/v1/jobs")).status_code == 401
    assert (await ingest.http.head("/v1/jobs", headers=bearer(admin))).status_code == 200
    assert (await ingest.http.options("/v1/jobs")).status_code == 204


async def test_revocation_ends_the_streams_of_a_key(
    ingest: Ingest, admin: MintedKey, give: Give, monkeypatch: pytest.MonkeyPatch
):
    """A stream of events ends when its key is revoked, and that of another key goes on."""
    monkeypatch.setattr(gate, "CHECK_EVERY_S", 0.05)
    key = await give(Role.OPERATOR)
    async with (
        ingest.http.stream("GET", "/v1/events", headers=bearer(key)) as stream,
        ingest.http.stream("GET", "/v1/events", headers=bearer(admin)) as other,
    ):
        assert (stream.status_code, other.status_code) == (200, 200)
        assert (await ingest.http.delete(f"/v1/keys/{key.id}", headers=bearer(admin))).status_code == 200
        async for _ in stream.aiter_bytes():
            pass
        assert (await ingest.http.get("/v1/me", headers=bearer(key))).status_code == 401
        await ingest.http.post("/v1/jobs", json=JOB, headers=bearer(admin))
        async for piece in other.aiter_bytes():
            if b"submitted" in piece:
                break
