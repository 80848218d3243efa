"""Stores workflows that have ended in the history. Run by every dispatcher; each workflow goes to one of them.

A workflow stands in its shard as ended until it is confirmed that the history has it as it is then. So it is stored at
least once, storing it again changes nothing, and Redis does not forget it before.
"""

from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from millstream_contracts import JobType, Keeps, Queue, WorkflowId, WorkflowNode, WorkflowStatus, limits
from millstream_dispatcher.kept_parts import KeptParts
from millstream_history import EndedWorkflow, History
from millstream_runtime import DutyResult
from millstream_streams import Broker, StoredWorkflow, TakenEnds, for_each_queue
from millstream_submission import shown_node, shown_workflow
from millstream_submission.flow_results import is_any_sealed
from millstream_telemetry import HistoryMetrics

LIMIT = 50
"""Workflows that are taken at a time."""
NODES_AT_ONCE = 20_000
"""Nodes in one transaction; a workflow that has more by itself is alone in it."""
MAX_RESULT_BYTES = limits.MAX_PAYLOAD_BYTES
"""A larger result is not stored: it may be sixteen times as large as a payload."""

NOT_KEPT = "the history does not keep results of these types"
ENCRYPTED = "the result is of jobs that are stored encrypted, and the history does not keep it"
TOO_LARGE = "the result is too large for the history"

Stored = list[tuple[WorkflowId, int | None]]
"""Workflows that need not be stored any more, each with the turn of what was read of it."""


class Recorded(DutyResult, frozen=True):
    """The result of one pass."""

    stored: int = 0


class WorkflowRecorder:
    """A duty. Its name on dashboards is `workflow-historian`."""

    name = "workflow-historian"
    interval_s = 1.0

    def __init__(self, broker: Broker, history: History, metrics: HistoryMetrics) -> None:
        self._broker = broker
        self._workflows = broker.workflows
        self._history = history
        self._metrics = metrics
        self._kept = KeptParts(broker.registry)
        self._waiting: dict[Queue, int] = {}
        self._oldest_ms: dict[Queue, int] = {}
        """When the first ended of those that were taken last, and are not stored: their lease is not over."""
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Recorded:
        """Store what has ended in every shard. Raises: StoreError, HistoryError."""
        stored, is_full = 0, False

        async def record(shard: Queue) -> None:
            nonlocal stored, is_full
            taken = await self._workflows.take_ended(shard, LIMIT)
            found = await self._workflows.read(shard.tenant, list(taken.places))
            ends = [one.finished_at_ms for one in found.values() if one.finished_at_ms]
            self._show(shard, taken.waiting, ends)
            done = await self._store(shard, taken, found)
            if done:
                left = await self._workflows.take_ended(shard, 0, done)
                self._oldest_ms.pop(shard, None)
                self._show(shard, left.waiting, [])
                stored += len(done)
                is_full = is_full or len(taken.places) == LIMIT

        await for_each_queue(await self._workflows.shards(), record)
        return Recorded(more=is_full, stored=stored)

    def _show(self, shard: Queue, waiting: int, ends: Sequence[int]) -> None:
        """Show how many workflows wait, and how long ago the first of those ended that this dispatcher has taken."""
        self._waiting[shard] = waiting
        if ends:
            self._oldest_ms[shard] = min(ends)
        elif not waiting:
            self._oldest_ms.pop(shard, None)
        oldest_ms = min(self._oldest_ms.values(), default=None)
        lag_s = 0.0 if oldest_ms is None else max(0.0, self._broker.clock.now_s() - oldest_ms / 1000)
        self._metrics.show_workflows(sum(self._waiting.values()), lag_s)

    async def _store(self, shard: Queue, taken: TakenEnds, found: dict[WorkflowId, StoredWorkflow]) -> Stored:
        """Store workflows. Returns: those that the history has now, or that it will not have."""
        done: Stored = []
        rows: list[EndedWorkflow] = []
        turns: Stored = []
        for workflow_id, place in taken.places.items():
            stored = found.get(workflow_id)
            if stored is None:
                self._log.warning("a workflow that has ended cannot be read", workflow=workflow_id)
                done.append((workflow_id, None))
            elif not stored.state.is_terminal:
                # A dead job of it was redriven, or it was run again.
                done.append((workflow_id, stored.turn))
            else:
                rows.append(await self._ended(shard, stored, place))
                turns.append((workflow_id, stored.turn))
            if sum(len(one.nodes) for one in rows) >= NODES_AT_ONCE:
                done += await self._write(rows, turns)
                rows, turns = [], []
        return done + await self._write(rows, turns)

    async def _write(self, rows: list[EndedWorkflow], turns: Stored) -> Stored:
        if rows:
            await self._history.workflows.store(rows)
        return turns

    async def _ended(self, shard: Queue, stored: StoredWorkflow, place: float) -> EndedWorkflow:
        nodes: list[WorkflowNode] = []
        start: int | None = 0
        types: dict[str, str] = {}
        while start is not None:
            some, start = await self._workflows.nodes(shard.tenant, stored.id, start=start)
            inputs = await self._workflows.inputs(shard.tenant, stored.id, [one.place for one in some])
            nodes += [shown_node(one, inputs.get(one.place)) for one in some]
            types |= {one.name: one.queue.type for one in some}
        status = await self._status(shard, stored, types)
        return EndedWorkflow(tenant=shard.tenant, status=status, place=place, turn=stored.turn, nodes=nodes)

    async def _status(self, shard: Queue, stored: StoredWorkflow, types: dict[str, str]) -> WorkflowStatus:
        """Return a workflow with its result, as far as the history keeps it."""
        names = dict(stored.result_inputs)
        queues = {Queue(shard.tenant, JobType(types[name])) for name in names.values() if name in types}
        kept: dict[Queue, Keeps] = await self._kept.of(queues)
        if any(one != "everything" for one in kept.values()):
            return _without_result(stored, NOT_KEPT)
        results = await self._workflows.results(shard.tenant, stored.id, list(names)) if names else {}
        if is_any_sealed({names[place]: content for place, content in results.items()}):
            return _without_result(stored, ENCRYPTED)
        if sum(map(len, results.values())) + len(stored.result) > MAX_RESULT_BYTES:
            return _without_result(stored, TOO_LARGE)
        return shown_workflow(stored, {names[place]: content for place, content in results.items()})


def _without_result(stored: StoredWorkflow, why: str) -> WorkflowStatus:
    status = shown_workflow(stored)
    return status if status.reason or not stored.result else replace(status, reason=why)
