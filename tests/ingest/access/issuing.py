"""An issuer of tokens on loopback, which signs with another library than ingest verifies with."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from joserfc import jwk, jws
from sdk.handlers.receivers import LOOPBACK, Receiver, answering, receiving

AUDIENCE = "millstream"
ISSUER = "https://login.example.com/"

Key = jwk.RSAKey | jwk.ECKey | jwk.OKPKey


@cache
def key_of(algorithm: str, name: str = "1") -> Key:
    """Return a key of an algorithm, whose id is its name with the algorithm before it."""
    named = {"kid": f"{algorithm}-{name}"}
    match algorithm:
        case "RS256":
            return jwk.RSAKey.generate_key(2048, named)
        case "ES256":
            return jwk.ECKey.generate_key("P-256", named)
        case _:
            return jwk.OKPKey.generate_key("Ed25519", named)


def algorithm_of(key: Key) -> str:
    """Return the algorithm of a key that `key_of` has made."""
    return str(key.kid).partition("-")[0]


class Issuer:
    """Publishes keys and signs tokens."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.publish(*(key_of(algorithm) for algorithm in ("RS256", "ES256", "EdDSA")))

    @property
    def asked(self) -> int:
        """How often the keys were read."""
        return len(self._receiver.received)

    def setting(self, **fields: Any) -> dict[str, Any]:
        """Return what an operator sets to trust this issuer."""
        return {
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "jwks_url": self._receiver.url,
            "networks": [LOOPBACK],
            "roles": {"ops": "operator", "ci": ["jobs:submit"], "root": "admin"},
            **fields,
        }

    def publish(self, *keys: Key | dict[str, Any]) -> None:
        """Publish these keys alone."""
        texts = [one if isinstance(one, dict) else one.as_dict(private=False) for one in keys]
        self.answer(200, json.dumps({"keys": texts}))

    def answer(self, status: int, body: str = "", *headers: str) -> None:
        """Answer with this in place of keys."""
        self._receiver.answer = answering(status, *headers, body=body)


def claims(**others: Any) -> dict[str, Any]:
    """Return claims of a valid token, with others in their place; None leaves one out."""
    now = int(time.time())
    every = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300, "roles": ["ops"], **others}
    return {name: value for name, value in every.items() if value is not None}


def token(key: Key | None = None, *, header: dict[str, Any] | None = None, **others: Any) -> str:
    """Return a token with these claims."""
    return signed(json.dumps(claims(**others)), key, header=header)


def signed(payload: str | bytes, key: Key | None = None, *, header: dict[str, Any] | None = None) -> str:
    """Return a token with this text as its claims, whatever that is; None leaves a name out of its header."""
    key = key or key_of("ES256")
    algorithm = algorithm_of(key)
    named = {"alg": algorithm, "kid": key.kid, "typ": "JWT", **(header or {})}
    return signed_parts(json.dumps({name: value for name, value in named.items() if value is not None}), payload, key)


def signed_parts(head: str | bytes, payload: str | bytes, key: Key) -> str:
    """Return a token with these texts, whatever they are."""
    content = f"{encoded(head)}.{encoded(payload)}"
    return f"{content}.{encoded(jws.JWSRegistry.algorithms[algorithm_of(key)].sign(content.encode(), key))}"


def encoded(part: str | bytes) -> str:
    """Return a part of a token in base64url."""
    return urlsafe_b64encode(part.encode() if isinstance(part, str) else part).rstrip(b"=").decode()


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    """Run an issuer."""
    async with receiving() as receiver:
        yield Issuer(receiver)
