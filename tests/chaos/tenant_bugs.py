"""Runs a service with all bugs of keys, tenants and the audit trail at once: `python -m chaos.tenant_bugs ingest ...`.

No job shows them: each lets a key or a tenant do more than it may, or leaves a record out, or makes one more.
"""

from collections.abc import Sequence
from typing import Any

from chaos.quiet_bugs import Method, QuietBug, plant_all
from msgspec.structs import replace

from millstream_cli.main import main
from millstream_contracts import ApiKey, AuditEntry
from millstream_history import AuditRecords
from millstream_history.erasure.tenant_rows import TenantRows
from millstream_ingest.access.audit_recorder import AuditRecorder
from millstream_ingest.access.key_desk import KeyDesk
from millstream_streams import SettingsStore

UNRECORDED = "revokeKey"
"""The action whose end is not recorded: each run begins with one."""


def _shows_alone(_: Method) -> Method:
    async def revoke(self: KeyDesk, principal: Any, key_id: str) -> ApiKey:
        return await self.find(principal, key_id)

    return revoke


def _says_so(_: Method) -> Method:
    async def suspend(*_: Any) -> bool:
        return True

    return suspend


def _but_one(end: Method) -> Method:
    async def forgetful(self: AuditRecorder, entry: AuditEntry) -> None:
        if entry.action != UNRECORDED:
            await end(self, entry)

    return forgetful


def _under_another_id(store: Method) -> Method:
    async def twice(self: AuditRecords, entries: Sequence[AuditEntry]) -> Any:
        await store(self, entries)
        return await store(self, [replace(entry, id=f"{entry.id}-again") for entry in entries])

    return twice


def _no_more(_: Method) -> Method:
    async def remove(*_: Any) -> tuple[str, int]:
        return "", 0

    return remove


TENANT_BUGS = {
    "revoked keys work on": QuietBug(KeyDesk, "revoke", _shows_alone, "scenario", "had ended"),
    "queues of a suspended tenant go on": QuietBug(
        SettingsStore, "suspend", _says_so, "scenario", "after initech was suspended"
    ),
    "an action has no end": QuietBug(AuditRecorder, "end", _but_one, "scenario", "has no end on record"),
    "a record is stored twice": QuietBug(AuditRecords, "store", _under_another_id, "scenario", "and has 2 records"),
    "rows of a deleted tenant stay": QuietBug(TenantRows, "remove", _no_more, "places", "rows of the deleted tenant"),
}
"""The bugs by name."""


if __name__ == "__main__":
    plant_all(TENANT_BUGS)
    main()
