"""What attackers send in place of a token is refused, with the right answer, and makes ingest do nothing else."""

import hashlib
import hmac
import itertools
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest.access.conftest import bearer
from ingest.access.issuing import (
    AUDIENCE,
    Issuer,
    algorithm_of,
    claims,
    encoded,
    key_of,
    signed,
    signed_parts,
    token,
)
from ingest.serving import Ingest, problem
from msgspec.structs import replace

from millstream_ingest.access.attempts import FailedAttempts
from millstream_ingest.access.tokens.errors import TokenError
from millstream_ingest.access.tokens.signing_keys import MAX_KEYS, read_keys
from millstream_ingest.access.tokens.token_form import MAX_TOKEN_BYTES, read_form
from millstream_ingest.access.tokens.verifier import LEEWAY_S
from millstream_ingest.settings import IngestSettings

MINE = "attacker"


@pytest.fixture
def settings(settings: IngestSettings, issuer: Issuer) -> IngestSettings:
    """Return the settings of an ingest that trusts the issuer."""
    return replace(settings, auth="required", jwt_issuers=json.dumps([issuer.setting()]))


def now() -> int:
    """Return the time as claims have it."""
    return int(time.time())


def unsigned(alg: str, signature: str = "") -> str:
    """Return a token without a signature of the issuer."""
    return f"{encoded(json.dumps({'alg': alg, 'kid': 'ES256-1'}))}.{encoded(json.dumps(claims()))}.{signature}"


def hashed_with_the_public_key() -> str:
    """Return a token with an HMAC whose secret is the public key of the issuer, in PEM."""
    key = key_of("RS256")
    content = f"{encoded(json.dumps({'alg': 'HS256', 'kid': key.kid}))}.{encoded(json.dumps(claims()))}"
    return f"{content}.{encoded(hmac.digest(key.as_pem(private=False), content.encode(), hashlib.sha256))}"


def tampered() -> str:
    """Return a token whose claims were changed behind its signature."""
    head, _, signature = token(roles=["ci"]).split(".")
    return f"{head}.{encoded(json.dumps(claims(roles=['root'])))}.{signature}"


def with_embedded_key(**others: object) -> str:
    """Return a token that brings the key that it is signed with."""
    mine = key_of("ES256", MINE)
    return token(mine, header={"jwk": mine.as_dict(private=False), **others})


def with_twin_signature() -> str:
    """Return a valid token whose last character encodes the same bytes otherwise."""
    text = token(key_of("RS256"))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    signature = text.rpartition(".")[2]
    same = urlsafe_b64decode(signature + "==")
    twins = [one for one in letters if one != text[-1] and urlsafe_b64decode(signature[:-1] + one + "==") == same]
    return text[:-1] + twins[0]


def twice(name: str, first: object, second: object) -> str:
    """Return a token with a claim that is there twice."""
    text = json.dumps(claims(**{name: None}))
    return signed(f"{text[:-1]}, {json.dumps(name)}: {json.dumps(first)}, {json.dumps(name)}: {json.dumps(second)}}}")


def with_header_twice() -> str:
    """Return a token whose header names two algorithms."""
    key = key_of("ES256")
    return signed_parts(f'{{"alg": "none", "alg": "ES256", "kid": "{key.kid}"}}', json.dumps(claims()), key)


ATTACKS: dict[str, tuple[Callable[[], str], str]] = {
    "none": (lambda: unsigned("none"), "is no signed JWT"),
    "none with a signature": (lambda: unsigned("none", "AAAA"), "is not signed with one of"),
    "None": (lambda: unsigned("NoNe", "AAAA"), "is not signed with one of"),
    "HMAC with the public key": (hashed_with_the_public_key, "is not signed with one of"),
    "algorithm of another key": (lambda: token(header={"alg": "RS256"}), "does not publish"),
    "longer hash": (lambda: token(key_of("RS256"), header={"alg": "RS512"}), "is not signed with one of"),
    "no algorithm": (lambda: signed_parts('{"kid": "x"}', json.dumps(claims()), key_of("ES256")), "header"),
    "tampered": (tampered, "signature"),
    "signature of the attacker": (lambda: token(key_of("ES256", MINE), header={"kid": "ES256-1"}), "signature"),
    "signature of zeros": (lambda: token().rpartition(".")[0] + "." + encoded(bytes(64)), "signature"),
    "signature spelt otherwise": (with_twin_signature, "signature"),
    "embedded key": (with_embedded_key, "does not publish"),
    "embedded key under a known name": (lambda: with_embedded_key(kid="ES256-1"), "signature"),
    "address of keys": (
        lambda: token(key_of("ES256", MINE), header={"jku": "http://127.0.0.1:1/"}),
        "does not publish",
    ),
    "address of certificates": (lambda: token(key_of("ES256", MINE), header={"x5u": "file:///x"}), "does not publish"),
    "kid as a path": (lambda: token(header={"kid": "../../../dev/null"}), "does not publish"),
    "kid as SQL": (lambda: token(header={"kid": "' UNION SELECT 'key' --"}), "does not publish"),
    "kid that is huge": (lambda: token(header={"kid": "k" * 4_000}), "header"),
    "kid that is empty": (lambda: token(header={"kid": ""}), "header"),
    "kid that is no text": (lambda: token(header={"kid": ["ES256-1"]}), "header"),
    "kid with lines": (lambda: token(header={"kid": "a\r\nX: y"}), "does not publish"),
    "critical": (lambda: token(header={"crit": ["exp"], "exp": 1}), "`crit`"),
    "critical and empty": (lambda: token(header={"crit": []}), "`crit`"),
    "unencoded": (lambda: token(header={"b64": False, "crit": ["b64"]}), "`crit`"),
    "nested": (lambda: signed(token(), header={"cty": "JWT"}), "`cty`"),
    "nested and silent": (lambda: signed(token()), "no JSON object"),
    "encrypted": (lambda: "a.b.c.d.e", "is no signed JWT"),
    "token of a logout": (lambda: token(header={"typ": "logout+jwt"}), "of another kind"),
    "claim twice": (lambda: twice("roles", ["ci"], ["root"]), "a name twice"),
    "subject twice": (lambda: twice("sub", "ann", "root"), "a name twice"),
    "algorithm twice": (with_header_twice, "a name twice"),
    "expired": (lambda: token(iat=now() - 900, exp=now() - int(LEEWAY_S) - 2), "has expired"),
    "not yet valid": (lambda: token(nbf=now() + int(LEEWAY_S) + 60), "not valid yet"),
    "issued later": (lambda: token(iat=now() + int(LEEWAY_S) + 60), "not valid yet"),
    "never ends": (lambda: token(exp=None), "`exp`"),
    "ends at infinity": (lambda: signed(json.dumps(claims(exp=1)).replace('"exp": 1', '"exp": 1e999')), "claims"),
    "ends at Infinity": (lambda: signed(json.dumps(claims(exp=float("inf")))), "no JSON object"),
    "ends at a text": (lambda: token(exp=str(now() + 60)), "claims"),
    "ends at true": (lambda: token(exp=True), "claims"),
    "ends after all stars": (lambda: token(exp=10**400), "claims"),
    "issued never": (lambda: token(iat=None), "`iat`"),
    "without a subject": (lambda: token(sub=None), "`sub`"),
    "with an empty subject": (lambda: token(sub=""), "claims"),
    "with a subject of lines": (lambda: token(sub="ann\nroot"), "`sub`"),
    "with a huge subject": (lambda: token(sub="a" * 300), "claims"),
    "wrong audience": (lambda: token(aud="another"), "another audience"),
    "no audience": (lambda: token(aud=None), "`aud`"),
    "audience within another": (lambda: token(aud=f"{AUDIENCE}.evil"), "another audience"),
    "audiences without ours": (lambda: token(aud=["a", "b"]), "another audience"),
    "wrong issuer": (lambda: token(iss="https://evil.example.com/"), "not trusted"),
    "issuer that is nearly ours": (lambda: token(iss="https://login.example.com"), "not trusted"),
    "issuers": (lambda: token(iss=["https://login.example.com/"]), "claims"),
    "oversized": (lambda: token(filler="x" * MAX_TOKEN_BYTES), "more than"),
    "deep": (lambda: signed("[" * 4_000), "no JSON object"),
    "deep header": (lambda: signed_parts("[" * 2_000, "{}", key_of("ES256")), "no JSON object"),
    "list": (lambda: signed("[]"), "no JSON object"),
    "no text": (lambda: signed(b"\xff\xfe{"), "no JSON object"),
    "padded": (lambda: token() + "=", "is no signed JWT"),
    "with a line": (lambda: token().replace(".", ".\t", 1), "is no signed JWT"),
}


async def test_attacks_are_refused(ingest: Ingest, issuer: Issuer, monkeypatch: pytest.MonkeyPatch):
    """Each forged token gets a 401 that says what is wrong with it and quotes nothing of it; nothing else is asked."""
    seconds = itertools.count()
    monkeypatch.setattr(ingest.services.gate, "_attempts", FailedAttempts(clock=lambda: next(seconds)))
    for name, (forge, why) in ATTACKS.items():
        text = forge()
        refused = await ingest.http.post("/v1/jobs", json={"type": "email.send"}, headers=bearer(text))
        detail = problem(refused, 401, "unauthenticated")["detail"]
        assert why in detail, (name, detail)
        assert 'error="invalid_token"' in refused.headers["www-authenticate"], name
        assert not [part for part in text.split(".") if len(part) > 12 and part in refused.text], name
    assert issuer.asked == 1


async def test_what_the_attacks_are_made_from_is_taken(ingest: Ingest):
    """A token as the attacks change it is taken, within the leeway too, and so are those of several audiences."""
    seconds = int(LEEWAY_S) - 10
    fine = [
        token(),
        token(exp=now() - seconds),
        token(nbf=now() + seconds),
        token(iat=now() + seconds),
        token(aud=["another", AUDIENCE]),
        token(header={"typ": "at+JWT"}),
        token(header={"jku": "http://127.0.0.1:1/", "x5c": ["AAAA"]}),
    ]
    for one in fine:
        assert (await ingest.http.get("/v1/me", headers=bearer(one))).status_code == 200


async def test_failed_tokens_of_an_address_are_limited_and_valid_ones_pass(ingest: Ingest):
    """Forged tokens are counted as wrong keys are, and a token that was verified is taken all the same."""
    held = token()
    assert (await ingest.http.get("/v1/me", headers=bearer(held))).status_code == 200
    answers = [(await ingest.http.get("/v1/me", headers=bearer(tampered()))).status_code for _ in range(60)]
    assert set(answers) == {401, 429}
    assert (await ingest.http.get("/v1/me", headers=bearer(held))).status_code == 200


@given(st.text() | st.binary().map(encoded) | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*"))
def test_any_text_is_refused_as_a_token(text: str):
    """Whatever a header holds, reading it as a token ends in a refusal and no other error."""
    with pytest.raises(TokenError):
        read_form(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(["alg", "kid", "typ", "jwk"]), JSON),
    st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf"]), JSON),
)
def test_any_json_is_read_or_refused_as_a_token(head: dict[str, object], named: dict[str, object]):
    """A token whose header and claims hold anything is refused, or read as what it says."""
    try:
        read, found = read_form(f"{encoded(json.dumps(head))}.{encoded(json.dumps(named))}.AAAA")
    except TokenError:
        return
    assert (read.alg, found.iss, found.sub) == (head["alg"], named["iss"], named["sub"])


def published(*keys: object) -> bytes:
    """Return an answer with these keys."""
    return json.dumps({"keys": keys}).encode()


def test_keys_that_must_prove_nothing_are_left_out():
    """Private keys, shared secrets, weak ones, and those for something else are left out, and the others are read."""
    good = key_of("ES256").as_dict(private=False)
    # The first half of a modulus, odd as such numbers are.
    weak = {**key_of("RS256").as_dict(private=False), "kid": "weak"}
    weak["n"] = encoded(urlsafe_b64decode(weak["n"] + "==")[:127] + b"\x01")
    bad = [
        key_of("RS256").as_dict(private=True),
        key_of("ES256", "2").as_dict(private=True),
        key_of("EdDSA").as_dict(private=True),
        {"kty": "oct", "k": encoded("secret"), "kid": "shared", "alg": "HS256"},
        {"kty": "oct", "kid": "empty"},
        weak,
        {**good, "kid": "enc", "use": "enc"},
        {**good, "kid": "sign", "key_ops": ["sign"]},
        {**good, "kid": "384", "alg": "ES384"},
        {**good, "kid": "curve", "crv": "P-384"},
        {**good, "kid": "point", "x": encoded(bytes(32)), "y": encoded(bytes(32))},
        {**good, "kid": 7},
        {"kty": "RSA", "kid": "bare"},
        {"kty": "EC", "crv": ["P-256"], "kid": "list"},
        None,
        "key",
        [],
    ]
    read = read_keys(published(*bad, good))
    assert list(read.by_name) == [("ES256", key_of("ES256").kid)]
    assert len(read.left_out) == len(bad)


def test_keys_of_two_algorithms_may_share_an_id_and_of_two_alike_the_first_counts():
    """The algorithm is a part of the name of a key, so that no token can have one key taken for another kind."""
    shared = [{**key_of(one).as_dict(private=False), "kid": "k"} for one in ("RS256", "ES256", "EdDSA")]
    again = {**key_of("ES256", "2").as_dict(private=False), "kid": "k"}
    read = read_keys(published(*shared, again))
    assert sorted(read.by_name) == [("ES256", "k"), ("EdDSA", "k"), ("RS256", "k")]
    first = read_keys(published(shared[1])).find("ES256", "k")
    found = read.find("ES256", "k")
    assert first is not None
    assert found is not None
    assert found.thumbprint == first.thumbprint
    assert algorithm_of(key_of("EdDSA")) == "EdDSA"


def test_keys_beyond_the_bound_are_left_out():
    """Of more keys than the bound the first are read."""
    one = key_of("ES256").as_dict(private=False)
    read = read_keys(published(*({**one, "kid": str(number)} for number in range(MAX_KEYS + 5))))
    assert len(read.by_name) == MAX_KEYS
    assert read.left_out
