"""Reads the keys that an issuer publishes (JWKS), and leaves out those that must prove nothing.

Source: RFC 7517 (JWK), RFC 7518 section 6, RFC 8037 (Ed25519).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import jwt
from msgspec import Struct

MAX_KEYS = 100
"""How many keys of an issuer are read."""

MIN_RSA_BITS = 2048

_ALGORITHM_OF = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
# Ed25519 has two names: the newer one of RFC 9864 is that of the curve.
_NAMES_OF = {"RS256": {"RS256"}, "ES256": {"ES256"}, "EdDSA": {"EdDSA", "Ed25519"}}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_PUBLIC = ("kty", "crv", "n", "e", "x", "y")


class SigningKey(Struct, frozen=True, eq=False):
    """A key that an issuer signs with: its public part."""

    algorithm: str
    key_id: str | None
    thumbprint: str
    """Of what the key is, and not of what it is called."""
    jwk: jwt.PyJWK


class SigningKeys(Struct, frozen=True, eq=False):
    """The keys of one issuer."""

    by_name: Mapping[tuple[str, str | None], SigningKey]
    """By algorithm and key id."""
    left_out: tuple[str, ...] = ()
    """Why keys were left out."""

    @property
    def thumbprints(self) -> frozenset[str]:
        """Return what all the keys are."""
        return frozenset(one.thumbprint for one in self.by_name.values())

    def find(self, algorithm: str, key_id: str | None) -> SigningKey | None:
        """Return the key of a token; of one that names none, the only key of its algorithm, where there is one."""
        if key_id is not None:
            return self.by_name.get((algorithm, key_id))
        fitting = [one for one in self.by_name.values() if one.algorithm == algorithm]
        return fitting[0] if len(fitting) == 1 else None


NO_KEYS = SigningKeys({})


def read_keys(body: bytes) -> SigningKeys:
    """Return the keys that an issuer publishes. Raises: ValueError, where the answer is no JWKS."""
    try:
        published = json.loads(body)
    except RecursionError:
        raise ValueError("the answer is no JWKS") from None
    keys = published.get("keys") if isinstance(published, dict) else None
    if not isinstance(keys, list):
        raise ValueError("the answer is no JWKS: it has no list `keys`")  # noqa: TRY004 - as of what is no JSON
    read: dict[tuple[str, str | None], SigningKey] = {}
    left_out = [] if len(keys) <= MAX_KEYS else [f"{len(keys) - MAX_KEYS} beyond the first {MAX_KEYS}"]
    for one in keys[:MAX_KEYS]:
        try:
            key = _read_key(one)
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            left_out.append(str(error) if type(error) is ValueError else "a key that cannot be read")
        else:
            # Of two of one name the first: which one a token means could not be told.
            read.setdefault((key.algorithm, key.key_id), key)
    return SigningKeys(read, tuple(left_out))


def _read_key(one: Any) -> SigningKey:
    """Return a key. Raises: ValueError, which says why it is left out."""
    if not isinstance(one, dict):
        raise ValueError("a key that is no object")  # noqa: TRY004 - as below
    kind, curve = one.get("kty"), one.get("crv")
    if private := sorted(_PRIVATE & one.keys()):
        # What is signed with a key that is published proves nothing.
        raise ValueError(f"a key of the type {str(kind)[:8]} with its secret part `{private[0]}`")
    algorithm = _ALGORITHM_OF.get((str(kind), None if curve is None else str(curve)))
    if algorithm is None:
        raise ValueError(f"a key of the type {str(kind)[:8]} {str(curve or '')[:16]}".rstrip())
    uses = one.get("key_ops", ["verify"])
    if one.get("use", "sig") != "sig" or not isinstance(uses, list) or "verify" not in uses:
        raise ValueError("a key that is not for signatures")
    if one.get("alg", algorithm) not in _NAMES_OF[algorithm]:
        raise ValueError(f"a key for {str(one.get('alg'))[:16]}")
    key_id = one.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        raise ValueError("a key whose `kid` is no text")
    public = {name: one[name] for name in _PUBLIC if name in one}
    jwk = jwt.PyJWK(public, algorithm)
    if algorithm == "RS256" and jwk.key.key_size < MIN_RSA_BITS:
        raise ValueError(f"a key of fewer than {MIN_RSA_BITS} bits")
    text = json.dumps(public, sort_keys=True, separators=(",", ":"))
    return SigningKey(algorithm, key_id, hashlib.sha256(text.encode()).hexdigest(), jwk)
