"""Holds all keys of the API in memory, so that a request with a known one waits for nothing.

A hint tells of each change; without one the keys are compared every `LOOK_EVERY_S`. Keys that could not be compared for
`STALE_AFTER_S` count for nothing until they can be: a key that was revoked meanwhile must not work.

Sessions are held beside the keys, so that a request with one costs the same look-up. A session counts while the key
does that it was opened with.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from hmac import compare_digest

import anyio
import structlog
from msgspec import Struct, field
from msgspec.structs import replace

from millstream_contracts import ROLE_SCOPES, Role, Scope, Tenant, is_key_id, limits
from millstream_ingest.access.principal import Principal, bounded, within_tenant
from millstream_streams import Broker, StoredApiKey, StoredTenant, StoreError, StoreUnavailableError
from millstream_webhooks import Network, parse_networks

LOOK_EVERY_S = 1.5
STALE_AFTER_S = 5.0
"""The longest time for which a revoked key may work. A request waits less than that for Redis."""
NOTE_USES_EVERY_S = 60.0
MOST_GONE = 1_000
"""Keys and sessions that are remembered when they have ended."""

_NOWHERE = parse_networks(["255.255.255.255/32"])
_ALWAYS = frozenset({Scope.PUBLIC, Scope.AUTHENTICATED})
_KNOWN_SCOPES = {scope.value: scope for scope in Scope}
_KNOWN_ROLES = {role.value: role for role in Role}


class HeldKey(Struct, eq=False):
    """A key as it is held in memory."""

    digest: bytes
    principal: Principal
    expires_at_s: float | None
    """Unix seconds by the clock of Redis; None for a key that does not expire."""
    networks: tuple[Network, ...] = ()
    """From where it works; empty for everywhere."""
    is_used: bool = False
    """Whether it was used since the last note of that."""


class _Look(Struct, eq=False):
    """A look for a key that is not held, by which several requests may wait."""

    is_done: asyncio.Event
    failure: StoreError | None = field(
        default_factory=lambda: StoreUnavailableError("the look for the key was given up")
    )
    """Why it told nothing; None once it has told whether there is such a key."""


class KeyCache:
    """The keys of one ingest process."""

    def __init__(self, broker: Broker) -> None:
        self._api_keys, self._sessions = broker.api_keys, broker.sessions
        self._tenants = broker.tenants
        self._listen = broker.listen_keys
        self._clock = broker.clock
        self._version: bytes | None = None
        self._sessions_version: bytes | None = None
        self._stored: dict[str, StoredApiKey] = {}
        self._stored_sessions: dict[str, StoredApiKey] = {}
        self._looking = asyncio.Lock()
        self._looks: dict[str, _Look] = {}
        self._changed = asyncio.Event()
        self.held: dict[bytes, HeldKey] = {}
        """The keys and sessions by their ids, in bytes as requests have them."""
        self.tenants: dict[Tenant, StoredTenant] = {}
        """What is stored of the tenants, which one version covers with the keys."""
        self.good_until = 0.0
        """Until when the keys count, by the monotonic clock."""
        self._gone: dict[str, bytes] = {}  # digests by id; what ended the longest ago stands first

    async def run(self) -> None:
        """Keep the keys fresh until cancelled, and note which are used."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, self._changed.set)
            tasks.start_soon(self._note_uses)
            while True:
                await self._try_look()
                with anyio.move_on_after(LOOK_EVERY_S):
                    await self._changed.wait()
                self._changed.clear()

    async def refresh(self) -> None:
        """Compare the keys with Redis, unless they are fresh by the time it is one's turn. Raises: StoreError."""
        asked_at = time.monotonic()
        async with self._looking:
            if self.good_until - STALE_AFTER_S < asked_at:
                await self._look()

    async def find(self, key_id: str) -> HeldKey | None:
        """Return a key or session that is not held yet, asking Redis: it may have been made a moment ago.

        Requests for one that is looked for already wait for what is found. Raises: StoreError.
        """
        look = self._looks.get(key_id)
        if look is None:
            look = self._looks[key_id] = _Look(asyncio.Event())
            try:
                if await self._api_keys.get(key_id) is not None or await self._sessions.get(key_id) is not None:
                    await self.refresh()
                look.failure = None
            except StoreError as error:
                look.failure = error
            finally:
                del self._looks[key_id]
                look.is_done.set()
        else:
            await look.is_done.wait()
        if look.failure is not None:
            raise look.failure
        return self.held.get(key_id.encode())

    def is_looked_for(self, key_id: str) -> bool:
        """Return whether a look for a key is under way."""
        return key_id in self._looks

    def was_held(self, key_id: str, digest: bytes) -> bool:
        """Return whether a key or session counted not long ago, which has ended since."""
        return compare_digest(self._gone.get(key_id, b""), digest)

    def stored(self) -> dict[str, StoredApiKey]:
        """Return what is stored of the keys, by id."""
        return self._stored

    def sessions(self) -> dict[str, StoredApiKey]:
        """Return what is stored of the sessions that count, by id. None ends after the key that it was opened with."""
        now_ms = self._clock.now_s() * 1000
        counting = {one: self._under_its_key(session) for one, session in self._stored_sessions.items()}
        return {one: session for one, session in counting.items() if session and not _is_over(session, now_ms)}

    async def _try_look(self) -> None:
        try:
            async with self._looking:
                await self._look()
        except StoreError:
            # The check of readiness tells why. Requests are refused once the keys are stale.
            return
        await self._remove_expired()

    async def _look(self) -> None:
        # What is true at the end of a call was true at its begin at the latest.
        begun = time.monotonic()
        read = (self._sessions_version, self._version)
        # Before the keys: a session whose key is not among those that are read after it has lost its key.
        if await self._sessions.version() != self._sessions_version:
            self._sessions_version, self._stored_sessions = await self._sessions.all()
        if await self._api_keys.version() != self._version:
            version, self._stored = await self._api_keys.all()
            # Behind the keys: a tenant that changes meanwhile changes the version, and is read again.
            self.tenants = await self._tenants.all()
            self._version = version
        if read != (self._sessions_version, self._version):
            sessions = {one: self._under_its_key(session) for one, session in self._stored_sessions.items()}
            counting = {one: session for one, session in sessions.items() if session}
            held = {one.encode(): self._hold(one, key) for one, key in {**counting, **self._stored}.items()}
            self._remember_gone(held)
            self.held = held
        self.good_until = begun + STALE_AFTER_S

    def _remember_gone(self, held: Mapping[bytes, HeldKey]) -> None:
        gone = {**self._gone, **{one.decode(): key.digest for one, key in self.held.items()}}
        self._gone = {one: digest for one, digest in gone.items() if one.encode() not in held}
        while len(self._gone) > MOST_GONE:
            del self._gone[next(iter(self._gone))]

    def _under_its_key(self, session: StoredApiKey) -> StoredApiKey | None:
        """Return a session, which ends with its key at the latest; None for one whose key is gone."""
        if not is_key_id(session.session_of):
            return session  # of a token that another issuer has signed
        key = self._stored.get(session.session_of)
        if key is None:
            return None
        ends = [one.expires_at_ms for one in (session, key) if one.expires_at_ms is not None]
        # What narrows and limits the key now holds for its sessions, whatever was stored with them.
        narrowed = {"types": key.types, "networks": key.networks, "limits": key.limits}
        return replace(session, expires_at_ms=min(ends, default=None), **narrowed)

    def _hold(self, key_id: str, stored: StoredApiKey) -> HeldKey:
        earlier = self.held.get(key_id.encode())
        expires_at_s = None if stored.expires_at_ms is None else stored.expires_at_ms / 1000
        is_used = earlier is not None and earlier.is_used
        principal = bounded(principal_of(key_id, stored), self.tenants)
        return HeldKey(stored.digest, principal, expires_at_s, _networks(stored), is_used)

    async def _remove_expired(self) -> None:
        """Remove keys that expired long ago, and sessions at once that have expired or have lost their key."""
        now_ms, counting = self._clock.now_s() * 1000, self.sessions()
        try:
            await self._api_keys.remove([one for one, key in self._stored.items() if _is_over(key, now_ms)])
            await self._sessions.remove([one for one in self._stored_sessions if one not in counting])
        except StoreError as error:
            structlog.get_logger().warning("expired keys not removed", error=str(error))

    async def _note_uses(self) -> None:
        while True:
            await anyio.sleep(NOTE_USES_EVERY_S)
            await self.note_uses()

    async def note_uses(self) -> None:
        """Note which keys were used since the last note."""
        now_ms = int(self._clock.now_s() * 1000)
        used = {key_id: held for key_id, held in self.held.items() if held.is_used}
        try:
            await self._api_keys.note_uses({key_id.decode(): now_ms for key_id in used})
        except StoreError:
            return  # they are noted with the next ones
        for held in used.values():
            held.is_used = False


def principal_of(key_id: str, stored: StoredApiKey) -> Principal:
    """Return who a key stands for. A role or a scope that this release does not know grants nothing."""
    role = _KNOWN_ROLES.get(stored.role)
    granted = within_tenant(ROLE_SCOPES[role] if role else _scopes(stored.scopes), stored.tenant)
    issuer, subject = issuer_and_subject(stored.session_of)
    return Principal(
        tenant=Tenant(stored.tenant),
        scopes=granted | _ALWAYS,
        role=role,
        key_id=key_id,
        owner=stored.owner or key_id,
        name=stored.name,
        expires_at_ms=stored.expires_at_ms,
        types=tuple(stored.types),
        networks=tuple(stored.networks),
        limits=stored.limits,
        session_of=stored.session_of,
        issuer=issuer,
        subject=subject,
        email=stored.email,
    )


def issuer_and_subject(session_of: str) -> tuple[str, str]:
    """Return who has signed in with a token; two empty texts for a key."""
    issuer, _, subject = session_of.partition(" ")
    return (issuer, subject) if subject else ("", "")


def _networks(stored: StoredApiKey) -> tuple[Network, ...]:
    try:
        return parse_networks(stored.networks)
    except ValueError:
        # Of another release, or garbage: from nowhere, because from everywhere would be more than was granted.
        return _NOWHERE


def _scopes(words: Iterable[str]) -> frozenset[Scope]:
    return frozenset(_KNOWN_SCOPES[word] for word in words if word in _KNOWN_SCOPES)


def _is_over(stored: StoredApiKey, now_ms: float) -> bool:
    if stored.expires_at_ms is None:
        return False
    kept_s = 0.0 if stored.session_of else limits.EXPIRED_API_KEY_TTL_S
    return stored.expires_at_ms + kept_s * 1000 <= now_ms
