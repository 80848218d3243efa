"""Submits the jobs of callbacks, ends the members of cancelled batches, and records what has ended.

Run by every dispatcher. An entry of the outbox is taken under a lease and stays until it is confirmed. To store a job
again changes nothing: its id was decided on with the batch, and no start is accepted after the lease (ADR 74).
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec
import structlog
from msgspec.structs import replace

from millstream_contracts import UNDECODABLE, Queue, Submission, Tenant, ids_by_queue, queue_of
from millstream_dispatcher.flow_rounds import Confirmed, Started, empty_outboxes, make_each
from millstream_runtime import Wake
from millstream_streams import (
    ActionCode,
    BatchTask,
    Broker,
    CallbackTask,
    EndTask,
    NodeRef,
    RecordTask,
    StoreError,
    TakenBatchTasks,
)
from millstream_submission import BuiltJob, SubmissionError, SystemSubmitter, UniqueConflictError
from millstream_telemetry import BatchMetrics, JobTracer, TraceContext

MAX_REASON = 200

_decode = msgspec.msgpack.Decoder(Submission).decode
_encode = msgspec.msgpack.Encoder().encode


class BatchStarter:
    """A duty. It is woken by hints."""

    name = "batch-starter"

    def __init__(
        self,
        broker: Broker,
        submitter: SystemSubmitter,
        tracer: JobTracer,
        metrics: BatchMetrics,
        *,
        interval_s: float,
    ) -> None:
        self.interval_s = interval_s
        self.wake = Wake()
        self._broker = broker
        self._submitter = submitter
        self._tracer = tracer
        self._metrics = metrics
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Started:
        """Do what there is to be done in every shard. Returns: when to come back."""
        return await empty_outboxes(await self._broker.batches.shards(), self._take, self._carry_out)

    async def _take(self, shard: Queue, limit: int, confirmed: Confirmed) -> TakenBatchTasks:
        return await self._broker.batches.take_tasks(shard, limit, confirmed)

    async def _carry_out(
        self, tenant: Tenant, tasks: Sequence[BatchTask], until_s: float
    ) -> tuple[Confirmed, StoreError | None]:
        """Do what is to be done. Returns: what was done, and the failure of a queue that is away."""
        calls: list[Callable[[], Awaitable[Confirmed]]] = []
        callbacks: defaultdict[Queue | None, list[CallbackTask]] = defaultdict(list)
        for task in tasks:
            match task:
                case CallbackTask():
                    callbacks[queue_of(tenant, task.job_id)].append(task)
                case EndTask():
                    calls.append(partial(self._end, tenant, task))
                case RecordTask():
                    calls.append(partial(self._record, tenant, task))
        confirmed: Confirmed = [(task.entry, "refused unreadable") for task in callbacks.pop(None, [])]
        calls += [partial(self._start, tenant, some, until_s) for some in callbacks.values()]
        done, failure = await make_each(calls)
        return confirmed + done, failure

    async def _start(self, tenant: Tenant, tasks: Sequence[CallbackTask], until_s: float) -> Confirmed:
        """Store the jobs of callbacks, which are of one queue."""
        confirmed: Confirmed = []
        built: list[tuple[CallbackTask, BuiltJob]] = []
        for task in tasks:
            try:
                built.append((task, await self._build(tenant, task)))
            except (SubmissionError, *UNDECODABLE) as error:
                confirmed.append((task.entry, self._refuse(task, error)))
        answers = await self._submitter.store([one for _, one in built], until_s=until_s)
        for (task, _), answer in zip(built, answers, strict=True):
            if answer.holder:
                confirmed.append((task.entry, self._refuse(task, UniqueConflictError(answer.holder))))
            else:
                confirmed.append((task.entry, ""))
                self._metrics.count_callback(task.fired.event, "started")
        return confirmed

    def _refuse(self, task: CallbackTask, error: Exception) -> str:
        """Log that no job can be made of a callback. Returns: what its batch is told."""
        self._metrics.count_callback(task.fired.event, "refused")
        self._log.warning("callback refused", batch=task.fired.id, callback=task.fired.event, reason=str(error))
        return f"refused {' '.join(str(error).split())[:MAX_REASON]}"

    async def _build(self, tenant: Tenant, task: CallbackTask) -> BuiltJob:
        submission = _decode(task.content)
        return await self._submitter.build(
            tenant,
            _encode(replace(submission, tags={**(submission.tags or {}), **task.fired.tags})),
            None,
            caller=TraceContext(task.trace),
            job_id=task.job_id,
            node=NodeRef(task.fired.id, task.fired.event.value),
            owner=task.owner,
        )

    async def _end(self, tenant: Tenant, task: EndTask) -> Confirmed:
        """End the jobs of members of a cancelled batch. Its batch is told which were asked, and which are gone."""
        gone = set(task.job_ids)
        for queue, ids in ids_by_queue(tenant, task.job_ids).items():
            codes = await self._broker.store.cancel(queue, ids)
            gone -= {one for one, code in zip(ids, codes, strict=True) if code is not ActionCode.UNKNOWN_JOB}
        return [(task.entry, f"asked {','.join(task.job_ids)} {','.join(sorted(gone))}")]

    async def _record(self, tenant: Tenant, task: RecordTask) -> Confirmed:
        """Write the span of a batch that has ended."""
        ended = await self._broker.batches.read(tenant, [task.batch]) if self._tracer.is_on else {}
        for one in ended.values():
            self._tracer.batch(
                one.name,
                one.id,
                TraceContext(one.trace),
                created_ms=one.created_at_ms,
                finished_ms=one.finished_at_ms or one.moved_at_ms,
                state=one.state,
                counts={state.value: count for state, count in one.counts.items()},
            )
        return [(task.entry, "")]
