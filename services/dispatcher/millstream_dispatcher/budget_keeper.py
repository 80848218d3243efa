"""Moves what a partition does not use of the limits of its type to those whose jobs wait. Run by every dispatcher.

It is also the one that gives new parts where the worker or the ingest died that set the limits.
"""

from collections import defaultdict
from collections.abc import Sequence

from millstream_contracts import JobType, Queue, Tenant
from millstream_runtime import DutyResult, Wake
from millstream_streams import BudgetDealer, Registry, SettingsStore, SplitLimits, StoreError

MOVED_EVERY_S = 1.0
"""How long jobs wait at most for what another partition does not use."""


class BudgetKeeper:
    """A duty."""

    name = "budget-keeper"
    interval_s = MOVED_EVERY_S

    def __init__(self, registry: Registry, settings: SettingsStore, budgets: BudgetDealer) -> None:
        self.wake = Wake()
        self._registry = registry
        self._queue_settings = settings
        self._budgets = budgets

    async def run_once(self) -> DutyResult:
        """Deal the limits of each type out anew whose jobs wait in one of several partitions."""
        types: defaultdict[tuple[Tenant, JobType], list[Queue]] = defaultdict(list)
        for queue in await self._registry.queues():
            types[queue.tenant, queue.type].append(queue)
        failure: StoreError | None = None
        for queues in types.values():
            if len(queues) == 1:
                continue
            try:
                if _is_to_be_dealt(await self._queue_settings.splits(queues)):
                    await self._budgets.deal(queues)
            except StoreError as error:
                failure = error  # one queue that is away holds up no other type
        if failure is not None:
            raise failure
        return DutyResult()


def _is_to_be_dealt(splits: Sequence[SplitLimits]) -> bool:
    split = [one for one in splits if one.is_split]
    return bool(split) and (any(one.parked for one in split) or not any(one.has_part for one in split))
