"""Verifies tokens, and holds those that were verified, so that a signature is checked once and not with each request.

Each refusal says why, and quotes nothing of the token. Times are compared with the clock of Redis, as those of keys.
"""

import hashlib
from collections.abc import Sequence
from functools import partial

import anyio
import jwt
from msgspec import Struct

from millstream_ingest.access.principal import Principal
from millstream_ingest.access.tokens.errors import TokenError
from millstream_ingest.access.tokens.id_token import audiences_of, is_for_console, nonce_in
from millstream_ingest.access.tokens.meaning import person_of, principal_of
from millstream_ingest.access.tokens.published_keys import PublishedKeys
from millstream_ingest.access.tokens.signing_keys import SigningKey
from millstream_ingest.access.tokens.token_form import ALGORITHMS, MAX_TOKEN_BYTES, Claims, read_form
from millstream_ingest.jwt_issuers import JwtIssuer
from millstream_streams import RedisClock
from millstream_telemetry import IngestMetrics

LEEWAY_S = 30.0
"""By how much the clock of an issuer may be off."""

MAX_HELD = 10_000
"""How many verified tokens are held. What is beyond that is verified with each request."""

_SWEEP_EVERY_S = 10.0
_LONGEST = len("Bearer ") + MAX_TOKEN_BYTES
_SIGNATURES = jwt.PyJWS(ALGORITHMS)


class HeldToken(Struct, frozen=True, eq=False):
    """A token that was verified."""

    principal: Principal
    until_s: float
    """Until when it counts, Unix seconds by the clock of Redis."""


class TokenVerifier:
    """Makes principals of tokens of trusted issuers. It belongs to one event loop."""

    def __init__(self, issuers: Sequence[JwtIssuer], clock: RedisClock, metrics: IngestMetrics) -> None:
        self._now_s = clock.now_s
        self._issuers = {one.issuer: one for one in issuers}
        self._keys = {
            name: PublishedKeys(one, metrics, partial(self._forget, name)) for name, one in self._issuers.items()
        }
        self._held: dict[bytes, HeldToken] = {}
        self._sweep_at_s = 0.0

    async def run(self) -> None:
        """Keep the keys of all issuers fresh until cancelled."""
        async with anyio.create_task_group() as tasks:
            for keys in self._keys.values():
                tasks.start_soon(keys.run)

    def known(self, credential: bytes) -> Principal | None:
        """Return the principal of a token that was verified before, by the whole header; None for any other."""
        if len(credential) > _LONGEST:
            return None
        held = self._held.get(hashlib.sha256(credential).digest())
        return held.principal if held is not None and self._now_s() < held.until_s else None

    async def find(self, text: str) -> Principal:
        """Return the principal of a token. Raises: TokenError, UnreadKeysError; IngestError (403)."""
        head, claims = read_form(text)
        issuer = self._issuers.get(claims.iss)
        if issuer is None:
            raise TokenError("untrusted", "the token is of an issuer that is not trusted")
        key = await self._keys[issuer.issuer].find(head.alg, head.kid)
        _check_signature(text, key)
        is_for_programs = not set(issuer.audiences).isdisjoint(audiences_of(claims))
        if not is_for_programs and not is_for_console(issuer, claims):
            raise TokenError("untrusted", "the token is for another audience")
        self._check_times(claims)
        if not is_for_programs:
            # It is used once, so it is not held.
            return person_of(issuer, claims, nonce_in(head, claims, self._now_s() - LEEWAY_S - claims.iat))
        principal = principal_of(issuer, claims, key.thumbprint)
        self._hold(text, HeldToken(principal, claims.exp + LEEWAY_S))
        return principal

    def is_valid(self, principal: Principal) -> bool:
        """Return whether the token of a principal still counts: it has not ended, and its key was not withdrawn."""
        keys = self._keys.get(principal.issuer)
        ends_at_s = (principal.expires_at_ms or 0) / 1000 + LEEWAY_S
        return keys is not None and self._now_s() < ends_at_s and keys.has(principal.signed_by)

    def _check_times(self, claims: Claims) -> None:
        now_s = self._now_s()
        if claims.exp + LEEWAY_S <= now_s:
            raise TokenError("expired", "the token has expired")
        if max(claims.nbf, claims.iat) - LEEWAY_S > now_s:
            raise TokenError("untrusted", "the token is not valid yet: by the clock of Redis its time has not begun")

    def _hold(self, text: str, token: HeldToken) -> None:
        if len(self._held) >= MAX_HELD and (now_s := self._now_s()) >= self._sweep_at_s:
            self._sweep_at_s = now_s + _SWEEP_EVERY_S
            self._held = {digest: one for digest, one in self._held.items() if now_s < one.until_s}
        if len(self._held) < MAX_HELD:
            self._held[hashlib.sha256(b"Bearer " + text.encode()).digest()] = token

    def _forget(self, issuer: str) -> None:
        """Have the tokens of an issuer verified again: one of its keys was withdrawn."""
        self._held = {digest: one for digest, one in self._held.items() if one.principal.issuer != issuer}


def _check_signature(text: str, key: SigningKey) -> None:
    """Refuse a token that the key has not signed. Raises: TokenError."""
    try:
        _SIGNATURES.decode(text, key.jwk, [key.algorithm])
    except jwt.PyJWTError:
        raise TokenError("untrusted", "the signature of the token is not that of its issuer") from None
