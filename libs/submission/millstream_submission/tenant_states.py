"""Makes what a tenant has follow what is stored of it: its queues its state and its quota, its keys its deletion.

The state of the tenant is what counts. A queue that was not reached, and one that is used for the first time while its
tenant is suspended, follow with the next look of a dispatcher.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from millstream_contracts import Queue, Tenant, TenantState
from millstream_streams import ApiKeys, Broker, StoredTenant, for_each_queue

OVERTAKEN_AT_MOST = 10
"""How often a deal of a quota begins again that another one has overtaken: each dispatcher begins one a second."""


async def follow_state(broker: Broker, queues: Sequence[Queue], stored: StoredTenant) -> int:
    """Suspend the queues of a tenant, or let them go on. Returns: how many were not so before. Raises: StoreError."""
    queue_settings = broker.settings
    held = await queue_settings.suspended(queues)
    changing = [queue for queue, is_suspended in zip(queues, held, strict=True) if is_suspended is stored.is_active]

    async def follow(queue: Queue) -> None:
        await (queue_settings.release(queue) if stored.is_active else queue_settings.suspend(queue))

    await for_each_queue(changing, follow)
    return len(changing)


async def follow_quota(broker: Broker, tenant: Tenant) -> None:
    """Have as many jobs of a tenant run at once, in all of its queues, as its quota says. Raises: StoreError.

    Once this returns, no more start. What is stored of the tenant is read here, so that the last change counts.
    """
    while True:
        stored = await broker.tenants.get(tenant)
        wanted = None if stored is None else stored.quota_of_running
        noted = await broker.quotas.read(tenant)
        if noted.quota == wanted:
            break
        await broker.quotas.put_quota(tenant, noted.quota, wanted)
    if noted.quota is not None or noted.is_ending:
        # Read behind what is noted: a queue that is registered later finds that.
        queues = await broker.registry.queues(tenant, with_dormant=True)
        for _ in range(OVERTAKEN_AT_MOST):
            if await broker.quotas.deal(tenant, queues, are_all=True):
                return


def in_deletion(stored: StoredTenant, operation_id: str, now_ms: int) -> StoredTenant:
    """Return a tenant as it is while an operation deletes it."""
    return replace(stored, state=TenantState.DELETING, reason="", changed_at_ms=now_ms, deletion=operation_id)


async def revoke_all(keys: ApiKeys, tenant: Tenant) -> int:
    """Remove all keys, or sessions, of a tenant that this release can read. Returns: how many. Raises: StoreError."""
    _, stored = await keys.all()
    theirs = [one for one, key in stored.items() if key.tenant == tenant]
    await keys.remove(theirs)
    return len(theirs)
