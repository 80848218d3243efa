"""Holds the keys of one issuer: read anew before they are old, and once a minute at most for a key that is unknown."""

import asyncio
import time
from collections.abc import Callable

import anyio
import structlog

from millstream.outgoing.guarded_client import GuardedClient, NoAnswerError
from millstream_contracts import ForeseenError, one_line
from millstream_ingest.access.tokens.errors import TokenError, UnreadKeysError
from millstream_ingest.access.tokens.signing_keys import NO_KEYS, SigningKey, SigningKeys, read_keys
from millstream_ingest.jwt_issuers import JwtIssuer
from millstream_runtime import FailureLog
from millstream_telemetry import IngestMetrics
from millstream_webhooks import AddressError

READ_EVERY_S = 300.0
READ_AGAIN_EVERY_S = 15.0
"""After a failure."""
LOOK_FOR_UNKNOWN_EVERY_S = 60.0
"""How long after a look at the issuer a token with an unknown key causes none."""
GOOD_FOR_S = 24 * 3_600.0
"""How long keys count that could not be read again: that of an issuer which cannot be asked may have been withdrawn."""
READ_WITHIN_S = 5.0

_NETWORKS_SETTING = "`networks` of the issuer in MILLSTREAM_JWT_ISSUERS"
_HEADERS = {"Accept": "application/jwk-set+json, application/json"}


class UnreadableKeysError(ForeseenError):
    """The keys of an issuer could not be read."""


class PublishedKeys:
    """The keys of one issuer. It belongs to one event loop."""

    def __init__(self, issuer: JwtIssuer, metrics: IngestMetrics, on_change: Callable[[], None]) -> None:
        self._issuer = issuer
        self._metrics = metrics
        self._on_change = on_change
        self._client = GuardedClient(issuer.allowed_networks, within_s=READ_WITHIN_S, setting=_NETWORKS_SETTING)
        self._failures = FailureLog(f"keys of the issuer {issuer.issuer}")
        self._looking = asyncio.Lock()
        self._looked_at = -LOOK_FOR_UNKNOWN_EVERY_S
        self._good_until = 0.0
        self._has_failed = True
        self._keys = NO_KEYS

    async def run(self) -> None:
        """Keep the keys fresh until cancelled."""
        try:
            while True:
                async with self._looking:
                    await self._look()
                await anyio.sleep(READ_AGAIN_EVERY_S if self._has_failed else READ_EVERY_S)
        finally:
            with anyio.CancelScope(shield=True):
                await self._client.aclose()

    async def find(self, algorithm: str, key_id: str | None) -> SigningKey:
        """Return the key that a token names. Raises: TokenError, where the issuer has none; UnreadKeysError."""
        if (key := self._found(algorithm, key_id)) is not None:
            return key
        async with self._looking:
            if time.monotonic() - self._looked_at >= LOOK_FOR_UNKNOWN_EVERY_S:
                await self._look()
        if (key := self._found(algorithm, key_id)) is not None:
            return key
        if self._has_failed:
            raise UnreadKeysError(self._issuer.issuer)
        named = "names no key" if key_id is None else "names a key"
        raise TokenError("untrusted", f"the token {named} that its issuer does not publish for `{algorithm}`")

    def has(self, thumbprint: str) -> bool:
        """Return whether a key that has signed a token is still one of the issuer."""
        return time.monotonic() < self._good_until and thumbprint in self._keys.thumbprints

    def _found(self, algorithm: str, key_id: str | None) -> SigningKey | None:
        return self._keys.find(algorithm, key_id) if time.monotonic() < self._good_until else None

    async def _look(self) -> None:
        begun = self._looked_at = time.monotonic()
        try:
            read = await self._read()
        except UnreadableKeysError as error:
            self._failures.failed(error)
            self._has_failed = True
            if begun >= self._good_until:
                self._on_change()
        else:
            self._failures.succeeded()
            self._has_failed = False
            self._good_until = begun + GOOD_FOR_S
            self._take(read)
        self._metrics.note_issuer_keys(self._issuer.issuer, ok=not self._has_failed)

    def _take(self, read: SigningKeys) -> None:
        before, self._keys = self._keys, read
        if read.left_out != before.left_out or not read.by_name:
            structlog.get_logger().warning(
                "keys of an issuer left out", issuer=self._issuer.issuer, left_out=read.left_out, kept=len(read.by_name)
            )
        if before.thumbprints - read.thumbprints:
            # What a withdrawn key has signed counts no longer.
            self._on_change()

    async def _read(self) -> SigningKeys:
        """Return what the issuer publishes now. Raises: UnreadableKeysError."""
        try:
            answer = await self._client.get(self._issuer.jwks_url, _HEADERS)
            if answer.status != 200:
                raise UnreadableKeysError(f"it answers with {answer.status}")
            if answer.is_cut:
                raise UnreadableKeysError(f"its answer has more than {len(answer.body):,} bytes")
            return read_keys(answer.body)
        except (AddressError, NoAnswerError, ValueError) as error:
            raise UnreadableKeysError(one_line(error)) from None
