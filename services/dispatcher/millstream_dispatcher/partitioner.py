"""Keeps the days of the history: makes partitions ahead, and drops those that are old. Run by every dispatcher.

A day without a partition loses no row: rows of it go to the default partition, and move when it is made.
"""

from datetime import UTC, date, datetime, timedelta

import structlog

from millstream_history import DAYS_AHEAD, SWEPT_AT_ONCE, History
from millstream_runtime import HOUR_S, DutyResult
from millstream_streams import Broker
from millstream_telemetry import HistoryMetrics

DAY = timedelta(days=1)

AGAIN_S = 60.0
"""When to look again at partitions that another dispatcher was making."""


class DaysKept(DutyResult, frozen=True):
    """The result of one pass."""

    made: int = 0
    dropped: int = 0
    swept: int = 0


class Partitioner:
    """A duty."""

    name = "partitions"
    interval_s = HOUR_S

    def __init__(self, history: History, broker: Broker, metrics: HistoryMetrics, *, kept_days: int) -> None:
        self._days = history.days
        self._statistics = history.statistics
        self._erasures = history.erasures
        self._operations = history.operations
        self._broker = broker
        self._metrics = metrics
        self._kept = timedelta(days=kept_days)
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> DaysKept:
        """Make the missing partitions, then drop what is old of everything that is kept. Raises: HistoryError."""
        await self._broker.look_at_clock()
        now = datetime.fromtimestamp(self._broker.clock.now_s(), UTC)
        today = now.date()
        try:
            made = await self._days.make(today)
        finally:
            ahead = await self._days.ahead(today)
            self._metrics.show_days_ahead(ahead)
        dropped = await self._drop(today - self._kept)
        await self._statistics.forget(now)
        # A job was made before it was erased, so its day is dropped by then.
        await self._erasures.forget(now - self._kept - DAY)
        await self._operations.forget(now - self._kept)
        swept = await self._days.sweep(today - self._kept)
        return DaysKept(
            more=swept >= SWEPT_AT_ONCE,
            next_in_s=None if ahead >= DAYS_AHEAD else AGAIN_S,
            made=len(made),
            dropped=dropped,
            swept=swept,
        )

    async def _drop(self, before: date) -> int:
        dropped = await self._days.drop(before)
        for day, kept in dropped.items():
            self._log.info("a day of the history is dropped", day=day.isoformat(), jobs_kept=kept)
        return len(dropped)
