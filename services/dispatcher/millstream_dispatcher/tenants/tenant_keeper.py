"""Makes the queues of tenants follow their states and quotas, and counts the tenants. Run by every dispatcher.

Ingest does so when it changes one. This duty finishes what an ingest that died has left, and suspends queues that
are used for the first time while their tenant is suspended: a workflow may start a job in one.
"""

from collections import defaultdict
from collections.abc import Mapping

from millstream_contracts import Queue, Tenant
from millstream_dispatcher.tenants.tenant_book import TenantBook
from millstream_runtime import DutyResult, Wake
from millstream_streams import Broker, StoredTenant
from millstream_submission import follow_quota, follow_state
from millstream_telemetry import TenantMetrics


class TenantKeeper:
    """A duty."""

    name = "tenant-keeper"

    def __init__(self, broker: Broker, book: TenantBook, metrics: TenantMetrics, *, interval_s: float) -> None:
        self.interval_s = interval_s
        self.wake = Wake()
        self._broker = broker
        self._book = book
        self._metrics = metrics
        self._followed: dict[Tenant, StoredTenant] = {}
        """Active tenants whose queues go on, with what was stored of them then."""
        self._checked: dict[Tenant, StoredTenant] = {}
        """Tenants whose quota of running jobs is in force, with what was stored of them then."""

    async def run_once(self) -> DutyResult:
        """Have the queues of each tenant follow that may not do so yet."""
        tenants = await self._book.all()
        self._metrics.show(stored.known_state for stored in tenants.values())
        wanted = {name: stored for name, stored in tenants.items() if self._may_lag(name, stored)}
        queues: defaultdict[Tenant, list[Queue]] = defaultdict(list)
        for queue in await self._broker.registry.queues(with_dormant=True) if wanted else ():
            queues[queue.tenant].append(queue)
        for name, stored in wanted.items():
            await follow_state(self._broker, queues[name], stored)
        self._followed = {name: stored for name, stored in tenants.items() if stored.is_active}
        await self._follow_quotas({name: one for name, one in tenants.items() if self._checked.get(name) != one})
        self._checked = tenants
        return DutyResult()

    async def _follow_quotas(self, changed: Mapping[Tenant, StoredTenant]) -> None:
        """Have the quotas of tenants be in force that were changed."""
        names = list(changed)
        noted = await self._broker.quotas.read_many(names) if names else ()
        for name, one in zip(names, noted, strict=True):
            if one.is_ending or one.quota != changed[name].quota_of_running:
                await follow_quota(self._broker, name)

    def _may_lag(self, name: Tenant, stored: StoredTenant) -> bool:
        # A tenant whose state has never changed has no suspended queue.
        was_changed = stored.changed_at_ms != stored.created_at_ms
        return not stored.is_active or (was_changed and self._followed.get(name) != stored)
