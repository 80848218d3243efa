"""Carries out nodes with `map`: a job for each item of a list, a hundred at a time."""

from collections.abc import Sequence

from millstream_contracts import Queue, Tenant, ids_by_queue, limits
from millstream_dispatcher.workflows.node_job_maker import REFUSALS, NodeJobMaker
from millstream_streams import WORKFLOW_KIND, ActionCode, Broker, NodeTask, TaskKind, in_calls, job_id_of
from millstream_telemetry import WorkflowMetrics
from millstream_workflows import map_items

_UNKNOWN = "-"
"""The letter of an item of which nothing is known. Jobs of others were stored, and the auditor looks for them."""


class Mapper:
    """Starts and ends the jobs of items."""

    def __init__(self, broker: Broker, maker: NodeJobMaker, metrics: WorkflowMetrics) -> None:
        self._broker = broker
        self._maker = maker
        self._metrics = metrics

    async def carry_out(self, queue: Queue, task: NodeTask, until_s: float) -> list[tuple[str, str]]:
        """Do what is to be done for a node. Returns: its entry, and what became of it. Raises: StoreError."""
        try:
            task = await self._maker.opened(queue.tenant, task)
            items = map_items(task.blueprint, task.results)
        except REFUSALS as error:
            return [(task.entry, "gone" if task.kind is TaskKind.UNDO else self._maker.refuse(task, error))]
        if task.kind is TaskKind.UNDO:
            return [(task.entry, await self._undo(queue, task, len(items)))]
        upto = min(len(items), task.next_item + limits.MAX_SCRIPT_JOBS)
        if task.head.is_placed_late and None in task.partitions[: upto - task.next_item]:
            return [(task.entry, await self._place(queue.tenant, task, items[task.next_item : upto]))]
        built = []
        for item, letter in zip(range(task.next_item, upto), task.known_items, strict=False):
            if letter == _UNKNOWN:
                try:
                    built.append(await self._maker.job_of(queue.tenant, task, item, items[item]))
                except REFUSALS as error:
                    return [(task.entry, self._maker.refuse(task, error))]
        if kept_out := await self._maker.store(built, until_s):
            return [(task.entry, self._maker.refuse(task, next(iter(kept_out.values()))))]
        return [(task.entry, f"items {task.next_item} {len(items)} {upto} {task.head.max_failures}")]

    async def _place(self, tenant: Tenant, task: NodeTask, items: Sequence[bytes]) -> str:
        """Decide in which partitions the jobs of the next items are to lie, before they are stored."""
        try:
            placed = [await self._maker.partition_of(tenant, task, item) for item in items]
        except REFUSALS as error:
            return self._maker.refuse(task, error)
        return f"placed {task.next_item} {','.join(map(str, placed))}"

    async def _undo(self, queue: Queue, task: NodeTask, count: int) -> str:
        """End the jobs of all items. Those that are not there never will be."""
        shard = WORKFLOW_KIND.shard_of(queue.tenant, task.workflow)
        placed = {}
        if task.head.is_placed_late and shard is not None:
            placed = await self._broker.workflows.placed_items(shard, task.workflow, int(task.node))
        items = range(count)
        ids = {job_id_of(task.head.job_id, task.run, one, partition=placed.get(one)): one for one in items}
        absent: list[int] = []
        for target, of_queue in ids_by_queue(queue.tenant, ids).items():
            for some in in_calls(of_queue):
                codes = await self._broker.store.cancel(target, some)
                absent += [ids[one] for one, code in zip(some, codes, strict=True) if code is ActionCode.UNKNOWN_JOB]
        self._metrics.count_start("undone", count)
        return f"undone {count} {task.head.max_failures} {','.join(map(str, absent))}"
