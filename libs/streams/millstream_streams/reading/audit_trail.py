"""The audit trail in Redis: actions that have begun, records that wait for the history, and how far the history is.

They lie in a slot of their own, for all tenants. A record waits as MessagePack until a dispatcher has stored it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from millstream_contracts import UNDECODABLE, AuditEntry, AuditLink, Tenant, limits
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import REDIS_ERRORS, failed, with_retries
from millstream_streams.connection.replies import unless_wrong_type
from millstream_streams.store.keys import Keys
from millstream_streams.store.scripting import AUDIT, Argument, load_script, run_script

T = TypeVar("T")

MAX_REFUSALS = limits.MAX_AUDIT_ENTRIES // 2
"""Above this many waiting records refusals are not recorded, so that they leave room for actions."""

_KEPT_ALL = 0
_FIELD = b"r"


class WaitingRecords(Struct, frozen=True):
    """The first records that wait for the history."""

    entries: list[AuditEntry]
    """In their order; without those that this release cannot read."""
    places: list[bytes]
    """Their ids in the stream, also of those that cannot be read."""
    unreadable: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AuditEntry).decode
_encode_link = msgspec.msgpack.Encoder().encode
_decode_link = msgspec.msgpack.Decoder(AuditLink).decode


class AuditTrail:
    """The trail. Every method may raise StoreUnavailableError; those that write StoreError too."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._keys = keys
        self._patience_s = patience_s

    async def begin_action(self, entry: AuditEntry, *, is_stored: bool) -> bool:
        """Note that an action begins. Returns: False where it must not, because too many records wait.

        `is_stored` says whether there is a history that takes them; without one there is always room.
        """
        most = limits.MAX_AUDIT_ENTRIES if is_stored else _KEPT_ALL
        return await self._run("begin_action", entry.id, _encode(entry), most) == 1

    async def end_action(self, entry: AuditEntry, *, is_stored: bool) -> bool:
        """Record how an action ended. Returns: False where it had not begun, or was recorded before.

        Where no history takes records the oldest are dropped.
        """
        most = _KEPT_ALL if is_stored else limits.MAX_AUDIT_ENTRIES
        return await self._run("end_action", entry.id, _encode(entry), most) == 1

    async def record_refusal(self, entry: AuditEntry) -> bool:
        """Record a request that was refused. Returns: False where too many records wait."""
        return await self._run("record_refusal", _encode(entry), MAX_REFUSALS) == 1

    async def begun(self) -> list[AuditEntry]:
        """Return the actions that have begun and not ended."""
        name = self._keys.audit_open
        found: dict[bytes, bytes] = await self._call(lambda: unless_wrong_type(self._client.hgetall(name), {}))
        read = (_read(blob) for blob in found.values())
        return [entry for entry in read if entry]

    async def waiting(self, count: int) -> WaitingRecords:
        """Return the first records that wait for the history."""
        name = self._keys.audit_trail
        found = await self._call(lambda: unless_wrong_type(self._client.xrange(name, count=count), []))
        read = [_read(fields.get(_FIELD, b"")) for _, fields in found]
        entries = [entry for entry in read if entry]
        return WaitingRecords(entries, [place for place, _ in found], unreadable=len(read) - len(entries))

    async def count_waiting(self) -> int:
        """Return how many records wait for the history."""
        name = self._keys.audit_trail
        return int(await self._call(lambda: unless_wrong_type(self._client.xlen(name), 0)))

    async def forget(self, places: Sequence[bytes]) -> None:
        """Forget records that the history has."""
        if places:
            await self._call(lambda: self._client.xdel(self._keys.audit_trail, *places))

    async def head(self, tenant: Tenant) -> AuditLink | None:
        """Return the last record of a tenant that the history is known to have; None where it is not known."""
        name = self._keys.audit_heads
        found = await self._call(lambda: unless_wrong_type(self._client.hget(name, tenant), None))
        try:
            return _decode_link(found) if found else None
        except UNDECODABLE:
            return None

    async def note_heads(self, heads: Mapping[Tenant, AuditLink]) -> None:
        """Note which records of tenants the history has last."""
        if heads:
            stored: dict[Any, Any] = {tenant: _encode_link(link) for tenant, link in heads.items()}
            await self._call(lambda: self._client.hset(self._keys.audit_heads, mapping=stored))

    async def _run(self, name: str, *arguments: Argument) -> int:
        script, keys = load_script(AUDIT + name), (self._keys.audit_open, self._keys.audit_trail)
        return int(await self._call(lambda: run_script(self._client, script, keys, list(arguments))))

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await with_retries(lambda _: call(), self._patience_s, lambda: None)
        except REDIS_ERRORS as error:
            raise failed("the audit trail cannot be stored", error) from error


def _read(blob: bytes) -> AuditEntry | None:
    try:
        return _decode(blob)
    except UNDECODABLE:
        return None
