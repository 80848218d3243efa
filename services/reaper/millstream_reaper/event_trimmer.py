"""Trims the event streams up to what every consumer group has acknowledged, but not the events of the last minute."""

import time

import structlog

from millstream_contracts import Queue
from millstream_reaper.idle_queues import IdleQueues
from millstream_runtime import DutyResult
from millstream_streams import JobStore, Registry, for_each_queue
from millstream_telemetry import ReaperMetrics

SKIPPED_INTERVALS = 2
"""How long a stream that had nothing to trim is skipped. Meanwhile it may grow by some 170 bytes a job. That is little
beside the job's hash if results are kept for an hour, but not if they are kept for seconds.
"""


class Trimmings(DutyResult, frozen=True):
    """The result of one pass."""

    removed: int = 0
    lost: int = 0


class EventTrimmer:
    """A duty. Events that a consumer group had not seen when the cap was met are counted as lost."""

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
        kept_s: float = 0.0,
    ) -> None:
        self.interval_s = interval_s
        self._store = store
        self._registry = registry
        self._metrics = metrics
        self._keep = keep
        self._cap = cap
        self._kept_s = kept_s
        self._idle = IdleQueues()
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Trimmings:
        """Trim the stream of every queue, except those that are skipped."""
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
                self._idle.skip_until(queue, asked_at + SKIPPED_INTERVALS * self.interval_s)

        await for_each_queue(self._idle.others(await self._registry.queues()), trim)
        return Trimmings(removed=removed, lost=lost)

    async def _trim(self, queue: Queue) -> tuple[int, int]:
        """Trim one stream until a call finds nothing. Returns: how many were removed, and how many of them unseen.

        A call frees at most a hundred nodes, so a stream that gets more between two passes would grow without end.
        """
        removed = lost = 0
        while True:
            trimmed, unseen = await self._store.trim_events(queue, keep=self._keep, cap=self._cap, kept_s=self._kept_s)
            if not (trimmed or unseen):
                return removed, lost
            removed += trimmed
            lost += unseen
