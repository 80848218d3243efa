"""Keys of the API in Redis: one hash for all tenants, because no job may wait for another database.

Of a key its SHA-256 is stored. A session, with which a person is signed in to the console, is a key that names another;
sessions are in a hash of their own, so that they take no key's place and a sign-in has no key read again.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from millstream_contracts import UNDECODABLE, RequestLimits, limits
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import REDIS_ERRORS, failed, with_retries
from millstream_streams.connection.replies import ask_many, unless_wrong_type
from millstream_streams.errors import StoreError
from millstream_streams.store.keys import Keys
from millstream_streams.store.scripting import ACCESS, Argument, load_script, run_script

T = TypeVar("T")

VERSION = b"!version"
"""The field of the hash that changes with each change; no id has a `!`."""

_REMOVED_AT_ONCE = 500
"""Redis hands a command no more arguments from a script than a few thousand."""


class StoredApiKey(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is stored of a key. Times are Unix ms, by the clock of Redis."""

    digest: bytes
    tenant: str
    name: str
    role: str = ""
    scopes: list[str] = []
    """Of a key without a role; by their words, because a newer release may know more."""
    created_at_ms: int
    created_by: str = ""
    expires_at_ms: int | None = None
    successor: str = ""
    owner: str = ""
    """Id of the first key in the line of successors, by which jobs of all of them are known; empty for its own."""
    session_of: str = ""
    """Id of the key that a person signed in with, or issuer and subject of the token with a space between them; empty
    for a key that is no session."""
    types: list[str] = []
    """Patterns of the job types that it is for; empty for all. A session is narrowed as its key is."""
    networks: list[str] = []
    """Networks from which it works; empty for all."""
    limits: RequestLimits | None = None
    """How often it may be used; its successors have them too, and share them with it."""
    email: str = ""
    """Of a session: the address that an ID token named."""


class KeyChange(Struct, frozen=True):
    """A change of one key, which is made only where the key is still what was read. It is removed in any case."""

    id: str
    read: StoredApiKey | None
    """None where there was none, and where it does not matter."""
    becomes: StoredApiKey | None
    """None to remove it."""


class TooManyKeysError(StoreError):
    """There are as many keys, or sessions, as there may be."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(StoredApiKey).decode


class ApiKeys:
    """Reads and changes keys of the API, or sessions.

    Every method may raise StoreUnavailableError, those that write StoreError.
    """

    def __init__(self, client: Client, keys: Keys, *, are_sessions: bool = False, patience_s: float = 5.0) -> None:
        self._client = client
        self._name = keys.sessions if are_sessions else keys.api_keys
        self._uses = keys.api_key_uses
        self._are_sessions = are_sessions
        self._patience_s = patience_s

    async def version(self) -> bytes:
        """Return a text that changes with each change of the keys; it is empty where there were never any."""
        return await self._call(lambda: unless_wrong_type(self._client.hget(self._name, VERSION), None)) or b""

    async def all(self) -> tuple[bytes, dict[str, StoredApiKey]]:
        """Return the version, and all keys that this release can read, by id."""
        found: dict[bytes, bytes] = await self._call(lambda: unless_wrong_type(self._client.hgetall(self._name), {}))
        version = found.pop(VERSION, b"")
        read = {key_id.decode(errors="replace"): _read(blob) for key_id, blob in found.items()}
        return version, {key_id: one for key_id, one in read.items() if one}

    async def get(self, key_id: str) -> StoredApiKey | None:
        """Return a key; None where there is none that this release can read."""
        found = await self._call(lambda: unless_wrong_type(self._client.hget(self._name, key_id), None))
        return _read(found) if found else None

    async def put_keys(self, changes: Iterable[KeyChange]) -> bool:
        """Make some changes, all or none. Returns: False where a key is not what was read of it by now.

        Raises: TooManyKeysError.
        """
        most = limits.MAX_SESSIONS if self._are_sessions else limits.MAX_API_KEYS
        arguments: list[Argument] = [most]
        for change in changes:
            arguments += (change.id, _blob(change.read), _blob(change.becomes))
        script, names = load_script(ACCESS + "put_keys"), (self._name, self._uses)
        try:
            code = int(await self._call(lambda: run_script(self._client, script, names, arguments)))
        except REDIS_ERRORS as error:
            raise failed("the keys cannot be stored", error) from error
        if code < 0:
            what = "sessions" if self._are_sessions else "keys"
            raise TooManyKeysError(f"there are {most:,} {what} already, which is the most")
        return code == 1

    async def remove(self, ids: Sequence[str]) -> None:
        """Remove keys, whatever is stored of them."""
        for at in range(0, len(ids), _REMOVED_AT_ONCE):
            await self.put_keys(KeyChange(one, None, None) for one in ids[at : at + _REMOVED_AT_ONCE])

    async def note_uses(self, used_at_ms: Mapping[str, int]) -> None:
        """Note when keys were used last, Unix ms by id."""
        if used_at_ms:
            await self._call(lambda: unless_wrong_type(self._client.hset(self._uses, mapping=dict(used_at_ms)), 0))

    async def uses(self, ids: Iterable[str]) -> dict[str, int]:
        """Return when these keys were used last, Unix ms by id; those that never were are left out."""
        wanted = list(ids)
        if not wanted:
            return {}
        [found] = await self._call(lambda: ask_many(self._client, [("HMGET", self._uses, *wanted)]))
        read = zip(wanted, found or [], strict=False)
        return {key_id: int(text) for key_id, text in read if text and text.isdigit()}

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        return await with_retries(lambda _: call(), self._patience_s, lambda: None)


def _blob(key: StoredApiKey | None) -> bytes:
    return b"" if key is None else _encode(key)


def _read(blob: bytes) -> StoredApiKey | None:
    try:
        return _decode(blob)
    except UNDECODABLE:
        return None
