"""Looks at workflows that have been still for a while, and forgets those that ended long ago. Run by every dispatcher.

Nothing relies on it while Redis keeps what it has confirmed. It repairs what a failover has lost: news of a job that a
workflow does not know, and a job that is not there.
"""

import structlog

from millstream_contracts import JobId, NodeState, Queue, WorkflowId, ids_by_queue
from millstream_dispatcher.flow_audit import LIMIT, absent_jobs, audit_shards
from millstream_runtime import DutyResult
from millstream_streams import Broker, StoredNode, job_id_of
from millstream_telemetry import WorkflowMetrics

_STARTED = frozenset({NodeState.STARTED})


class WorkflowAuditor:
    """A duty."""

    name = "workflow-auditor"

    def __init__(self, broker: Broker, metrics: WorkflowMetrics, *, interval_s: float, awaited_s: float = 0.0) -> None:
        """Take for how long a workflow is kept, beyond its time, that the history does not have yet."""
        self.interval_s = interval_s
        self._awaited_s = awaited_s
        self._broker = broker
        self._metrics = metrics
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> DutyResult:
        """Look at what is to be looked at in every shard, and count the workflows."""
        return await audit_shards(self._broker.workflows, self._look, self._metrics.show)

    async def _look(self, shard: Queue) -> bool:
        found, next_in_ms = await self._broker.workflows.take_checks(shard, LIMIT, awaited_s=self._awaited_s)
        for one in found:
            await self._check(shard, one)
        return next_in_ms == 0

    async def _check(self, shard: Queue, workflow_id: WorkflowId) -> None:
        """Compare the nodes of a workflow that have started with their jobs. Raises: StoreError."""
        lost: list[tuple[str, int]] = []
        start: int | None = 0
        while start is not None:
            nodes, start = await self._broker.workflows.nodes(shard.tenant, workflow_id, start=start, states=_STARTED)
            lost += await self._lost(shard, workflow_id, nodes)
        restarted = await self._broker.workflows.end_check(shard, workflow_id, lost)
        if restarted:
            self._metrics.count_repair("restarted", restarted)
            self._log.warning("lost jobs of a workflow started again", workflow=workflow_id, jobs=restarted)

    async def _lost(self, shard: Queue, workflow_id: WorkflowId, nodes: list[StoredNode]) -> list[tuple[str, int]]:
        """Return those of these nodes, or of their items, whose jobs are not there; have the others told again."""
        places: dict[JobId, tuple[str, int]] = {}
        for node in nodes:
            if node.is_map:
                items = await self._broker.workflows.items(shard, workflow_id, node.place)
                for item, partition in items.items():
                    job_id = job_id_of(node.first_job_id, node.run, item, partition=partition)
                    places[job_id] = (f"{node.place}.{item}", node.run)
            elif node.job_id is not None:
                places[node.job_id] = (str(node.place), node.run)
        lost: list[tuple[str, int]] = []
        for queue, ids in ids_by_queue(shard.tenant, places).items():
            lost += [places[one] for one in await absent_jobs(self._broker, queue, ids)]
        return lost
