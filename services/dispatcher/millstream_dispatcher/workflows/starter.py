"""Starts the jobs of nodes that are ready, and ends those of cancelled workflows. Run by every dispatcher.

A node is taken under a lease and stays in the outbox until it is confirmed. To start it again changes nothing: its job
id was decided on with the workflow, and no start is accepted after the lease (ADR 74).
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from millstream_contracts import Queue, Tenant, queue_of
from millstream_dispatcher.flow_rounds import Confirmed, Started, empty_outboxes, make_each
from millstream_dispatcher.workflows.closer import WorkflowCloser
from millstream_dispatcher.workflows.mapper import Mapper
from millstream_dispatcher.workflows.node_job_maker import REFUSALS, NodeJobMaker
from millstream_runtime import Wake
from millstream_streams import (
    ActionCode,
    Broker,
    NodeTask,
    StoreError,
    TakenTasks,
    TaskKind,
    in_calls,
)
from millstream_submission import BuiltJob, SystemSubmitter
from millstream_telemetry import WorkflowMetrics


class WorkflowStarter:
    """A duty. It is woken by hints."""

    name = "workflow-starter"

    def __init__(
        self,
        broker: Broker,
        submitter: SystemSubmitter,
        closer: WorkflowCloser,
        metrics: WorkflowMetrics,
        *,
        interval_s: float,
    ) -> None:
        self.interval_s = interval_s
        self.wake = Wake()
        self._broker = broker
        self._closer = closer
        self._metrics = metrics
        self._maker = NodeJobMaker(broker, submitter, metrics, duty=self.name)
        self._mapper = Mapper(broker, self._maker, metrics)

    async def run_once(self) -> Started:
        """Start what is ready in every shard. Returns: when to come back."""
        return await empty_outboxes(await self._broker.workflows.shards(), self._take, self._carry_out)

    async def _take(self, shard: Queue, limit: int, confirmed: Confirmed) -> TakenTasks:
        """Confirm what was done, which may end workflows, and take what is to be done next."""
        taken = await self._broker.workflows.take_starts(shard, limit, confirmed)
        await self._closer.close(shard.tenant, taken.ended)
        return taken

    async def _carry_out(
        self, tenant: Tenant, tasks: Sequence[NodeTask], until_s: float
    ) -> tuple[Confirmed, StoreError | None]:
        """Do what is to be done. Returns: what was done, and the failure of a queue that is away."""
        by_queue: defaultdict[Queue, list[NodeTask]] = defaultdict(list)
        calls: list[Callable[[], Awaitable[Confirmed]]] = []
        confirmed: Confirmed = []
        for task in tasks:
            queue = queue_of(tenant, task.job_id)
            if queue is None:
                confirmed.append((task.entry, "refused unreadable"))
            elif task.head.is_placed_late and not task.head.is_map and task.partition is None:
                calls.append(partial(self._place, tenant, task))
            elif task.head.is_map:
                calls.append(partial(self._mapper.carry_out, queue, task, until_s))
            else:
                by_queue[queue].append(task)
        for queue, some in by_queue.items():
            starts = [one for one in some if one.kind is TaskKind.START]
            calls.append(partial(self._start, queue, starts, until_s))
            calls.append(partial(self._undo, queue, [one for one in some if one.kind is TaskKind.UNDO]))
        done, failure = await make_each(calls)
        return confirmed + done, failure

    async def _place(self, tenant: Tenant, task: NodeTask) -> Confirmed:
        """Decide in which partition the job of a node is to lie: it is stored once that is noted, so it is never two.

        A job without a partition was never stored.
        """
        if task.kind is TaskKind.UNDO:
            return [(task.entry, "gone")]
        try:
            return [(task.entry, f"placed {await self._maker.partition_of(tenant, task)}")]
        except REFUSALS as error:
            return [(task.entry, self._maker.refuse(task, error))]

    async def _start(self, queue: Queue, tasks: Sequence[NodeTask], until_s: float) -> Confirmed:
        confirmed: Confirmed = []
        built: list[tuple[NodeTask, BuiltJob]] = []
        for task in tasks:
            try:
                built.append((task, await self._maker.job_of(queue.tenant, task)))
            except REFUSALS as error:
                confirmed.append((task.entry, self._maker.refuse(task, error)))
        kept_out = await self._maker.store([one for _, one in built], until_s)
        for task, one in built:
            conflict = kept_out.get(one.job.id)
            confirmed.append((task.entry, self._maker.refuse(task, conflict) if conflict else ""))
        return confirmed

    async def _undo(self, queue: Queue, tasks: Sequence[NodeTask]) -> Confirmed:
        """End jobs of cancelled workflows. One that is not there never will be: its start came too late."""
        confirmed: Confirmed = []
        for some in in_calls(tasks):
            codes = await self._broker.store.cancel(queue, [task.job_id for task in some])
            confirmed += [
                (task.entry, "gone" if code is ActionCode.UNKNOWN_JOB else "")
                for task, code in zip(some, codes, strict=True)
            ]
        self._metrics.count_start("undone", len(confirmed))
        return confirmed
