"""Runs nodes of workflows again: decides on what a workflow is like, and is refused when it has gone on meanwhile."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from millstream_contracts import UNDECODABLE, JobId, Queue, Tenant, WorkflowId, ids_by_queue
from millstream_streams.store.deliveries import ActionCode
from millstream_streams.store.flow_shards import WORKFLOW_KIND
from millstream_streams.store.job_store import JobStore
from millstream_streams.store.keys import Keys
from millstream_streams.store.queue_scripts import in_calls
from millstream_streams.store.scripting import Argument
from millstream_streams.workflows.node_reader import NodeReader
from millstream_streams.workflows.rerun import Rerun, plan_rerun, read_graph
from millstream_streams.workflows.stored_workflow import RerunCode

RERUN_TRIES = 5
"""How often a rerun is decided on anew, when the workflow has gone on meanwhile."""


class Rerunner:
    """Carries out reruns. `ask` returns the replies to commands of one slot, `run` that of the script."""

    def __init__(
        self,
        ask: Callable[[list[tuple[Any, ...]]], Awaitable[list[Any]]],
        run: Callable[[Queue, list[Argument]], Awaitable[Any]],
        nodes: NodeReader,
        store: JobStore,
        keys: Keys,
    ) -> None:
        self._ask = ask
        self._run = run
        self._nodes = nodes
        self._store = store
        self._keys = keys

    async def rerun(
        self, tenant: Tenant, workflow_id: WorkflowId, places: Sequence[int] | None, request: bytes
    ) -> RerunCode:
        """Run nodes again, as :meth:`Workflows.rerun` says."""
        shard = WORKFLOW_KIND.shard_of(tenant, workflow_id)
        if shard is None:
            return RerunCode.NOT_FOUND
        for _ in range(RERUN_TRIES):
            found = await self._plan(shard, workflow_id, places, request)
            if isinstance(found, RerunCode):
                return found
            turn, plan = found
            dead_items = await self._nodes.dead_items(shard, workflow_id, plan.maps)
            if dead_items is None or not await self._discard(tenant, [*plan.dead, *dead_items]):
                return RerunCode.RUNNING
            code = RerunCode(int(await self._run(shard, [workflow_id, request, turn, *plan.arguments])))
            if code is not RerunCode.CHANGED:
                return code
        return RerunCode.CHANGED

    async def _plan(
        self, shard: Queue, workflow_id: WorkflowId, places: Sequence[int] | None, request: bytes
    ) -> RerunCode | tuple[bytes, Rerun]:
        """Return the turn of a workflow and what a rerun of it is; or why there is none."""
        key = self._keys.of_workflows(shard).part
        commands: list[tuple[Any, ...]] = [
            ("HMGET", key(workflow_id), "turn", "run", "request", "counts"),
            ("HGETALL", key(workflow_id, "graph")),
            ("HGETALL", key(workflow_id, "live")),
            ("HGETALL", key(workflow_id, "nodes")),
            ("GET", key(workflow_id, "edges")),
        ]
        head, *parts = await self._ask(commands)
        if not head or head[3] is None:
            return RerunCode.NOT_FOUND
        if head[2] == request:
            return RerunCode.REPLAYED
        try:
            plan = plan_rerun(read_graph(*parts), places, run=int(head[1] or 1) + 1)
        except (KeyError, ValueError, *UNDECODABLE):
            return RerunCode.NOT_FOUND  # another program wrote it
        return RerunCode.RUNNING if plan is None else (head[0] or b"0", plan)

    async def _discard(self, tenant: Tenant, ids: Iterable[JobId]) -> bool:
        """Discard dead jobs. Returns: False, when one was redriven meanwhile."""
        for queue, some in ids_by_queue(tenant, ids).items():
            for part in in_calls(some):
                codes = await self._store.discard(queue, part)
                for job_id, code in zip(part, codes, strict=True):
                    if code is ActionCode.WRONG_STATE and not await self._is_discarded(queue, job_id):
                        return False
        return True

    async def _is_discarded(self, queue: Queue, job_id: JobId) -> bool:
        """Return whether a job that is not dead was discarded before, by a try of the same rerun."""
        (state,) = await self._ask([("HGET", self._keys.of(queue).job(job_id), "state")])
        return bool(state == b"cancelled")
