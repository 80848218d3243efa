"""Sessions: opened with a key, listed and ended by those who may."""

from hmac import compare_digest

from msgspec.structs import asdict, replace

from millstream_contracts import (
    GRANTABLE,
    FieldError,
    NewSession,
    SecretSession,
    Session,
    SessionPage,
    Tenant,
    limits,
    mint_key,
    moment,
    nonce_of,
)
from millstream_ingest.access.key_cache import KeyCache, principal_of
from millstream_ingest.access.principal import Principal, SignIn
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import FORBIDDEN, INVALID_REQUEST, SESSION_NOT_FOUND, UNAUTHENTICATED, WRONG_STATE
from millstream_ingest.inspection.name_pages import page_of
from millstream_streams import ApiKeys, KeyChange, RedisClock, StoredApiKey, TooManyKeysError


class SessionDesk:
    """The sessions of all tenants. Every method may raise StoreError."""

    def __init__(self, sessions: ApiKeys, cache: KeyCache, clock: RedisClock) -> None:
        self._sessions = sessions
        self._cache = cache
        self._clock = clock

    async def open(self, principal: Principal, asked: NewSession) -> SecretSession:
        """Open a session with the rights of a principal, at most until its key or token ends.

        The oldest session of a key ends where there are MAX_SESSIONS_OF_KEY. Raises: IngestError (401, 403, 409, 422).
        """
        if not principal.credential:
            raise IngestError(WRONG_STATE, "ingest asks for no credentials, so there is nothing to sign in with")
        if principal.session_of:
            raise IngestError(FORBIDDEN, "a session opens no other one: sign in with a key or a token")
        _check_nonce(principal.sign_in, asked.nonce_secret)
        now_ms, minted = self._clock.now_ms(), mint_key()
        ends_at_ms = now_ms + int(asked.expires_in_s * 1000)
        # The time of an ID token is that in which it has to be used, and says nothing of the session.
        if principal.expires_at_ms is not None and principal.sign_in is None:
            ends_at_ms = min(ends_at_ms, principal.expires_at_ms)
        stored = replace(
            self._rights_of(principal),
            digest=minted.digest,
            created_at_ms=now_ms,
            created_by=principal.credential,
            expires_at_ms=ends_at_ms,
            owner=principal.owner,
            session_of=principal.credential,
            email=principal.email,
        )
        oldest = self._in_the_way(principal.credential)
        await self._put([*(KeyChange(one, None, None) for one in oldest), KeyChange(minted.id, None, stored)])
        return SecretSession(**asdict(shown_session(minted.id, stored)), token=minted.text)

    async def page(self, tenant: Tenant, *, cursor: str | None, limit: int) -> SessionPage:
        """Return a page of the sessions that count, by id. Raises: CursorError."""
        await self._cache.refresh()
        stored = self._cache.sessions()
        page, next_cursor = page_of(sorted(one for one in stored if stored[one].tenant == tenant), str, cursor, limit)
        uses = await self._sessions.uses(page)
        items = [shown_session(one, stored[one], uses.get(one)) for one in page]
        return SessionPage(items=items, next_cursor=next_cursor)

    async def find(self, tenant: Tenant, session_id: str) -> Session:
        """Return a session. Raises: IngestError (404)."""
        await self._cache.refresh()
        stored = self._cache.sessions().get(session_id)
        # The session of another tenant is as unknown as one that never was.
        if stored is None or stored.tenant != tenant:
            raise IngestError(SESSION_NOT_FOUND, f"there is no session `{session_id}`")
        uses = await self._sessions.uses([session_id])
        return shown_session(session_id, stored, uses.get(session_id))

    async def end(self, tenant: Tenant, session_id: str) -> Session:
        """End a session, and return it as it was. Raises: IngestError (404)."""
        found = await self.find(tenant, session_id)
        await self._put([KeyChange(session_id, None, None)])
        return replace(found, ended_at=moment(self._clock.now_ms()))

    async def end_current(self, principal: Principal) -> Session:
        """End the session that a request is made with. Raises: IngestError (404)."""
        if not principal.session_of:
            raise IngestError(SESSION_NOT_FOUND, "the request was made without a session")
        return await self.end(principal.tenant, principal.key_id)

    def _rights_of(self, principal: Principal) -> StoredApiKey:
        """Return what is stored of a key, with all that narrows it."""
        key = self._cache.stored().get(principal.key_id)
        if key is not None:
            return replace(key, successor="")
        granted = principal.sign_in or principal
        return StoredApiKey(
            digest=b"",
            tenant=principal.tenant,
            name=principal.name,
            role=granted.role or "",
            scopes=[] if granted.role else [scope.value for scope in GRANTABLE if scope in granted.scopes],
            created_at_ms=0,
        )

    def _in_the_way(self, credential: str) -> list[str]:
        """Return the oldest sessions of a credential, which have to end before there is room for another."""
        begun = sorted(
            (session.created_at_ms, one)
            for one, session in self._cache.sessions().items()
            if session.session_of == credential
        )
        return [one for _, one in begun[: max(0, len(begun) + 1 - limits.MAX_SESSIONS_OF_KEY)]]

    async def _put(self, changes: list[KeyChange]) -> None:
        try:
            await self._sessions.put_keys(changes)
        except TooManyKeysError as error:
            raise IngestError(INVALID_REQUEST, str(error)) from None


def shown_session(session_id: str, stored: StoredApiKey, used_at_ms: int | None = None) -> Session:
    """Return a session as it is shown."""
    principal = principal_of(session_id, stored)
    return Session(
        id=session_id,
        key_id=stored.session_of,
        name=stored.name,
        role=principal.role,
        scopes=[scope for scope in GRANTABLE if scope in principal.scopes],
        created_at=moment(stored.created_at_ms),
        expires_at=moment(stored.expires_at_ms or 0),
        last_used_at=None if used_at_ms is None else moment(used_at_ms),
        subject=principal.subject or None,
        issuer=principal.issuer or None,
        email=stored.email or None,
    )


def _check_nonce(sign_in: SignIn | None, secret: str | None) -> None:
    """Refuse an ID token that was given for another sign-in. Raises: IngestError (401, 422)."""
    if sign_in is None:
        if secret is None:
            return
        fault = FieldError("/nonce_secret", "it belongs to an ID token, and the request has another credential")
        raise IngestError(INVALID_REQUEST, errors=[fault])
    if secret is None:
        raise IngestError(INVALID_REQUEST, errors=[FieldError("/nonce_secret", "an ID token opens no session without")])
    if not compare_digest(nonce_of(secret).encode(), sign_in.nonce.encode()):
        raise IngestError(UNAUTHENTICATED, "the ID token was given for another sign-in: its `nonce` is not ours")
