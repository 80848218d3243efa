"""Moves what queues do not use of a limit that they share to those whose jobs wait. Run by every dispatcher.

Such are the limits of a type, for its partitions, and the quota of running jobs of a tenant, for its queues. It is also
the one that gives new parts where the worker or the ingest died that set the limits.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from millstream_contracts import JobType, Queue, Tenant, WorkerInfo, ms_of
from millstream_dispatcher.tenants.tenant_book import TenantBook
from millstream_runtime import DutyResult, Wake
from millstream_streams import Broker, SplitLimits, StoreError, available, takers_of

MOVED_EVERY_S = 1.0
"""How long jobs wait at most for what another queue does not use."""

APART_S = 0.8
"""The least time between the beginnings of two deals of a quota, so that dispatchers do not overtake each other.

That of a tenant with a thousand queues takes a tenth of a second.
"""


class BudgetKeeper:
    """A duty."""

    name = "budget-keeper"
    interval_s = MOVED_EVERY_S

    def __init__(self, broker: Broker, book: TenantBook, *, apart_s: float = APART_S) -> None:
        self.wake = Wake()
        self._broker = broker
        self._registry = broker.registry
        self._queue_settings = broker.settings
        self._budgets = broker.budgets
        self._quotas = broker.quotas
        self._book = book
        self._apart_ms = round(apart_s * 1000)
        self._serving: list[WorkerInfo] | None = None
        """The workers that take jobs, once this pass has asked for them: their heartbeats are large."""

    async def run_once(self) -> DutyResult:
        """Deal the limits of each type, and the quota of each tenant, out anew whose jobs wait in one of its queues."""
        types: defaultdict[tuple[Tenant, JobType], list[Queue]] = defaultdict(list)
        tenants: defaultdict[Tenant, list[Queue]] = defaultdict(list)
        for queue in await self._registry.queues():
            types[queue.tenant, queue.type].append(queue)
            tenants[queue.tenant].append(queue)
        limited = [name for name, stored in (await self._book.all()).items() if stored.quota_of_running is not None]
        self._serving = None
        deals = [partial(self._deal_limits, queues) for queues in types.values() if len(queues) > 1]
        deals += [partial(self._deal_quota, name, tenants[name]) for name in limited if tenants[name]]
        failure: StoreError | None = None
        for deal in deals:
            try:
                await deal()
            except StoreError as error:
                failure = error  # one queue that is away holds up no other type or tenant
        if failure is not None:
            raise failure
        return DutyResult()

    async def _deal_limits(self, queues: Sequence[Queue]) -> None:
        if _is_to_be_dealt(await self._queue_settings.splits(queues)):
            await self._budgets.deal(queues)

    async def _deal_quota(self, tenant: Tenant, queues: Sequence[Queue]) -> None:
        parts = await self._quotas.parts(queues)
        if not any(part.slots is None or part.parked for part in parts):
            return
        now_ms = ms_of(await self._broker.now())
        # A turn is the Unix ms at which a deal began; one far ahead is of a Redis that has another clock by now.
        if abs(now_ms - (await self._quotas.read(tenant)).turn) < self._apart_ms:
            return
        if self._serving is None:
            self._serving = available(await self._registry.workers(), now_ms)
        serving = self._serving
        unserved = [queue for queue in queues if not takers_of(queue, serving)]
        await self._quotas.deal(tenant, queues, unserved=unserved)


def _is_to_be_dealt(splits: Sequence[SplitLimits]) -> bool:
    split = [one for one in splits if one.is_split]
    return bool(split) and (any(one.parked for one in split) or not any(one.has_part for one in split))
