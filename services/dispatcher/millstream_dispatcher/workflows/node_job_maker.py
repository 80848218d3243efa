"""Makes jobs of nodes: their payloads of results, and their place in the workflow."""

from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from millstream_codec import KeyLostError
from millstream_contracts import UNDECODABLE, JobId, Tenant, queue_of
from millstream_streams import Broker, NodeRef, NodeTask, StoreUnavailableError, job_id_of
from millstream_submission import BuiltJob, SubmissionError, SystemSubmitter, UniqueConflictError, parent_spans
from millstream_submission.flow_results import opened_results
from millstream_telemetry import MAX_LINKS, TraceContext, WorkflowMetrics
from millstream_workflows import InputError, compose

MAX_REASON = 200

REFUSALS = (InputError, SubmissionError, *UNDECODABLE)
"""What is raised where no job can be made of a node."""


class NodeJobMaker:
    """Makes and stores jobs of nodes."""

    def __init__(self, broker: Broker, submitter: SystemSubmitter, metrics: WorkflowMetrics, *, duty: str) -> None:
        self._broker = broker
        self._found: tuple[str, list[TraceContext]] = ("", [])
        """The entry of the outbox for which spans were looked for last, and these."""
        self._submitter = submitter
        self._metrics = metrics
        self._log = structlog.get_logger().bind(duty=duty)

    async def job_of(
        self, tenant: Tenant, task: NodeTask, item: int | None = None, value: bytes | None = None
    ) -> BuiltJob:
        """Return the job of a node, or of an item of one with `map`, whose value in MessagePack is given.

        Of an item the caller has :meth:`opened` the node. Raises: REFUSALS; StoreUnavailableError.
        """
        if item is None:
            task = await self.opened(tenant, task)
        place = task.node if item is None else f"{task.node}.{item}"
        partition = task.partition if item is None else task.partition_of(item)
        built = await self._submitter.build(
            tenant,
            compose(task.blueprint, task.results, value),
            None,
            caller=TraceContext(task.trace),
            behind=await self._behind(tenant, task),
            job_id=job_id_of(task.head.job_id, task.run, item, partition=partition),
            node=NodeRef(task.workflow, place, task.run, wants_result=task.wants_result),
            owner=task.owner,
        )
        return await self._encrypted(tenant, built) if task.is_secret else built

    async def opened(self, tenant: Tenant, task: NodeTask) -> NodeTask:
        """Return a node with the results of encrypted jobs decrypted, as its payload is made of them.

        Raises: REFUSALS; StoreUnavailableError.
        """
        codec = self._broker.codec
        try:
            results = await opened_results(codec, tenant, task.workflow, task.results)
        except KeyLostError as error:
            if codec.keyring is None:
                raise StoreUnavailableError(f"a result cannot be decrypted: {error}") from error
            raise
        return task if results is None else replace(task, results=results, is_secret=True)

    async def _encrypted(self, tenant: Tenant, built: BuiltJob) -> BuiltJob:
        """Return a job that is stored encrypted, whatever its type says, because its payload has what is.

        Raises: InputError, where a part of the payload would be stored as it is.
        """
        codec, coding = self._broker.codec, built.job.coding
        await codec.prepare(tenant, [coding])
        if built.job.key and built.decoded.submission.key is None and not codec.encrypts(coding, tenant):
            detail = "it takes a result that is stored encrypted, and the key of its type is stored as it is"
            raise InputError("input_encrypted", detail)
        return replace(built, job=replace(built.job, coding=coding._replace(encrypt=True)))

    async def partition_of(self, tenant: Tenant, task: NodeTask, value: bytes | None = None) -> int:
        """Return the partition that the key of a job chooses, that of the node where it has none.

        Of an item the caller has :meth:`opened` the node. Raises: REFUSALS; StoreUnavailableError.
        """
        if value is None:
            task = await self.opened(tenant, task)
        chosen = await self._submitter.partition_of(tenant, compose(task.blueprint, task.results, value))
        queue = queue_of(tenant, task.head.job_id)
        return chosen if chosen is not None else queue.partition if queue else 0

    async def _behind(self, tenant: Tenant, task: NodeTask) -> list[TraceContext]:
        """Return the spans of the jobs of the nodes before a node; none where its own is not recorded."""
        if not task.head.parents or not TraceContext(task.trace).is_sampled:
            return []
        if self._found[0] != task.entry:  # of a node with `map` there are many jobs in turn
            ids = await self._broker.workflows.jobs_of(tenant, task.workflow, task.head.parents[:MAX_LINKS])
            self._found = (task.entry, await parent_spans(self._broker.views, tenant, ids))
        return self._found[1]

    def refuse(self, task: NodeTask, error: Exception) -> str:
        """Log that no job can be made of a node. Returns: what its workflow is told."""
        reason = error.reason if isinstance(error, InputError) else " ".join(str(error).split())[:MAX_REASON]
        self._metrics.count_start("refused")
        self._log.warning("job of a node refused", workflow=task.workflow, node=task.head.name, reason=str(error))
        return f"refused {reason}"

    async def store(self, built: Sequence[BuiltJob], until_s: float) -> dict[JobId, UniqueConflictError]:
        """Store jobs, until this time on the monotonic clock. Raises: StoreUnavailableError.

        Returns: why some of them will never be, by their ids.
        """
        answers = await self._submitter.store(built, until_s=until_s)
        pairs = zip(built, answers, strict=True)
        kept_out = {one.job.id: UniqueConflictError(answer.holder) for one, answer in pairs if answer.holder}
        self._metrics.count_start("started", len(built) - len(kept_out))
        return kept_out
