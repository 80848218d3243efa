"""Trims the event streams up to what every consumer group has acknowledged."""

import time

import structlog

from millstream_contracts import Queue
from millstream_reaper.quiet_queues import QuietQueues
from millstream_runtime import DutyResult
from millstream_streams import JobStore, Registry, for_each_queue
from millstream_telemetry import ReaperMetrics

QUIET_PASSES = 2
"""For so many intervals a stream that had nothing to trim is left alone. What may come meanwhile is some 170 bytes a
job: little beside the jobs that it tells of, whose hashes stay for an hour; not where results are kept for seconds."""


class Trimmings(DutyResult, frozen=True):
    """What one pass did."""

    removed: int = 0
    lost: int = 0


class EventTrimmer:
    """A duty. Events that nobody had seen when the cap was met are counted as lost."""

    name = "event-trimmer"

    def __init__(
        self,
        store: JobStore,
        registry: Registry,
        metrics: ReaperMetrics,
        *,
        keep: int,
        cap: int,
        interval_s: float,
    ) -> None:
        self.interval_s = interval_s
        self._store = store
        self._registry = registry
        self._metrics = metrics
        self._keep = keep
        self._cap = cap
        self._quiet = QuietQueues()
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Trimmings:
        """Trim the stream of every queue that had something to trim, or was not looked at for a while."""
        removed = lost = 0

        async def trim(queue: Queue) -> None:
            nonlocal removed, lost
            asked_at = time.monotonic()
            trimmed, unseen = await self._trim(queue)
            removed += trimmed
            lost += unseen
            if unseen:
                self._metrics.count_events_lost(unseen)
                self._log.error("events lost", type=queue.type, entries=unseen, cap=self._cap)
            if not (trimmed or unseen):
                self._quiet.leave_alone(queue, asked_at + QUIET_PASSES * self.interval_s)

        await for_each_queue(self._quiet.others(await self._registry.queues()), trim)
        return Trimmings(removed=removed, lost=lost)

    async def _trim(self, queue: Queue) -> tuple[int, int]:
        """Trim one stream until a call finds nothing. Returns: how many were removed, and how many of them unseen.

        A call frees no more than a hundred nodes: a stream that gets more between two passes would only grow.
        """
        removed = lost = 0
        while True:
            trimmed, unseen = await self._store.trim_events(queue, keep=self._keep, cap=self._cap)
            if not (trimmed or unseen):
                return removed, lost
            removed += trimmed
            lost += unseen
