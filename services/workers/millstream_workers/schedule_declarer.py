"""Declares the schedules of a worker's handlers, and pauses those that its apps declare no more (ADR 73).

The latest start wins where two releases declare one name. A schedule that was put over the API is left alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import structlog

from millstream.schedules import DeclaredSchedule
from millstream_contracts import ScheduleOwner, ScheduleState, Tenant
from millstream_runtime import DutyResult, Wake
from millstream_streams import Broker, IndexLine, ScheduleChange, StoredSchedule, is_backfill
from millstream_workers.schedule_changes import Declarer, declared_change, orphaned_change

DECLARE_EVERY_S = 600.0
"""How often a worker looks whether its schedules are there as it declares them."""

AGAIN_S = 1.0
"""When a worker looks again that was overtaken, or has not registered yet."""

BY_CODE: ScheduleOwner = "code"


class ScheduleDeclarer:
    """A duty. Any number of workers may declare the same schedules."""

    name = "schedule-declarer"
    interval_s = DECLARE_EVERY_S

    def __init__(
        self,
        broker: Broker,
        tenants: Sequence[Tenant],
        schedules: Mapping[str, DeclaredSchedule],
        *,
        apps: Iterable[str],
        release: str,
        started_at_ms: Callable[[], int | None],
    ) -> None:
        """`tenants` are those for which the worker declares them, `apps` those of the worker, also without schedules.

        `started_at_ms` is None before it has registered.
        """
        self._broker = broker
        self._tenants = tenants
        self._schedules = schedules
        self._apps = frozenset(apps)
        self._release = release
        self._started_at_ms = started_at_ms
        self._is_first = True
        self._refused: set[str] = set()
        self.wake = Wake()
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> DutyResult:
        """Declare what is not there as it is declared, and pause what no worker declares any more."""
        started_ms = self._started_at_ms()
        if started_ms is None:
            return DutyResult(next_in_s=AGAIN_S)
        now = datetime.fromtimestamp(max(self._broker.clock.now_ms(), started_ms) / 1000, UTC)
        declarer = Declarer(self._release, started_ms)
        all_made = [await self._declare(tenant, declarer, now) for tenant in self._tenants]
        self._is_first = False
        return DutyResult() if all(all_made) else DutyResult(next_in_s=AGAIN_S)

    async def _declare(self, tenant: Tenant, declarer: Declarer, now: datetime) -> bool:
        """Do the same for one tenant. Returns: False where another worker was faster."""
        changes = await self._declared(tenant, declarer, now)
        # A worker of the release before may declare them a moment later: this one leaves them a first pass.
        changes += [] if self._is_first else await self._orphaned(tenant, now)
        made = await self._broker.schedules.change(tenant, changes) if changes else []
        for change, is_made in zip(changes, made, strict=True):
            if is_made and "version" in change.fields:
                self._log.info("schedule declared", tenant=tenant, schedule=change.name, state=change.fields["state"])
        return all(made)

    async def _declared(self, tenant: Tenant, declarer: Declarer, now: datetime) -> list[ScheduleChange]:
        held = await self._broker.schedules.read(tenant, list(self._schedules))
        changes = []
        for name, schedule in self._schedules.items():
            before = held.get(name)
            if before is None:
                await self._broker.schedules.make_known(tenant, name)
            elif before.owner != BY_CODE:
                self._note_refused(name)
                continue
            if change := declared_change(schedule, before, declarer, now):
                changes.append(change)
        return changes

    async def _orphaned(self, tenant: Tenant, now: datetime) -> list[ScheduleChange]:
        """Return the changes that pause schedules of these apps that were not declared for long."""
        if not (names := [name for name, line in await self._index(tenant) if self._may_be_orphan(name, line)]):
            return []
        held = (await self._broker.schedules.read(tenant, names)).values()
        changes = (orphaned_change(stored, now) for stored in held if self._is_ours(stored))
        return [change for change in changes if change]

    async def _index(self, tenant: Tenant) -> Iterable[tuple[str, IndexLine]]:
        return (await self._broker.schedules.index(tenant)).items()

    def _may_be_orphan(self, name: str, line: IndexLine) -> bool:
        is_declared = name in self._schedules
        return (
            line.owner == BY_CODE and line.state == ScheduleState.ACTIVE and not is_backfill(name) and not is_declared
        )

    def _is_ours(self, stored: StoredSchedule) -> bool:
        return stored.owner == BY_CODE and stored.app in self._apps

    def _note_refused(self, name: str) -> None:
        if name not in self._refused:
            self._refused.add(name)
            self._log.warning("schedule is kept as the API has it, not as the code declares it", schedule=name)
