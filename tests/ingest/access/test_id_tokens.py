"""An ID token opens a session for the sign-in that it was given for, and is good for nothing else."""

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from ingest.access.conftest import bearer
from ingest.access.issuing import AUDIENCE, ISSUER, Issuer, key_of, token
from ingest.serving import Ingest, problem
from msgspec.structs import replace

from millstream_contracts import AuditEntry, AuditOutcome, MintedKey, Tenant, limits, nonce_of
from millstream_ingest.access.attempts import FailedAttempts
from millstream_ingest.access.tokens import published_keys
from millstream_ingest.access.tokens.id_token import SIGN_IN_WITHIN_S
from millstream_ingest.access.tokens.verifier import LEEWAY_S
from millstream_ingest.settings import IngestSettings
from millstream_streams import Broker, StoredTenant

CLIENT = "console"
SECRET = "s" * 43
OTHER = "o" * 43


@pytest.fixture
def settings(settings: IngestSettings, issuer: Issuer, mapping: dict[str, Any]) -> IngestSettings:
    """Return the settings of an ingest that trusts the issuer for programs and for a console."""
    given = issuer.setting(**{"client_ids": [CLIENT, "console-2"], **mapping})
    return replace(settings, auth="required", jwt_issuers=json.dumps([given]))


def id_token(**others: Any) -> str:
    """Return an ID token for the console, with these claims in place of its own."""
    return token(**{"aud": CLIENT, "nonce": nonce_of(SECRET), "name": "Ann Example", "email": "ann@x.test", **others})


async def signed_in(ingest: Ingest, text: str, **fields: Any) -> dict[str, Any]:
    """Open a session with an ID token, and return the answer."""
    response = await ingest.http.post("/v1/sessions", json={"nonce_secret": SECRET, **fields}, headers=bearer(text))
    assert response.status_code == 201, response.text
    return response.json()


async def test_id_token_opens_a_session_that_says_whose_it_is(ingest: Ingest, admin: MintedKey):
    """The session has the role of the claims, and name, address, subject and issuer of the person."""
    session = await signed_in(ingest, id_token())
    person = {"name": "Ann Example", "subject": "ann", "issuer": ISSUER, "email": "ann@x.test", "role": "operator"}
    assert {name: session[name] for name in person} == person
    me = (await ingest.http.get("/v1/me", headers=bearer(session["token"]))).json()
    assert {name: me[name] for name in person} == person
    assert (me["session_id"], "key_id" in me) == (session["id"], False)
    [listed] = (await ingest.http.get("/v1/sessions", headers=bearer(admin))).json()["items"]
    assert {name: listed[name] for name in person} == person
    assert (await ingest.http.post("/v1/jobs", json={"type": "a"}, headers=bearer(session["token"]))).status_code == 202
    assert (await ingest.http.delete("/v1/sessions/current", headers=bearer(session["token"]))).status_code == 200
    await ingest.services.key_cache.refresh()
    problem(await ingest.http.get("/v1/me", headers=bearer(session["token"])), 401, "unauthenticated")


async def test_session_of_a_person_outlasts_the_id_token_and_no_bound(ingest: Ingest, broker: Broker):
    """The session lasts as long as was asked for, twelve hours by default, whatever time the ID token has."""
    for fields, lasts_s in (({}, limits.SESSION_TTL_S), ({"expires_in_s": 3_600}, 3_600)):
        session = await signed_in(ingest, id_token(exp=int(time.time()) + 60), **fields)
        stored = (await broker.sessions.all())[1][session["id"]]
        assert stored.expires_at_ms
        assert (stored.expires_at_ms - stored.created_at_ms) / 1000 == lasts_s


async def test_session_of_a_token_for_programs_still_ends_with_it(ingest: Ingest):
    """A token that is no ID token opens a session that ends when the token does."""
    ends = int(time.time()) + 120
    opened = await ingest.http.post("/v1/sessions", json={}, headers=bearer(token(exp=ends)))
    me = (await ingest.http.get("/v1/me", headers=bearer(opened.json()["token"]))).json()
    assert me["expires_at"].startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ends)))
    assert (me["subject"], "key_id" in me) == ("ann", False)


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/jobs"), ("GET", "/v1/jobs"), ("GET", "/v1/keys")])
async def test_id_token_does_nothing_but_sign_in(ingest: Ingest, method: str, path: str):
    """An ID token of an administrator is refused wherever a role is needed."""
    content = {"json": {"type": "a"}} if method == "POST" else {}
    refused = await ingest.http.request(method, path, headers=bearer(id_token(roles=["root"])), **content)
    problem(refused, 403, "forbidden")


async def test_id_token_of_another_sign_in_is_refused(ingest: Ingest, broker: Broker, admin: MintedKey):
    """Who has only seen an ID token opens no session with it, and a nonce secret goes with no other credential."""
    for secret, status, kind in ((OTHER, 401, "unauthenticated"), (None, 422, "invalid-request")):
        asked = {} if secret is None else {"nonce_secret": secret}
        problem(await ingest.http.post("/v1/sessions", json=asked, headers=bearer(id_token())), status, kind)
    # The nonce itself is readable in the token.
    asked = {"nonce_secret": nonce_of(SECRET)}
    problem(await ingest.http.post("/v1/sessions", json=asked, headers=bearer(id_token())), 401, "unauthenticated")
    for credential in (admin, token()):
        refused = await ingest.http.post("/v1/sessions", json={"nonce_secret": SECRET}, headers=bearer(credential))
        [error] = problem(refused, 422, "invalid-request")["errors"]
        assert error["pointer"].removeprefix("#") == "/nonce_secret"
    assert (await broker.sessions.all())[1] == {}


def now() -> int:
    """Return the time as claims have it."""
    return int(time.time())


ATTACKS: dict[str, tuple[Callable[[], str], str]] = {
    "no nonce": (lambda: id_token(nonce=None), "`nonce`"),
    "empty nonce": (lambda: id_token(nonce=""), "`nonce`"),
    "nonce of surrogates": (lambda: id_token(nonce="\ud800" * 43), "`nonce`"),
    "nonce that is no text": (lambda: id_token(nonce=[nonce_of(SECRET)]), "`nonce`"),
    "for another client": (lambda: id_token(aud="another"), "another audience"),
    "for another client too": (lambda: id_token(aud=[CLIENT, "another"], azp=CLIENT), "another audience"),
    "for no one": (lambda: id_token(aud=[]), "another"),
    "given to another client": (lambda: id_token(azp="another"), "`azp`"),
    "given to another console": (lambda: id_token(azp="console-2"), "`azp`"),
    "given to one of several": (lambda: id_token(aud=[CLIENT, "console-2"]), "`azp`"),
    "access token": (lambda: token(header={"typ": "at+jwt"}, aud=CLIENT, nonce=nonce_of(SECRET)), "access token"),
    "access token in full": (
        lambda: token(header={"typ": "application/AT+JWT"}, aud=CLIENT, nonce=nonce_of(SECRET)),
        "access token",
    ),
    "token of a logout": (lambda: token(header={"typ": "logout+jwt"}, aud=CLIENT), "of another kind"),
    "too old": (lambda: id_token(iat=now() - int(SIGN_IN_WITHIN_S + LEEWAY_S) - 2), "too old"),
    "expired": (lambda: id_token(iat=now() - 100, exp=now() - int(LEEWAY_S) - 2), "has expired"),
    "of later": (lambda: id_token(iat=now() + int(LEEWAY_S) + 60), "not valid yet"),
    "of another issuer": (lambda: id_token(iss="https://evil.example.com/"), "not trusted"),
    "signed by another": (
        lambda: token(key_of("ES256", "attacker"), header={"kid": "ES256-1"}, aud=CLIENT, nonce=nonce_of(SECRET)),
        "signature",
    ),
    "signed with a longer hash": (
        lambda: token(key_of("RS256"), header={"alg": "RS512"}, aud=CLIENT, nonce=nonce_of(SECRET)),
        "is not signed with one of",
    ),
}


async def test_forged_id_tokens_open_no_session(ingest: Ingest, broker: Broker, monkeypatch: pytest.MonkeyPatch):
    """Each is refused with a 401 that says what is wrong with it, and leaves no session."""
    seconds = itertools.count()
    monkeypatch.setattr(ingest.services.gate, "_attempts", FailedAttempts(clock=lambda: next(seconds)))
    for name, (forge, why) in ATTACKS.items():
        refused = await ingest.http.post("/v1/sessions", json={"nonce_secret": SECRET}, headers=bearer(forge()))
        assert why in problem(refused, 401, "unauthenticated")["detail"], name
    assert (await broker.sessions.all())[1] == {}


async def test_what_the_forged_ones_are_made_from_is_taken(ingest: Ingest):
    """An ID token as the attacks change it opens a session, within the leeway of clocks too."""
    seconds = int(LEEWAY_S) - 10
    fine = [
        id_token(azp=CLIENT),
        id_token(aud=[CLIENT]),
        id_token(aud=[CLIENT, "console-2"], azp=CLIENT),
        id_token(iat=now() + seconds),
        id_token(iat=now() - 100, exp=now() - seconds),
        id_token(iat=now() - int(SIGN_IN_WITHIN_S) - seconds),
    ]
    for one in fine:
        await signed_in(ingest, one)


async def test_token_for_programs_is_no_id_token_because_it_names_the_console_too(ingest: Ingest):
    """A token for the API stays one: it does what its role may, and needs no nonce for a session."""
    both = id_token(aud=[AUDIENCE, CLIENT])
    assert (await ingest.http.get("/v1/jobs", headers=bearer(both))).status_code == 200
    assert (await ingest.http.post("/v1/sessions", json={}, headers=bearer(both))).status_code == 201


async def test_person_without_a_role_is_refused_by_name(ingest: Ingest, broker: Broker):
    """The refusal says what was looked for, and the audit trail who has tried."""
    refused = await ingest.http.post(
        "/v1/sessions", json={"nonce_secret": SECRET}, headers=bearer(id_token(sub="eve", roles=["guests"]))
    )
    assert "`roles`" in problem(refused, 403, "forbidden")["detail"]
    [entry] = await records(broker)
    assert (entry.action, entry.outcome, entry.key_id) == ("openSession", AuditOutcome.REFUSED, "eve")
    assert (entry.issuer, entry.key_name) == (ISSUER, "Ann Example")


async def test_records_of_a_sign_in_and_of_what_follows_name_the_person(ingest: Ingest, broker: Broker):
    """A sign-in and each change made with its session say subject and issuer; the nonce secret is not told."""
    session = await signed_in(ingest, id_token(roles=["root"]))
    made = await ingest.http.post("/v1/keys", json={"name": "a", "role": "viewer"}, headers=bearer(session["token"]))
    assert made.json()["created_by"] == f"{ISSUER} ann"
    told = {one.action: one for one in await records(broker)}
    for action, with_session in (("openSession", ""), ("createKey", session["id"])):
        entry = told[action]
        assert (entry.key_id, entry.issuer, entry.key_name) == ("ann", ISSUER, "Ann Example"), action
        assert entry.session == with_session
    assert SECRET not in str(told)


async def records(broker: Broker) -> list[AuditEntry]:
    """Return what waits to be written to the audit trail."""
    return (await broker.audit_trail.waiting(1_000)).entries


@pytest.mark.parametrize(
    ("others", "name", "email"),
    [
        ({"name": None, "preferred_username": "ann.x"}, "ann.x", "ann@x.test"),
        ({"name": None}, "ann@x.test", "ann@x.test"),
        ({"name": None, "email": None}, "ann", None),
        ({"name": "a\nb", "email": ["ann"]}, "ann", None),
        ({"name": "\ud800", "email_verified": False}, "ann@x.test", None),
        ({"name": "n" * 500}, "n" * limits.MAX_API_KEY_NAME_CHARS, "ann@x.test"),
    ],
    ids=["user name", "address", "subject", "garbage", "unverified", "long"],
)
async def test_name_of_a_person_is_the_first_that_can_be_shown(
    ingest: Ingest, others: dict[str, Any], name: str, email: str | None
):
    """What a provider says of names is shown where it can be, and grants nothing."""
    session = await signed_in(ingest, id_token(**others))
    assert (session["name"], session.get("email"), session["subject"]) == (name, email, "ann")


@pytest.mark.parametrize("mapping", [{"roles_claim": "email", "roles": {"ann@x.test": "viewer"}}])
async def test_role_by_address_needs_an_address_that_was_verified(ingest: Ingest):
    """An address that its provider does not vouch for grants nothing: anyone may have written it there."""
    assert (await signed_in(ingest, id_token(email_verified=True)))["role"] == "viewer"
    for said in (None, False, "true", 1):
        asked = {"nonce_secret": SECRET}
        headers = bearer(id_token(email_verified=said))
        refused = await ingest.http.post("/v1/sessions", json=asked, headers=headers)
        assert "`email_verified`" in problem(refused, 403, "forbidden")["detail"]


@pytest.mark.parametrize("mapping", [{"audiences": [], "tenant_claim": "org"}])
async def test_issuer_may_be_for_people_alone_and_name_their_tenant(ingest: Ingest, broker: Broker):
    """Without audiences no token for programs is taken; the tenant comes from the claim, and has to be there."""
    assert await broker.tenants.put_tenant(Tenant("acme"), None, StoredTenant())
    await ingest.services.key_cache.refresh()
    problem(await ingest.http.get("/v1/me", headers=bearer(token(org="acme"))), 401, "unauthenticated")
    session = await signed_in(ingest, id_token(org="acme"))
    me = (await ingest.http.get("/v1/me", headers=bearer(session["token"]))).json()
    assert (me["tenant"], me["subject"]) == ("acme", "ann")
    gone = await ingest.http.post("/v1/sessions", json={"nonce_secret": SECRET}, headers=bearer(id_token(org="globex")))
    problem(gone, 403, "forbidden")


async def test_keys_rotate_between_sign_ins_and_sessions_go_on(
    ingest: Ingest, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
):
    """An ID token of a new key is taken, one of a withdrawn key is not, and its session goes on until it ends."""
    monkeypatch.setattr(published_keys, "LOOK_FOR_UNKNOWN_EVERY_S", 0.0)
    first = await signed_in(ingest, id_token())
    issuer.publish(key_of("ES256", "2"))
    await signed_in(ingest, token(key_of("ES256", "2"), aud=CLIENT, nonce=nonce_of(SECRET)))
    old = await ingest.http.post("/v1/sessions", json={"nonce_secret": SECRET}, headers=bearer(id_token(jti="2")))
    problem(old, 401, "unauthenticated")
    assert (await ingest.http.get("/v1/jobs", headers=bearer(first["token"]))).status_code == 200


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"audiences": [], "client_ids": []}, "both empty"),
        ({"client_ids": [AUDIENCE]}, "in `audiences` and in `client_ids`"),
        ({"issuer": "https://a b"}, "spaces"),
    ],
)
def test_setting_that_would_mix_tokens_up_stops_the_start(change: dict[str, Any], why: str):
    """An issuer for no one, a client id that is an audience, and an issuer that is no name stop the start."""
    one = {"issuer": ISSUER, "audiences": [AUDIENCE], "jwks_url": "https://x.test/jwks", "roles": {"a": "viewer"}}
    with pytest.raises(ValueError, match="MILLSTREAM_JWT_ISSUERS") as caught:
        IngestSettings(auth="required", jwt_issuers=json.dumps([{**one, **change}]))
    assert why in str(caught.value)
