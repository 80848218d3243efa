"""Moves the next occasions of schedules where a newer release of the time zone database says otherwise.

A next occasion is computed when the one before is decided on, which may be months ago, and a country may have changed
its clocks since. Run by every dispatcher, at its start and once a day; one with an older release changes nothing.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from millstream_contracts import UNDECODABLE, Tenant, moment, ms_of
from millstream_dispatcher.schedules.decision import change_of
from millstream_dispatcher.schedules.scheduler import read_rules
from millstream_runtime import DAY_S, DutyResult
from millstream_schedules import ZONE_DATA_VERSION, ScheduleError
from millstream_streams import Broker, ScheduleChange, StoredSchedule, is_backfill

READ_AT_ONCE = 200


class Revised(DutyResult, frozen=True):
    """The result of one pass."""

    moved: int = 0


class ZoneReviser:
    """A duty. Its name on dashboards is `schedule-zones`."""

    name = "schedule-zones"
    interval_s = DAY_S

    def __init__(self, broker: Broker, *, version: str = ZONE_DATA_VERSION) -> None:
        self._broker = broker
        self._version = version
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Revised:
        """Compare the next occasions of all active schedules with what they are by this release."""
        await self._broker.look_at_clock()
        moved = 0
        for tenant in sorted({shard.tenant for shard in await self._broker.schedules.shards()}):
            index = await self._broker.schedules.index(tenant)
            names = [name for name, line in index.items() if line.state == "active" and not is_backfill(name)]
            for at in range(0, len(names), READ_AT_ONCE):
                moved += await self._revise(tenant, names[at : at + READ_AT_ONCE])
        return Revised(moved=moved)

    async def _revise(self, tenant: Tenant, names: Sequence[str]) -> int:
        stored = await self._broker.schedules.read(tenant, names)
        now = datetime.fromtimestamp(self._broker.clock.now_s(), UTC)
        changes = [change for one in stored.values() if (change := self._change(one, now))]
        made = await self._broker.schedules.change(tenant, changes) if changes else []
        for change, is_made in zip(changes, made, strict=True):
            if is_made:
                before, after = (moment(stored[change.name].next_ms), moment(int(change.fields["next_ms"])))
                self._log.info(
                    "next occasion moved by newer time zones",
                    schedule=change.name,
                    revision=self._version,
                    summary=f"{before:%Y-%m-%dT%H:%M:%SZ} to {after:%Y-%m-%dT%H:%M:%SZ}",
                )
        return sum(made)

    def _change(self, stored: StoredSchedule, now: datetime) -> ScheduleChange | None:
        """Return the change of a schedule whose next occasion is another one by this release; None for none."""
        # What is due, or waits for the end of a job, is decided on first.
        if stored.state != "active" or stored.waiting_ms or stored.fires_ms <= ms_of(now):
            return None
        if stored.zones >= self._version:
            return None
        try:
            rules, timing = read_rules(stored.rules, stored.name)
        except (ScheduleError, *UNDECODABLE):
            return None  # the scheduler says so
        following = timing.next_after(now) if rules.cron or rules.at else None
        if following is None or ms_of(following.nominal) == stored.next_ms:
            return None
        fires_ms = ms_of(following.fires_at)
        fields = {"next_ms": ms_of(following.nominal), "fires_ms": fires_ms, "zones": self._version}
        return change_of(stored, stored.turn, fields, fires_ms, state=stored.state)
