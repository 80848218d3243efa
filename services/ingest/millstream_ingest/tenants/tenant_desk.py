"""Tenants, as the operator makes, changes and deletes them."""

from collections.abc import Callable

from msgspec.structs import replace

from millstream_contracts import (
    DEFAULT_TENANT,
    EVERY_TENANT,
    BulkOperation,
    FieldError,
    NewTenant,
    Tenant,
    TenantChange,
    TenantEncryption,
    TenantInfo,
    TenantPage,
    TenantState,
    moment,
    ms_of,
)
from millstream_history import History
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import INVALID_REQUEST, TENANT_NOT_FOUND, WRONG_STATE
from millstream_ingest.inspection.bulk_operations import new_operation_id
from millstream_ingest.inspection.name_pages import page_of
from millstream_ingest.inspection.running import count_running
from millstream_ingest.tenants.request_limits import checked_limits
from millstream_streams import Broker, StoredTenant, TooManyTenantsError
from millstream_submission import follow_quota, follow_state, in_deletion, revoke_all


class TenantDesk:
    """The tenants of one installation. Every method may raise StoreError."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._tenants = broker.tenants
        self._clock = broker.clock

    async def create(self, asked: NewTenant, *, made_by: str) -> TenantInfo:
        """Make a tenant; `made_by` is the id of the key that asks.

        Raises: IngestError (409 where there is one of this name, 422).
        """
        if asked.name == EVERY_TENANT:
            fault = FieldError("/name", f"`{EVERY_TENANT}` means every tenant: choose another name")
            raise IngestError(INVALID_REQUEST, errors=[fault])
        self._check_encryption(asked.encryption)
        name, now_ms = Tenant(asked.name), self._clock.now_ms()
        if await self._tenants.get(name) is not None:
            raise IngestError(WRONG_STATE, f"there is a tenant `{name}` already")
        made = StoredTenant(
            title=asked.title,
            quotas=asked.quotas,
            limits=checked_limits(asked.limits),
            created_at_ms=now_ms,
            created_by=made_by,
            changed_at_ms=now_ms,
            encryption=asked.encryption,
        )
        await self._put(name, None, made)
        if made.quota_of_running is not None:
            await follow_quota(self._broker, name)
        return shown_tenant(name, made)

    async def page(self, *, prefix: str, cursor: str | None, limit: int) -> TenantPage:
        """Return a page of tenants by name. Raises: CursorError."""
        stored = await self._tenants.all()
        names = [name for name in stored if name.startswith(prefix)]
        page, next_cursor = page_of(names, str, cursor, limit)
        return TenantPage(items=[shown_tenant(name, stored[name]) for name in page], next_cursor=next_cursor)

    async def find(self, name: str) -> TenantInfo:
        """Return a tenant. Raises: IngestError (404)."""
        stored = await self._stored(name)
        shown = shown_tenant(name, stored)
        if stored.quota_of_running is None:
            return shown
        return replace(shown, jobs_running=await count_running(self._broker, Tenant(name)))

    async def change(self, name: str, asked: TenantChange) -> TenantInfo:
        """Change what is given of a tenant. Once this returns, a quota of jobs that run is in force.

        Raises: IngestError (404, 409, 422).
        """
        limits = checked_limits(asked.limits)

        def changed(stored: StoredTenant) -> StoredTenant:
            if not stored.encrypts_all:
                self._check_encryption(asked.encryption)
            return replace(
                stored,
                title=stored.title if asked.title is None else asked.title,
                quotas=stored.quotas if asked.quotas is None else asked.quotas,
                limits=stored.limits if asked.limits is None else limits,
                encryption=stored.encryption if asked.encryption is None else asked.encryption,
            )

        stored = await self._change(name, changed)
        # Each time: an earlier request may not have reached all queues.
        if asked.quotas is not None:
            await follow_quota(self._broker, Tenant(name))
        return shown_tenant(name, stored)

    async def suspend(self, name: str, reason: str) -> TenantInfo:
        """Let a tenant submit nothing, and no job of it start. One that is suspended keeps its time and its reason.

        Once this returns, no job of its queues starts. Raises: IngestError (404, 409).
        """
        if name == DEFAULT_TENANT:
            raise IngestError(WRONG_STATE, "the operator's own tenant cannot be suspended: pause its queues")
        return await self._turn(name, TenantState.SUSPENDED, reason)

    async def resume(self, name: str) -> TenantInfo:
        """Let a suspended tenant go on. Raises: IngestError (404, 409)."""
        return await self._turn(name, TenantState.ACTIVE, "")

    async def delete(self, history: History, name: str, *, confirm: str, made_by: str) -> BulkOperation:
        """Have a tenant deleted with all that it has; a repetition returns the operation that is at it.

        Once this returns, no key of it works and no job of its queues starts. `confirm` is its name once more. Raises:
        IngestError (404, 409, 422), HistoryError.
        """
        if name == DEFAULT_TENANT:
            raise IngestError(WRONG_STATE, "the operator's own tenant cannot be deleted")
        stored = await self._stored(name)
        if confirm != name:
            fault = FieldError("/confirm", f"expected the name of the tenant once more, `{name}`, which deletes it")
            raise IngestError(INVALID_REQUEST, errors=[fault])
        if stored.state == TenantState.DELETING:
            return await self._deletion(history, stored)
        now = await self._broker.now()
        # First what dispatchers find: they go on from here if this process ends before the next line.
        made = await history.operations.add_deletion(new_operation_id(now), Tenant(name), ms_of(now), by=made_by)
        becomes = in_deletion(stored, made.shown.id, ms_of(now))
        while not await self._tenants.put_tenant(Tenant(name), stored, becomes):
            stored = await self._stored(name)
            if stored.state == TenantState.DELETING:
                # A dispatcher was faster, or another request: then the operation of this one will fail.
                return await self._deletion(history, stored)
            becomes = in_deletion(stored, made.shown.id, ms_of(now))
        for keys in (self._broker.api_keys, self._broker.sessions):
            await revoke_all(keys, Tenant(name))
        queues = await self._broker.registry.queues(Tenant(name), with_dormant=True)
        await follow_state(self._broker, queues, becomes)
        return made.shown

    def _check_encryption(self, asked: TenantEncryption | None) -> None:
        """Refuse to have jobs encrypted where there are no keys for it. Raises: IngestError (422)."""
        if asked is TenantEncryption.ALL and self._broker.codec.keyring is None:
            detail = "takes keys, and this ingest has none: set MILLSTREAM_ENCRYPTION_KEYS or its companions first"
            raise IngestError(INVALID_REQUEST, errors=[FieldError("/encryption", detail)])

    @staticmethod
    async def _deletion(history: History, stored: StoredTenant) -> BulkOperation:
        found = await history.operations.find(DEFAULT_TENANT, stored.deletion)
        if found is None:
            raise IngestError(WRONG_STATE, "it is being deleted by an operation that this history does not have")
        return found.shown

    async def _turn(self, name: str, state: TenantState, reason: str) -> TenantInfo:
        now_ms = self._clock.now_ms()

        def turned(stored: StoredTenant) -> StoredTenant:
            if stored.state == state:
                return stored
            return replace(stored, state=state, reason=reason, changed_at_ms=now_ms)

        stored = await self._change(name, turned)
        # Each time: an earlier request may not have reached all queues.
        queues = await self._broker.registry.queues(Tenant(name), with_dormant=True)
        await follow_state(self._broker, queues, stored)
        return shown_tenant(name, stored)

    async def _change(self, name: str, change: Callable[[StoredTenant], StoredTenant]) -> StoredTenant:
        stored = await self._stored(name)
        if stored.state == TenantState.DELETING:
            raise IngestError(WRONG_STATE, f"the tenant `{name}` is being deleted")
        changed = change(stored)
        if changed != stored:
            await self._put(Tenant(name), stored, changed)
        return changed

    async def _stored(self, name: str) -> StoredTenant:
        stored = await self._tenants.get(Tenant(name))
        if stored is None:
            raise IngestError(TENANT_NOT_FOUND, f"there is no tenant `{name}`")
        return stored

    async def _put(self, name: Tenant, read: StoredTenant | None, becomes: StoredTenant) -> None:
        try:
            is_done = await self._tenants.put_tenant(name, read, becomes)
        except TooManyTenantsError as error:
            raise IngestError(INVALID_REQUEST, str(error), [FieldError("", str(error))]) from None
        if not is_done:
            raise IngestError(WRONG_STATE, f"the tenant `{name}` was changed by another request meanwhile")


def shown_tenant(name: str, stored: StoredTenant) -> TenantInfo:
    """Return a tenant as it is shown."""
    return TenantInfo(
        name=name,
        title=stored.title,
        state=stored.known_state,
        created_at=moment(stored.created_at_ms) if stored.created_at_ms else None,
        created_by=stored.created_by,
        changed_at=moment(stored.changed_at_ms) if stored.changed_at_ms else None,
        reason=stored.reason,
        quotas=stored.quotas,
        limits=stored.limits,
        deletion=stored.deletion or None,
        encryption=TenantEncryption.ALL if stored.encrypts_all else TenantEncryption.INHERIT,
    )
