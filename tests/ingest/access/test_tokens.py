"""Tokens of a trusted issuer are taken beside keys: which principals they make, and what changes of keys do to them."""

import json
import time
from typing import Any

import pytest
from ingest.access.conftest import bearer
from ingest.access.issuing import AUDIENCE, ISSUER, Issuer, issuing, key_of, token
from ingest.serving import Ingest, patient, problem, running_ingest
from msgspec.structs import replace
from sdk.handlers.receivers import Receiver
from waiting import wait_until

from millstream_contracts import ROLE_SCOPES, MintedKey, Role, Tenant
from millstream_ingest.access import gate
from millstream_ingest.access.tokens import published_keys, verifier
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker, StoredTenant

JOB = {"type": "email.send"}


@pytest.fixture
def settings(settings: IngestSettings, issuer: Issuer, mapping: dict[str, Any]) -> IngestSettings:
    """Return the settings of an ingest that trusts the issuer."""
    return replace(settings, auth="required", jwt_issuers=json.dumps([issuer.setting(**mapping)]))


def refusals(metrics: str, reason: str) -> bool:
    """Return whether the metrics have a refusal for this reason."""
    return f'millstream_auth_refused_total{{reason="{reason}"}}' in metrics


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_token_of_each_algorithm_is_taken_by_either_door(ingest: Ingest, algorithm: str):
    """A token that a key of the issuer has signed may do what its role may, by the fast path and by the router."""
    held = token(key_of(algorithm))
    for path in ("/v1/jobs", "/v1/jobs/", "/v1/jobs"):
        assert (await ingest.http.post(path, json=JOB, headers=bearer(held))).status_code == 202
    me = (await ingest.http.get("/v1/me", headers=bearer(held))).json()
    assert (me["subject"], me["issuer"], me["role"], me["tenant"]) == ("ann", ISSUER, "operator", "default")
    assert "key_id" not in me
    assert me["expires_at"]
    problem(await ingest.http.get("/v1/keys", headers=bearer(held)), 403, "forbidden")


async def test_token_without_an_id_of_its_key_is_of_the_only_one(ingest: Ingest, issuer: Issuer):
    """A token that names no key is of the only key of its algorithm, and is refused where there are two."""
    unnamed = token(header={"kid": None})
    assert (await ingest.http.get("/v1/me", headers=bearer(unnamed))).status_code == 200
    async with issuing() as other:
        other.publish(key_of("ES256"), key_of("ES256", "2"))
        settings = replace(ingest.services.settings, jwt_issuers=json.dumps([other.setting()]))
        async with running_ingest(patient(settings)) as second:
            problem(await second.http.get("/v1/me", headers=bearer(unnamed)), 401, "unauthenticated")


@pytest.mark.parametrize(
    ("mapping", "others", "scopes"),
    [
        ({}, {"roles": "ci other"}, {"jobs:submit"}),
        ({}, {"roles": ["ops", "root"]}, set(ROLE_SCOPES[Role.ADMIN])),
        ({"roles": {"a": ["jobs:submit"], "b": "viewer"}}, {"roles": ["b", "a"]}, {"jobs:submit", "jobs:read"}),
        ({"roles_claim": "https://x/roles"}, {"https://x/roles": ["ci"], "roles": ["root"]}, {"jobs:submit"}),
        ({"roles_claim": ["realm", "roles"]}, {"realm": {"roles": ["ci"]}, "roles": ["root"]}, {"jobs:submit"}),
    ],
    ids=["spaces", "union", "lists of scopes", "name with points", "nested"],
)
async def test_claims_grant_what_the_operator_said(ingest: Ingest, others: dict[str, Any], scopes: set[str]):
    """The values of the claim grant together what they are mapped to, and nothing else in the token does."""
    me = (await ingest.http.get("/v1/me", headers=bearer(token(**others)))).json()
    assert set(me["scopes"]) == scopes


async def test_token_without_a_role_says_what_was_looked_for(ingest: Ingest):
    """A valid token whose claim has none of the values is refused with their names; names of roles are no values."""
    for roles in (None, [], ["admin"], ["operator"], {"ops": True}, 7, [["ops"]], "opsroot"):
        refused = await ingest.http.get("/v1/me", headers=bearer(token(roles=roles)))
        detail = problem(refused, 403, "forbidden")["detail"]
        assert "`roles`" in detail
        assert all(f"`{value}`" in detail for value in ("ops", "ci", "root"))
    assert refusals((await ingest.http.get("/metrics")).text, "role")


@pytest.mark.parametrize("mapping", [{"tenant_claim": "org", "tenants": ["acme", "globex"]}])
async def test_tenant_comes_from_its_claim_within_what_the_issuer_may_name(ingest: Ingest, broker: Broker):
    """A token acts for the tenant of its claim, sees nothing of others, and names none that its issuer may not name."""
    for name in ("acme", "globex"):
        assert await broker.tenants.put_tenant(Tenant(name), None, StoredTenant())
    await ingest.services.key_cache.refresh()
    acme, globex = bearer(token(org="acme")), bearer(token(org="globex"))
    made = (await ingest.http.post("/v1/jobs", json=JOB, headers=acme)).json()
    assert (await ingest.http.get(f"/v1/jobs/{made['id']}", headers=acme)).status_code == 200
    problem(await ingest.http.get(f"/v1/jobs/{made['id']}", headers=globex), 404, "job-not-found")
    for org in (None, "default", "", "ACME", ["acme"], "acme\n", 1, {"acme": 1}):
        refused = problem(await ingest.http.get("/v1/me", headers=bearer(token(org=org))), 403, "forbidden")
        assert "`org`" in refused["detail"]


async def test_two_issuers_have_mappings_of_their_own(ingest: Ingest, issuer: Issuer):
    """What one issuer may grant another may not, and a token of one that the other's key has signed is refused."""
    async with issuing() as other:
        own = key_of("ES256", "other")
        other.publish(own)
        second = other.setting(issuer="urn:second", roles={"ops": "viewer"})
        settings = replace(ingest.services.settings, jwt_issuers=json.dumps([issuer.setting(), second]))
        async with running_ingest(patient(settings)) as both:
            first = await both.http.get("/v1/me", headers=bearer(token()))
            others = await both.http.get("/v1/me", headers=bearer(token(own, iss="urn:second")))
            assert (first.json()["role"], others.json()["role"]) == ("operator", "viewer")
            for forged in (token(iss="urn:second"), token(own), token(own, iss="urn:third")):
                problem(await both.http.get("/v1/me", headers=bearer(forged)), 401, "unauthenticated")


async def test_verified_token_is_held_and_ends_by_the_clock_of_redis(ingest: Ingest, monkeypatch: pytest.MonkeyPatch):
    """The signature of a token is checked once; when its time and the leeway are over, it is refused as expired."""
    checked: list[str] = []
    check = verifier._check_signature

    def noting(text: str, key: Any) -> None:
        checked.append(text)
        check(text, key)

    monkeypatch.setattr(verifier, "_check_signature", noting)
    held = token()
    for _ in range(3):
        assert (await ingest.http.post("/v1/jobs", json=JOB, headers=bearer(held))).status_code == 202
    assert checked == [held]
    used, now_s = ingest.services.tokens, ingest.services.tokens._now_s
    monkeypatch.setattr(used, "_now_s", lambda: now_s() + 300 + verifier.LEEWAY_S - 20)
    assert (await ingest.http.get("/v1/me", headers=bearer(held))).status_code == 200
    monkeypatch.setattr(used, "_now_s", lambda: now_s() + 300 + verifier.LEEWAY_S)
    refused = problem(await ingest.http.get("/v1/me", headers=bearer(held)), 401, "unauthenticated")
    assert "has expired" in refused["detail"]


async def test_held_tokens_are_bounded(ingest: Ingest, monkeypatch: pytest.MonkeyPatch):
    """Beyond the bound a token is taken all the same and not held, and those that are over make room."""
    monkeypatch.setattr(verifier, "MAX_HELD", 2)
    used, now_s = ingest.services.tokens, ingest.services.tokens._now_s
    many = [token(jti=str(number)) for number in range(4)]
    for one in many:
        assert (await ingest.http.get("/v1/me", headers=bearer(one))).status_code == 200
    assert len(used._held) == 2
    monkeypatch.setattr(used, "_now_s", lambda: now_s() + 1_000)
    assert (await ingest.http.get("/v1/me", headers=bearer(token(exp=int(time.time()) + 3_000)))).status_code == 200
    assert len(used._held) == 1


async def test_keys_of_the_issuer_rotate(ingest: Ingest, issuer: Issuer, monkeypatch: pytest.MonkeyPatch):
    """A new key is found by the first token that names it; a withdrawn one has its tokens and streams end."""
    monkeypatch.setattr(published_keys, "LOOK_FOR_UNKNOWN_EVERY_S", 0.0)
    monkeypatch.setattr(gate, "CHECK_EVERY_S", 0.05)
    old, new = token(), token(key_of("ES256", "2"))
    problem(await ingest.http.get("/v1/me", headers=bearer(new)), 401, "unauthenticated")
    issuer.publish(key_of("ES256"), key_of("ES256", "2"))
    for one in (new, old):
        assert (await ingest.http.get("/v1/me", headers=bearer(one))).status_code == 200
    async with ingest.http.stream("GET", "/v1/events", headers=bearer(old)) as stream:
        assert stream.status_code == 200
        issuer.publish(key_of("ES256", "2"))
        # An unknown key has the issuer asked again; as the next reading in the background would.
        problem(await ingest.http.get("/v1/me", headers=bearer(token(key_of("ES256", "3")))), 401, "unauthenticated")
        problem(await ingest.http.get("/v1/me", headers=bearer(old)), 401, "unauthenticated")
        async for _ in stream.aiter_bytes():
            pass
    assert (await ingest.http.get("/v1/me", headers=bearer(new))).status_code == 200


async def test_keys_are_read_anew_in_the_background(
    settings: IngestSettings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
):
    """A key that is published again under the same id counts after the next reading, which no request waits for."""
    monkeypatch.setattr(published_keys, "READ_EVERY_S", 0.05)
    async with running_ingest(patient(settings)) as ingest:
        assert (await ingest.http.get("/v1/me", headers=bearer(token()))).status_code == 200
        swapped = key_of("ES256", "2")
        issuer.publish({**swapped.as_dict(private=False), "kid": key_of("ES256").kid})

        async def is_refused() -> bool:
            return (await ingest.http.get("/v1/me", headers=bearer(token()))).status_code == 401

        await wait_until(is_refused, "the keys were read again")
        named = token(swapped, header={"kid": key_of("ES256").kid})
        assert (await ingest.http.get("/v1/me", headers=bearer(named))).status_code == 200


async def test_unknown_keys_have_the_issuer_asked_once_a_minute(ingest: Ingest, issuer: Issuer):
    """However many tokens name keys that the issuer does not publish, it is asked no more than once in a minute."""
    await wait_until(lambda: issuer.asked >= 1, "the keys were read")
    asked = issuer.asked
    for number in range(5):
        unknown = token(header={"kid": f"unknown-{number}"})
        problem(await ingest.http.get("/v1/me", headers=bearer(unknown)), 401, "unauthenticated")
    assert issuer.asked == asked


async def test_issuer_that_fails_stops_only_what_needs_it(
    ingest: Ingest, issuer: Issuer, admin: MintedKey, monkeypatch: pytest.MonkeyPatch
):
    """While the keys cannot be read, tokens of known keys and keys of Millstream go on, and others are told to wait."""
    assert (await ingest.http.get("/v1/me", headers=bearer(token()))).status_code == 200
    monkeypatch.setattr(published_keys, "LOOK_FOR_UNKNOWN_EVERY_S", 0.0)
    issuer.answer(500)
    new = token(key_of("ES256", "2"))
    refused = await ingest.http.get("/v1/me", headers=bearer(new))
    assert ISSUER in problem(refused, 503, "issuer-unreachable")["detail"]
    assert int(refused.headers["retry-after"]) == gate.ASK_ISSUER_AGAIN_AFTER_S
    for held in (token(), token(jti="another"), admin):
        assert (await ingest.http.get("/v1/me", headers=bearer(held))).status_code == 200
    metrics = (await ingest.http.get("/metrics")).text
    assert f'millstream_issuer_reads_total{{issuer="{ISSUER}",outcome="failed"}}' in metrics
    assert f'millstream_issuer_reads_total{{issuer="{ISSUER}",outcome="ok"}}' in metrics
    assert refusals(metrics, "issuer")
    [line] = [one for one in metrics.splitlines() if one.startswith("millstream_issuer_last_read_timestamp_seconds{")]
    assert time.time() - 3_600 < float(line.split()[-1]) <= time.time()
    issuer.publish(key_of("ES256"), key_of("ES256", "2"))
    assert (await ingest.http.get("/v1/me", headers=bearer(new))).status_code == 200


async def test_keys_that_could_not_be_read_for_long_count_for_nothing(
    ingest: Ingest, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
):
    """Keys that are older than `GOOD_FOR_S` prove nothing: that which an attacker has might have been withdrawn."""
    assert (await ingest.http.get("/v1/me", headers=bearer(token()))).status_code == 200
    monkeypatch.setattr(published_keys, "LOOK_FOR_UNKNOWN_EVERY_S", 0.0)
    issuer.answer(500)
    keys = ingest.services.tokens._keys[ISSUER]
    monkeypatch.setattr(keys, "_good_until", 0.0)
    problem(await ingest.http.get("/v1/me", headers=bearer(token(jti="new"))), 503, "issuer-unreachable")
    problem(await ingest.http.get("/v1/me", headers=bearer(token())), 503, "issuer-unreachable")


async def test_answer_that_is_no_list_of_keys_is_a_failure(
    settings: IngestSettings, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
):
    """An answer that is no list of keys, is too large or leads elsewhere is a failure, and proves nothing."""
    monkeypatch.setattr(published_keys, "LOOK_FOR_UNKNOWN_EVERY_S", 0.0)
    answers = [
        (200, "<html>"),
        (200, "[]"),
        (200, '{"keys": 1}'),
        (200, "[" * 30_000),
        (200, '{"keys": [' + " " * 100_000 + "]}"),
        (404, '{"keys": []}'),
        (302, "", "location: /jwks.json"),
    ]
    issuer.answer(*answers[0])
    async with running_ingest(patient(settings)) as ingest:
        for answer in answers:
            issuer.answer(*answer)
            refused = await ingest.http.get("/v1/me", headers=bearer(token()))
            problem(refused, 503, "issuer-unreachable")


@pytest.mark.parametrize("mapping", [{"networks": []}])
async def test_keys_are_read_from_private_networks_only_where_that_is_said(ingest: Ingest, issuer: Issuer):
    """An issuer in a network that the operator did not name is not asked at all."""
    problem(await ingest.http.get("/v1/me", headers=bearer(token())), 503, "issuer-unreachable")
    assert issuer.asked == 0


async def test_keys_made_with_a_token_name_its_subject(ingest: Ingest):
    """A key that was made with a token says whose it was, and has no more rights than the token."""
    root = bearer(token(roles=["root"]))
    made = (await ingest.http.post("/v1/keys", json={"name": "a", "role": "viewer"}, headers=root)).json()
    assert made["created_by"] == "https://login.example.com/ ann"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"audiences": []}, "audiences"),
        ({"audiences": None}, "audiences"),
        ({"issuer": ""}, "issuer"),
        ({"roles": {}}, "roles"),
        ({"roles": {"ops": "emperor"}}, "roles"),
        ({"roles": {"ops": ["public"]}}, "public"),
        ({"roles": {"ops": ["jobs:fly"]}}, "roles"),
        ({"tenants": ["acme"]}, "tenant_claim"),
        ({"tenant": "ACME"}, "tenant"),
        ({"networks": ["10.0.0.0/99"]}, "10.0.0.0/99"),
        ({"jwks_url": "http://login.example.com/jwks"}, "https"),
        ({"jwks_url": "file:///etc/passwd"}, "jwks_url"),
        ({"jwks_url": "https://user:pass@login.example.com/jwks"}, "jwks_url"),
        ({"algorithms": ["none"]}, "algorithms"),
    ],
)
def test_setting_that_cannot_be_meant_stops_the_start(change: dict[str, Any], why: str):
    """A mistake in the issuers stops the start, and names the variable and the field."""
    setting = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "jwks_url": "https://login.example.com/jwks",
        "roles": {"ops": "operator"},
        **change,
    }
    setting = {name: value for name, value in setting.items() if value is not None}
    with pytest.raises(ValueError, match="MILLSTREAM_JWT_ISSUERS") as caught:
        IngestSettings(auth="required", jwt_issuers=json.dumps([setting]))
    assert why in str(caught.value)


def test_issuers_need_an_ingest_that_asks_for_credentials():
    """Issuers beside `MILLSTREAM_AUTH=off`, one that is there twice, and what is no JSON stop the start."""
    one = Issuer(Receiver()).setting()
    both = json.dumps([one, one])
    with pytest.raises(ValueError, match="MILLSTREAM_AUTH=required"):
        IngestSettings(jwt_issuers=json.dumps([one]))
    with pytest.raises(ValueError, match="twice"):
        IngestSettings(auth="required", jwt_issuers=both)
    with pytest.raises(ValueError, match="MILLSTREAM_JWT_ISSUERS"):
        IngestSettings(auth="required", jwt_issuers="https://login.example.com")
