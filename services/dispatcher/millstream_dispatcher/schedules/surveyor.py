"""Counts the schedules by their state, for the metrics. Run by every dispatcher."""

from millstream_runtime import DutyResult
from millstream_streams import Broker, is_backfill
from millstream_telemetry import ScheduleMetrics


class ScheduleSurveyor:
    """A duty."""

    name = "schedule-surveyor"

    def __init__(self, broker: Broker, metrics: ScheduleMetrics, *, interval_s: float) -> None:
        self.interval_s = interval_s
        self._broker = broker
        self._metrics = metrics

    async def run_once(self) -> DutyResult:
        """Count the schedules of all tenants."""
        tenants = {shard.tenant for shard in await self._broker.schedules.shards()}
        states = [
            line.state
            for tenant in sorted(tenants)
            for name, line in (await self._broker.schedules.index(tenant)).items()
            if not is_backfill(name)
        ]
        self._metrics.show(states)
        return DutyResult()
