"""Tells blocked jobs that a job has settled for which they wait. Run by every dispatcher.

Level, not edge: a job stays in the outbox of its queue until each of its children knows its present state. So messages
may be lost, doubled or late, and what a killed dispatcher leaves undone is done after its lease.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from millstream_contracts import JobId, JobState, Queue, limits, queue_of
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_runtime import DutyResult
from millstream_streams import Edge, JobStore, News, ResolveCode, StoreError, Told, for_each_queue
from millstream_telemetry import DispatcherMetrics


class Messages(DutyResult, frozen=True):
    """The result of one pass."""

    told: int = 0
    """Edges of which a blocked job was told."""


class Messenger:
    """A duty. Hints and measurements tell its schedule where there is something to tell."""

    name = "messenger"

    def __init__(
        self, store: JobStore, schedule: CheckSchedule, metrics: DispatcherMetrics, *, interval_s: float
    ) -> None:
        self.interval_s = interval_s
        self.wake = schedule.wake
        self._store = store
        self._schedule = schedule
        self._metrics = metrics

    async def run_once(self) -> Messages:
        """Tell what there is to tell. Returns: when to come back."""
        told = 0

        async def tell(queue: Queue) -> None:
            nonlocal told
            with self._schedule.checking(queue) as checked_at:
                news, next_in_ms = await self._store.take_news(queue)
                told += await self._tell(queue, news)
            # After a round there may be another one of the same jobs, at once.
            self._schedule.record(queue, checked_at=checked_at, next_in_ms=0 if news else next_in_ms)

        await for_each_queue(await self._schedule.due(), tell)
        return Messages(next_in_s=self._schedule.sleep_s(), told=told)

    async def _tell(self, queue: Queue, news: Sequence[News]) -> int:
        """Tell the children of jobs of one queue. Returns: how many. Raises: StoreError, once all others are told."""
        edges: defaultdict[Queue | None, list[tuple[News, JobId]]] = defaultdict(list)
        for one in news:
            for child in one.children:
                edges[queue_of(queue.tenant, child)].append((one, child))
        # What is no job id has no queue: it is told, and so removed.
        told = [_told(one, child, ResolveCode.UNKNOWN_JOB) for one, child in edges.pop(None, [])]
        failure: StoreError | None = None
        for of_children, some in edges.items():
            try:
                told += await self._resolve(of_children, some)
            except StoreError as error:
                # Those of the other queues do not wait for it. What was not told is told after the lease.
                failure = error
        for start in range(0, len(told), limits.MAX_SCRIPT_JOBS):
            await self._store.end_news(queue, told[start : start + limits.MAX_SCRIPT_JOBS])
        if failure is not None:
            raise failure
        return len(told)

    async def _resolve(self, queue: Queue | None, edges: Sequence[tuple[News, JobId]]) -> list[Told]:
        assert queue is not None
        told = []
        self._metrics.know_types([queue.type])
        for start in range(0, len(edges), limits.MAX_SCRIPT_JOBS):
            part = edges[start : start + limits.MAX_SCRIPT_JOBS]
            codes = await self._store.resolve(queue, [Edge(child, one.id, one.state) for one, child in part])
            told += [_told(one, child, code) for (one, child), code in zip(part, codes, strict=True)]
            count_outcomes(self._metrics, queue, Counter(codes))
        return told


def _told(one: News, child: JobId, code: ResolveCode) -> Told:
    return Told(one.id, one.version, child, is_kept=code is ResolveCode.KEPT)


def count_outcomes(metrics: DispatcherMetrics, queue: Queue, counts: Mapping[ResolveCode, int]) -> None:
    """Count what became of edges of one queue, by outcome, and the jobs that ended by them."""
    for code, count in counts.items():
        metrics.count_resolved(code.name.lower(), count)
    if ended := counts.get(ResolveCode.ENDED):
        metrics.count_finished(queue.type, JobState.CANCELLED, ended)
