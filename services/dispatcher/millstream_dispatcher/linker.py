"""Looks after blocked jobs: tells their parents of them when their submitter could not, and asks these again later.

Run by every dispatcher. The later looks repair what a failover of Redis has lost: they go on for as long as a job is
blocked.
"""

from millstream_contracts import Queue
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.messenger import count_outcomes
from millstream_runtime import DutyResult
from millstream_streams import Blocked, DependencyStore, StoreError, StoreUnavailableError, for_each_queue
from millstream_submission import Dependencies
from millstream_telemetry import DispatcherMetrics


class Links(DutyResult, frozen=True):
    """The result of one pass."""

    looked_at: int = 0


class Linker:
    """A duty. Measurements tell its schedule when a blocked job of a queue has to be looked at."""

    name = "linker"

    def __init__(
        self,
        store: DependencyStore,
        dependencies: Dependencies,
        schedule: CheckSchedule,
        metrics: DispatcherMetrics,
        *,
        interval_s: float,
    ) -> None:
        self.interval_s = interval_s
        self.wake = schedule.wake
        self._store = store
        self._dependencies = dependencies
        self._schedule = schedule
        self._metrics = metrics

    async def run_once(self) -> Links:
        """Look at the blocked jobs whose turn it is. Returns: when to come back."""
        looked_at = 0

        async def look(queue: Queue) -> None:
            nonlocal looked_at
            with self._schedule.checking(queue) as checked_at:
                found, next_in_ms = await self._store.take_blocked(queue)
                await self._link(queue, found)
            self._schedule.record(queue, checked_at=checked_at, next_in_ms=0 if found else next_in_ms)
            looked_at += len(found)

        queues = await self._schedule.due()
        self._metrics.know_types(queue.type for queue in queues)
        await for_each_queue(queues, look)
        return Links(next_in_s=self._schedule.sleep_s(), looked_at=looked_at)

    async def _link(self, queue: Queue, found: list[Blocked]) -> None:
        """Link each job by itself: one with a broken parent must not keep the others from it.

        Raises: StoreUnavailableError; another StoreError once all others are linked.
        """
        failure: StoreError | None = None
        for one in found:
            try:
                count_outcomes(self._metrics, queue, await self._dependencies.link(queue, [one]))
            except StoreUnavailableError:
                raise
            except StoreError as error:
                failure = error
        if failure is not None:
            raise failure
