"""Tells blocked jobs, workflows and batches that a job has settled for which they wait. Run by every dispatcher.

Level, not edge: a job stays in the outbox of its queue until each of its children, and its workflow or batch, knows its
present state. So messages may be lost, doubled or late. What a killed dispatcher leaves undone is done after its lease.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from millstream_contracts import JobId, JobState, Queue, queue_of
from millstream_dispatcher.check_schedule import CheckSchedule
from millstream_dispatcher.flow_teller import FlowTeller
from millstream_runtime import DutyResult
from millstream_streams import DependencyStore, Edge, News, ResolveCode, StoreError, Told, for_each_queue, in_calls
from millstream_telemetry import DispatcherMetrics


class Messages(DutyResult, frozen=True):
    """The result of one pass."""

    told: int = 0
    """Edges of which a blocked job was told, and jobs of which a workflow or a batch was."""


class Messenger:
    """A duty. Hints and measurements tell its schedule where there is something to tell."""

    name = "messenger"

    def __init__(
        self,
        store: DependencyStore,
        flows: FlowTeller,
        schedule: CheckSchedule,
        metrics: DispatcherMetrics,
        *,
        interval_s: float,
    ) -> None:
        self.interval_s = interval_s
        self.wake = schedule.wake
        self._store = store
        self._flows = flows
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
        of_flows, failure = await self._flows.tell(queue.tenant, news)
        told += of_flows
        for of_children, some in edges.items():
            try:
                told += await self._resolve(of_children, some)
            except StoreError as error:
                # Those of the other queues do not wait for it. What was not told is told after the lease.
                failure = error
        for part in in_calls(told):
            await self._store.end_news(queue, part)
        if failure is not None:
            raise failure
        return len(told)

    async def _resolve(self, queue: Queue | None, edges: Sequence[tuple[News, JobId]]) -> list[Told]:
        assert queue is not None
        told = []
        self._metrics.know_types([queue.type])
        for part in in_calls(edges):
            codes = await self._store.resolve(queue, [Edge(child, one.id, one.state) for one, child in part])
            told += [_told(one, child, code) for (one, child), code in zip(part, codes, strict=True)]
            count_outcomes(self._metrics, queue, Counter(codes))
        return told


def _told(one: News, child: JobId, code: ResolveCode) -> Told:
    return Told(one.id, one.version, child, is_kept=code is ResolveCode.KEPT)


_ENDS = {ResolveCode.CANCELLED: JobState.CANCELLED, ResolveCode.DEAD: JobState.DEAD}


def count_outcomes(metrics: DispatcherMetrics, queue: Queue, counts: Mapping[ResolveCode, int]) -> None:
    """Count what became of edges of one queue, by outcome, and the jobs that ended by them."""
    for code, count in counts.items():
        metrics.count_resolved(code.name.lower(), count)
        if code in _ENDS and count:
            metrics.count_finished(queue.type, _ENDS[code], count)
