"""Repairs the history after events were trimmed unseen: the jobs of the queue are read again. Run by every dispatcher.

What the events told of the past is lost, and what they led to is not: Redis has it, or it ended and was forgotten.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import structlog

from millstream_contracts import JobId, Queue, moment
from millstream_dispatcher.kept_parts import KeptParts
from millstream_dispatcher.unrecorded_ends import unrecorded_ends
from millstream_history import History
from millstream_runtime import DutyResult
from millstream_streams import Broker, Gap, consumer_name
from millstream_telemetry import HistoryMetrics


class Resync(DutyResult, frozen=True):
    """The result of one pass."""

    read: int = 0
    closed: int = 0


class Resyncer:
    """A duty. A pass reads the jobs of one step of the walk over the keys of Redis."""

    name = "resync"
    interval_s = 30.0

    def __init__(self, history: History, broker: Broker, metrics: HistoryMetrics) -> None:
        self._history = history
        self._broker = broker
        self._metrics = metrics
        self._kept = KeptParts(broker.registry)
        self._who = consumer_name()
        self._targets: dict[Queue, Gap] = {}
        """The gaps that the present walk is for."""
        self._walk: AsyncIterator[dict[Queue, list[JobId]]] | None = None
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Resync:
        """Go on with the walk, or begin one where events were lost. Raises: HistoryError, StoreError."""
        try:
            return await self._pass()
        except Exception:
            # It begins again: a walk that failed has not seen all.
            self._walk = None
            raise

    async def _pass(self) -> Resync:
        if self._walk is None:
            await self._begin()
        if self._walk is None:
            return Resync()
        now = self._now()
        for queue in self._targets:
            await self._history.gaps.take(queue, self._who, now)
        found = await anext(self._walk, None)
        if found is None:
            self._walk = None
            return Resync(closed=await self._close_all())
        return Resync(more=True, read=await self._store(found, now))

    async def _begin(self) -> None:
        """Begin a walk for the gaps that no other dispatcher has taken."""
        queues = await self._broker.registry.queues()
        gaps = await self._broker.stored_jobs.gaps(queues)
        self._targets = {}
        for queue, gap in gaps.items():
            await self._history.gaps.note(queue, moment(gap.first_ms), moment(gap.last_ms))
            if await self._history.gaps.take(queue, self._who, self._now()):
                self._targets[queue] = gap
        self._metrics.show_gaps(len(gaps))
        if self._targets:
            self._log.warning("events were lost, jobs are read again", queues=len(self._targets))
            self._walk = self._broker.stored_jobs.walk(self._targets)

    async def _store(self, found: dict[Queue, list[JobId]], now: datetime) -> int:
        read, kept = 0, await self._kept.of(found)
        for queue, ids in found.items():
            snapshots = await self._broker.stored_jobs.snapshots(queue, ids)
            await self._history.repairer.resync(queue, snapshots.jobs, snapshots.waited_ms, now, kept=kept[queue])
            read += len(snapshots.jobs)
        return read

    async def _close_all(self) -> int:
        """End what no one knows the end of, and close the gaps; one that has grown stays open for the next walk."""
        closed = 0
        for queue, gap in self._targets.items():
            last_at, ended = moment(gap.last_ms), 0
            async for ids in unrecorded_ends(self._history, self._broker.stored_jobs, queue, end=last_at):
                ended += await self._history.repairer.end_unknown(queue, ids)
            await self._history.gaps.close(queue, last_at, self._now())
            closed += await self._broker.store.close_gap(queue, gap.last)
            self._log.info("jobs were read again", type=queue.type, jobs=ended)
        self._metrics.show_gaps(0)
        return closed

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._broker.clock.now_s(), UTC)
