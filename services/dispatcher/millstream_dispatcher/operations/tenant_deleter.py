"""Deletes a tenant with all that there is of it, in steps that any dispatcher goes on with.

A step removes what it finds, so a repetition does no harm. The tenant itself goes last: until then its state refuses
what comes over HTTP and keeps its queues closed. What comes late all the same, from a handler that still runs or from a
process that remembers a queue, is found by the next round, which looks everywhere again.
"""

import time
from collections import Counter
from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import (
    DEFAULT_TENANT,
    AuditEntry,
    AuditOutcome,
    OperationState,
    Tenant,
    TenantState,
    moment,
)
from millstream_history import Advance, History, StoredOperation
from millstream_streams import Broker, StoredTenant
from millstream_submission import REMEMBER_QUEUE_S, follow_state, in_deletion, revoke_all

SETTLES_S = REMEMBER_QUEUE_S + 30.0
"""How long it looks again: processes that remember a queue do not register it anew, and would not for a new tenant."""

STEP_S = 1.0
"""The time of one step that removes keys or rows."""

LOOK_AGAIN_S = 15.0

JOBS, ROWS = "jobs", "history_rows"
LEFT = "its audit records stay until their retention ends, and so do series of metrics that were collected"


class _Place(Struct, frozen=True, omit_defaults=True):
    """Where a deletion is: what its next step does, and what its round has found."""

    phase: str
    began_ms: int
    """When the deletion began, by the clock of Redis."""
    round_ms: int
    """When the present round began."""
    found: int = 0
    """What the present round has removed."""
    cursor: str = ""


class TenantDeleter:
    """Takes steps of operations of the kind `delete-tenant`. Every method may raise StoreError and HistoryError."""

    def __init__(self, broker: Broker, history: History, *, settles_s: float) -> None:
        self._broker = broker
        self._tenants = broker.tenants
        self._tenant_remains = broker.tenant_remains
        self._rows = history.tenant_rows
        self._settles_ms = round(settles_s * 1000)
        self._phases = {
            "close": self._close,
            "keys": self._remove_keys,
            "rows": self._remove_rows,
            "settle": self._settle,
            "end": self._end,
        }

    async def step(self, operation: StoredOperation) -> Advance:
        """Take one step."""
        name = Tenant(operation.asked.subject or "")
        stored = await self._tenants.get(name)
        if operation.cursor is None:
            return await self._begin(operation, name, stored)
        if stored is None or stored.deletion != operation.shown.id:
            # An earlier try of the last step has removed it; another tenant may have its name by now.
            return self._done(operation)
        place = msgspec.json.decode(operation.cursor, type=_Place)
        return await self._phases.get(place.phase, self._close)(operation, name, stored, place)

    async def _begin(self, operation: StoredOperation, name: Tenant, stored: StoredTenant | None) -> Advance:
        """Have the tenant be in deletion, as ingest does that was asked for it, unless it was killed."""
        if stored is None or name == DEFAULT_TENANT:
            return Advance(state=OperationState.FAILED, detail=f"there is no tenant `{name}` that can be deleted")
        now_ms = round((await self._broker.now()).timestamp() * 1000)
        if stored.state != TenantState.DELETING:
            becomes = in_deletion(stored, operation.shown.id, now_ms)
            if not await self._tenants.put_tenant(name, stored, becomes):
                return Advance(state=OperationState.RUNNING, pause_s=LOOK_AGAIN_S)
        elif stored.deletion != operation.shown.id:
            detail = f"the tenant is deleted by another operation already: {stored.deletion}"
            return Advance(state=OperationState.FAILED, detail=detail)
        return self._on(operation, _Place("close", now_ms, now_ms), "its keys are revoked and its queues closed")

    async def _close(self, operation: StoredOperation, name: Tenant, stored: StoredTenant, place: _Place) -> Advance:
        """Revoke keys and sessions, close the queues, and have no duty find them any more."""
        revoked = Counter(
            {
                "api_keys": await revoke_all(self._broker.api_keys, name),
                "sessions": await revoke_all(self._broker.sessions, name),
            }
        )
        queues = await self._broker.registry.queues(name, with_dormant=True)
        # Behind this no worker starts a job of a queue, whatever becomes of the registry.
        await follow_state(self._broker, queues, stored)
        forgotten = await self._tenant_remains.forget(name)
        further = replace(place, phase="keys", found=place.found + forgotten + revoked.total())
        return self._on(operation, further, "what Redis has of it is removed", revoked)

    async def _remove_keys(self, operation: StoredOperation, name: Tenant, _: StoredTenant, place: _Place) -> Advance:
        swept = await self._tenant_remains.sweep(name, place.cursor, keep_closed=True, within_s=STEP_S)
        found, phase = place.found + swept.removed.total(), "keys" if swept.cursor else "rows"
        further = replace(place, phase=phase, found=found, cursor=swept.cursor)
        return self._on(operation, further, "what Redis has of it is removed", swept.removed)

    async def _remove_rows(self, operation: StoredOperation, name: Tenant, _: StoredTenant, place: _Place) -> Advance:
        until, removed = time.monotonic() + STEP_S, Counter[str]()
        table = "rows"
        while table and time.monotonic() < until:
            table, number = await self._rows.remove(name)
            removed.update({"webhooks" if table == "webhook_endpoints" else ROWS: number})
        further = replace(place, phase="rows" if table else "settle", found=place.found + removed.total())
        return self._on(operation, further, "its history is removed", removed)

    async def _settle(self, operation: StoredOperation, _name: Tenant, _: StoredTenant, place: _Place) -> Advance:
        """Begin another round, unless one that began late enough has found nothing."""
        now_ms = round((await self._broker.now()).timestamp() * 1000)
        settled_ms = place.began_ms + self._settles_ms
        if place.round_ms >= settled_ms and not place.found:
            return self._on(operation, replace(place, phase="end"), "its name is about to be free")
        pause_s = min(max(0.0, (settled_ms - now_ms) / 1000), LOOK_AGAIN_S)
        begins_ms = now_ms + round(pause_s * 1000)
        further = _Place("close", place.began_ms, begins_ms)
        return self._on(operation, further, "it looks again for what comes late", pause_s=pause_s)

    async def _end(self, operation: StoredOperation, name: Tenant, stored: StoredTenant, place: _Place) -> Advance:
        """Open its queues, of which nothing else is left, and remove the tenant itself."""
        swept = await self._tenant_remains.sweep(name, place.cursor, keep_closed=False, within_s=STEP_S)
        if swept.cursor:
            return self._on(operation, replace(place, cursor=swept.cursor), operation.shown.detail, swept.removed)
        step = self._done(operation, swept.removed)
        # Before it is gone: a repetition records the same action, which is stored once.
        is_recorded = await self._record(operation, name, step.removed)
        if not is_recorded or not await self._tenants.put_tenant(name, stored, None):
            return self._on(operation, place, operation.shown.detail, pause_s=LOOK_AGAIN_S)
        return step

    async def _record(self, operation: StoredOperation, name: Tenant, removed: Mapping[str, int]) -> bool:
        """Have the audit trail say what the deletion has removed. Returns: False where too many records wait."""
        entry = AuditEntry(
            id=operation.shown.id.replace("op_", "au_", 1),
            tenant=DEFAULT_TENANT,
            at=moment(round((await self._broker.now()).timestamp() * 1000)),
            action="deleteTenant",
            outcome=AuditOutcome.DONE,
            target=f"/v1/tenants/{name}",
            made=f"/v1/operations/{operation.shown.id}",
            key_id=operation.asked.by,
            detail="the deletion is done",
            changes={what: {"before": number} for what, number in removed.items()},
        )
        if not await self._broker.audit_trail.begin_action(entry, is_stored=True):
            return False
        await self._broker.audit_trail.end_action(entry, is_stored=True)
        return True

    @staticmethod
    def _on(
        operation: StoredOperation,
        place: _Place,
        detail: str,
        removed: Mapping[str, int] | None = None,
        *,
        pause_s: float = 0.0,
    ) -> Advance:
        number = sum((removed or {}).values())
        return Advance(
            state=OperationState.RUNNING,
            detail=detail,
            found=number,
            done=number,
            cursor=msgspec.json.encode(place).decode(),
            removed=_summed(operation, removed or {}),
            pause_s=pause_s,
        )

    @staticmethod
    def _done(operation: StoredOperation, removed: Mapping[str, int] | None = None) -> Advance:
        number = sum((removed or {}).values())
        return Advance(
            state=OperationState.DONE,
            detail=LEFT,
            found=number,
            done=number,
            cursor=operation.cursor,
            is_exhausted=True,
            removed=_summed(operation, removed or {}),
        )


def _summed(operation: StoredOperation, removed: Mapping[str, int]) -> dict[str, int]:
    total = Counter(operation.shown.removed)
    total.update(removed)
    return {what: number for what, number in sorted(total.items()) if number}
