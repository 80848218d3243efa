"""Makes the principal of a request from its credentials, once, before the fast path or the router."""

from collections.abc import Awaitable, Callable, Mapping
from hmac import compare_digest
from time import monotonic
from typing import Any, Protocol

import anyio

from millstream_contracts import KEY_CHARS, Scope, digest_of_key, id_of_key
from millstream_ingest.access.attempts import FailedAttempts
from millstream_ingest.access.client_address import ClientAddresses, may_come_from
from millstream_ingest.access.key_cache import HeldKey, KeyCache
from millstream_ingest.access.principal import ADMINISTRATOR, Principal, bounded
from millstream_ingest.access.tokens.errors import TokenError, UnreadKeysError
from millstream_ingest.access.tokens.token_form import looks_like_token
from millstream_ingest.access.tokens.verifier import TokenVerifier
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.headers import Headers
from millstream_ingest.http.problems import (
    FORBIDDEN,
    ISSUER_UNREACHABLE,
    TENANT_SUSPENDED,
    TOO_MANY_ATTEMPTS,
    UNAUTHENTICATED,
)
from millstream_streams import RedisClock
from millstream_telemetry import IngestMetrics

_LENGTH = len("Bearer ") + KEY_CHARS
_AUTHORIZATION = b"authorization"
_SCHEME = b"Bearer "
_BEFORE_ID = b"Bearer ms_"
_ID = slice(len(_BEFORE_ID), len(_BEFORE_ID) + 8)
_KEY = slice(len(_SCHEME), None)

CHECK_EVERY_S = 1.0
"""How often the key of a request is checked whose answer goes on, such as a stream of events."""

ASK_ISSUER_AGAIN_AFTER_S = 15
"""What `Retry-After` says while the keys of an issuer cannot be read."""

_OF_OWN = (Scope.JOBS_READ, Scope.JOBS_MANAGE)

_NO_CREDENTIAL = 'Bearer realm="millstream"'
_BAD_CREDENTIAL = 'Bearer realm="millstream", error="invalid_token"'


class Gate(Protocol):
    """Tells who makes a request."""

    def known(self, headers: Headers, scope: Mapping[str, Any]) -> Principal | None:
        """Return the principal of a request that can be told without a wait; None for every other request."""
        ...

    async def find(self, headers: Headers, scope: Mapping[str, Any]) -> Principal:
        """Return the principal of a request that is not known. Raises: IngestError (401, 429), StoreError."""
        ...

    def forbidden(self, principal: Principal, needed: Scope | None) -> IngestError:
        """Return the refusal of a principal that lacks a scope."""
        ...

    async def while_valid(self, principal: Principal, work: Callable[[], Awaitable[None]]) -> bool:
        """Do some work for a principal, and stop it when the key is revoked or ends. Returns: whether it was done."""
        ...


class OpenGate:
    """Lets every request do everything: `MILLSTREAM_AUTH=off`."""

    def known(self, headers: Headers, scope: Mapping[str, Any]) -> Principal | None:  # noqa: ARG002 - whatever it says
        """Return the administrator."""
        return ADMINISTRATOR

    async def find(self, headers: Headers, scope: Mapping[str, Any]) -> Principal:  # noqa: ARG002 - as above
        """Return the administrator."""
        return ADMINISTRATOR

    def forbidden(self, principal: Principal, needed: Scope | None) -> IngestError:
        """Return the refusal of a principal that lacks a scope."""
        return _forbidden(principal, needed)

    async def while_valid(self, principal: Principal, work: Callable[[], Awaitable[None]]) -> bool:  # noqa: ARG002
        """Do some work to its end."""
        await work()
        return True


class KeyGate:
    """Asks for a key, or for a token of a trusted issuer: `MILLSTREAM_AUTH=required`."""

    def __init__(
        self,
        keys: KeyCache,
        clock: RedisClock,
        metrics: IngestMetrics,
        tokens: TokenVerifier | None = None,
        addresses: ClientAddresses | None = None,
    ) -> None:
        self._keys = keys
        self._addresses = addresses or ClientAddresses()
        self._tokens = tokens
        self._now_s = clock.now_s
        self._metrics = metrics
        self._attempts = FailedAttempts()

    def known(self, headers: Headers, scope: Mapping[str, Any]) -> Principal | None:
        """Return the principal of a valid key or token that is held in memory, in the usual spelling of the header."""
        credential = headers.get(_AUTHORIZATION)
        # What is longer costs more to hash than a request may.
        if credential is None or len(credential) != _LENGTH or not credential.startswith(_BEFORE_ID):
            return self._known_token(credential) if credential else None
        held = self._keys.held.get(credential[_ID])
        # In constant time: the id is no secret, and the hash of what was sent tells nothing of the secret.
        if held is None or not compare_digest(digest_of_key(credential[_KEY]), held.digest):
            return None
        if monotonic() >= self._keys.good_until or (held.expires_at_s is not None and self._is_over(held)):
            return None
        if held.networks and not may_come_from(self._addresses.of(scope, headers), held.networks):
            return None
        held.is_used = True
        return held.principal

    def _known_token(self, credential: bytes) -> Principal | None:
        """Return the principal of a token that is held in memory, bounded by what is known of its tenant."""
        found = self._tokens.known(credential) if self._tokens is not None else None
        if found is None or monotonic() >= self._keys.good_until:
            return None
        return bounded(found, self._keys.tenants)

    async def find(self, headers: Headers, scope: Mapping[str, Any]) -> Principal:
        """Return the principal of a request that is not known. Raises: IngestError (401, 429), StoreError."""
        address = self._addresses.of(scope, headers)
        credential = headers.get(_AUTHORIZATION)
        if credential is None:
            raise self._refused("missing", "no `Authorization: Bearer` header was sent", _NO_CREDENTIAL)
        scheme, _, sent = credential.partition(b" ")
        text = sent.strip().decode("latin-1")
        is_bearer = scheme.lower() == b"bearer"
        key_id = id_of_key(text) if is_bearer else None
        # Not counted: a key that counted a moment ago guesses at nothing. A console, whose one address all people
        # share, must learn that the session of one has ended, and not that the address has to wait.
        if key_id is not None and self._keys.was_held(key_id, digest_of_key(text.encode())):
            raise self._refused("ended", f"the key or session `{key_id}` has ended", _BAD_CREDENTIAL)
        if self._attempts.are_too_many(address):
            self._metrics.count_auth_refused("limited")
            raise IngestError(TOO_MANY_ATTEMPTS, retry_after_s=1)
        if is_bearer and self._tokens is not None and looks_like_token(text):
            return await self._of_token(self._tokens, text, address)
        if key_id is None:
            detail = "the credential is no key of Millstream: `Authorization: Bearer ms_…`, whole and as it was given"
            raise self._failed(address, "malformed", detail)
        if (held := await self._held(address, key_id)) is None or not _fits(text, held):
            raise self._failed(address, "unknown", "there is no such key; it may have been revoked")
        if self._is_over(held):
            raise self._refused("expired", f"the key `{key_id}` has expired", _BAD_CREDENTIAL)
        if not may_come_from(address, held.networks):
            self._metrics.count_auth_refused("network")
            raise IngestError(
                FORBIDDEN, f"the key `{key_id}` does not work from the address {address or 'of the client'}"
            )
        held.is_used = True
        return held.principal

    async def _of_token(self, tokens: TokenVerifier, text: str, address: str) -> Principal:
        try:
            found = await tokens.find(text)
        except TokenError as error:
            raise self._failed(address, error.reason, str(error)) from None
        except UnreadKeysError as error:
            self._metrics.count_auth_refused("issuer")
            raise IngestError(ISSUER_UNREACHABLE, str(error), retry_after_s=ASK_ISSUER_AGAIN_AFTER_S) from None
        except IngestError:
            self._metrics.count_auth_refused("role")
            raise
        # Beside the token its tenant has to be known.
        if monotonic() >= self._keys.good_until:
            await self._keys.refresh()
        return bounded(found, self._keys.tenants)

    def forbidden(self, principal: Principal, needed: Scope | None) -> IngestError:
        """Return the refusal of a principal that lacks a scope, and count it."""
        self._metrics.count_auth_refused("scope")
        return _forbidden(principal, needed)

    async def while_valid(self, principal: Principal, work: Callable[[], Awaitable[None]]) -> bool:
        """Do some work for a principal, and stop it when the key is revoked or ends. Returns: whether it was done."""
        is_done = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_when_invalid, principal, tasks.cancel_scope)
            await work()
            is_done = True
            tasks.cancel_scope.cancel()
        return is_done

    async def _cancel_when_invalid(self, principal: Principal, scope: anyio.CancelScope) -> None:
        while True:
            if not self._is_valid(principal):
                scope.cancel()
                return
            await anyio.sleep(CHECK_EVERY_S)

    def _is_valid(self, principal: Principal) -> bool:
        if principal.issuer and not principal.session_of:
            return self._tokens is not None and self._tokens.is_valid(principal)
        held = self._keys.held.get(principal.key_id.encode())
        return held is not None and not self._is_over(held)

    def _is_over(self, held: HeldKey) -> bool:
        return held.expires_at_s is not None and self._now_s() >= held.expires_at_s

    async def _held(self, address: str, key_id: str) -> HeldKey | None:
        if monotonic() >= self._keys.good_until:
            await self._keys.refresh()
        held = self._keys.held.get(key_id.encode())
        if held is not None:
            return held
        if self._keys.is_looked_for(key_id):
            return await self._keys.find(key_id)
        if not self._attempts.may_look_up(address, key_id):
            return None
        try:
            return await self._keys.find(key_id)
        except BaseException:
            # It was not told that there is no such key.
            self._attempts.forget_look_up(address, key_id)
            raise

    def _failed(self, address: str, reason: str, detail: str) -> IngestError:
        self._attempts.note(address)
        return self._refused(reason, detail, _BAD_CREDENTIAL)

    def _refused(self, reason: str, detail: str, challenge: str) -> IngestError:
        self._metrics.count_auth_refused(reason)
        return IngestError(UNAUTHENTICATED, detail, headers={"WWW-Authenticate": challenge})


def _fits(text: str, held: HeldKey) -> bool:
    return compare_digest(digest_of_key(text.encode()), held.digest)


def _forbidden(principal: Principal, needed: Scope | None) -> IngestError:
    if principal.is_suspended and needed is Scope.JOBS_SUBMIT:
        return IngestError(TENANT_SUSPENDED, f"the tenant `{principal.tenant}` is suspended")
    challenge = f'{_NO_CREDENTIAL}, error="insufficient_scope", scope="{needed}"'
    detail = f"{principal.spoken} lacks the scope `{needed}`"
    if needed in _OF_OWN and principal.may_own:
        detail += ": of jobs it may read and cancel, by their ids, those that it has submitted itself"
    return IngestError(FORBIDDEN, detail, headers={"WWW-Authenticate": challenge})
