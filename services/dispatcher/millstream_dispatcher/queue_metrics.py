"""Publishes what the queues hold, and how many workers that takes, as gauges.

Run by every dispatcher: all show the same, from the same counters. It measures every queue anyway, so it records in the
schedules of promoter and expirer when something falls due there.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence

from millstream_contracts import JobType, Queue, WorkerInfo
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.dormancy_keeper import QuietQueues
from millstream_dispatcher.notices.queue_board import QueueBoard
from millstream_runtime import DutyResult
from millstream_streams import (
    Depths,
    JobStore,
    RedisClock,
    Registry,
    StoreError,
    StoreUnavailableError,
    available,
    demand_of,
    for_each_queue,
    sum_depths,
)
from millstream_telemetry import DispatcherMetrics

REMEASURED_AT = 0.9
"""Share of the interval after which queues are measured again. Promoter and expirer skip their own check while a
measurement is younger than one interval; at 1.0 they would sometimes check just before it arrived."""


class QueueMetrics:
    """A duty. Its name on dashboards is `gauger`."""

    name = "gauger"

    def __init__(
        self,
        store: JobStore,
        registry: Registry,
        clock: RedisClock,
        metrics: DispatcherMetrics,
        *,
        due: CheckSchedule,
        expiring: CheckSchedule,
        outbox: CheckSchedule,
        blocked: CheckSchedule,
        due_soon_s: float,
        interval_s: float,
        board: QueueBoard | None = None,
        quiet: QuietQueues | None = None,
    ) -> None:
        """Take `board` and `quiet`, which are told what was measured."""
        self.interval_s = interval_s
        self._store = store
        self._registry = registry
        self._clock = clock
        self._metrics = metrics
        self._due = due
        self._expiring = expiring
        self._outbox = outbox
        self._blocked = blocked
        self._due_soon_s = due_soon_s
        self._board = board
        self._quiet = quiet

    async def run_once(self) -> DutyResult:
        """Measure every queue and publish the sums by type. Returns: when to come back."""
        depths: defaultdict[JobType, list[Depths]] = defaultdict(list)
        try:
            await self._measure(depths)
        except StoreError as error:
            # Without Redis the last demand stays: a part would be taken for the whole, and workers be stopped.
            if not isinstance(error, StoreUnavailableError):
                await self._publish_demand(depths)
            raise
        finally:
            self._metrics.publish(sum_depths(job_type, some) for job_type, some in depths.items())
            self._metrics.publish_keys(_keys(depths))
            every = [one for some in depths.values() for one in some]
            oldest_ms = max((one.oldest_news_age_ms for one in every), default=0)
            self._metrics.publish_outbox(sum(one.outbox for one in every), oldest_ms / 1000)
        await self._publish_demand(depths)
        return DutyResult(next_in_s=REMEASURED_AT * self.interval_s)

    async def _measure(self, depths: defaultdict[JobType, list[Depths]]) -> None:
        """Measure every queue, and add what each holds to `depths`."""
        queues = await self._registry.queues()
        self._metrics.know_types(queue.type for queue in queues)

        async def measure(queue: Queue) -> None:
            checked_at = time.monotonic()
            found = await self._store.measure(queue, due_soon_s=self._due_soon_s)
            self._due.record(queue, checked_at=checked_at, next_in_ms=found.next_due_in_ms)
            self._expiring.record(queue, checked_at=checked_at, next_in_ms=found.next_expiry_in_ms)
            self._outbox.record(queue, checked_at=checked_at, next_in_ms=found.next_news_in_ms)
            self._blocked.record(queue, checked_at=checked_at, next_in_ms=found.next_link_in_ms)
            depths[queue.type].append(found)
            if self._quiet is not None:
                self._quiet.note(queue, found)

        await for_each_queue(queues, measure)

    async def _publish_demand(self, depths: Mapping[JobType, Sequence[Depths]]) -> None:
        """Publish how many workers there should be. The measurements have just told what time it is on Redis."""
        workers = available(await self._registry.workers(), self._clock.now_ms())
        of_type: defaultdict[str, list[WorkerInfo]] = defaultdict(list)
        for worker in workers:
            for job_type in worker.types:
                of_type[job_type].append(worker)
        self._metrics.publish_demand(
            {job_type: demand_of(some, of_type[job_type]) for job_type, some in depths.items()},
            demand_of((one for some in depths.values() for one in some), workers),
            len(workers),
        )
        if self._board is not None:
            self._board.put((sum_depths(job_type, some) for job_type, some in depths.items()), workers)


def _keys(depths: Mapping[JobType, Sequence[Depths]]) -> dict[str, tuple[int, int, int]]:
    """Return lanes, full keys and rate-limited keys of the types that have limits, partitions summed."""
    limited = {job_type: [one.keys for one in some if one.keys] for job_type, some in depths.items()}
    return {
        job_type: (sum(one.lanes for one in some), sum(one.full for one in some), sum(one.rate_limited for one in some))
        for job_type, some in limited.items()
        if some
    }
