"""Submits jobs that a service makes by itself.

Each has a key, so that a repetition finds the job of the first time, or a time after which it is not stored.

They keep the rules of every submission. Their type may be handled by workers that have not started yet.
"""

from collections.abc import Callable, Iterable, Sequence

from millstream_contracts import JobId, Tenant
from millstream_streams import Enqueued, Idempotency, JobStore, NodeRef
from millstream_submission.building import BuiltJob, build_job, chosen_partition
from millstream_submission.decoding import MSGPACK
from millstream_submission.intake import Intake
from millstream_submission.known_queues import KnownQueues
from millstream_submission.storing import CountConflict, store_jobs
from millstream_telemetry import JobTracer, TraceContext


class SystemSubmitter:
    """Builds and stores the jobs of a service."""

    def __init__(
        self,
        store: JobStore,
        queues: KnownQueues,
        intake: Intake,
        tracer: JobTracer,
        *,
        clock: Callable[[], float],
        conflicted: CountConflict | None = None,
    ) -> None:
        """`conflicted` is called for each job whose unique key another one held."""
        self._store = store
        self._queues = queues
        self._intake = intake
        self._tracer = tracer
        self._clock = clock
        self._conflicted = conflicted

    async def build(
        self,
        tenant: Tenant,
        content: bytes,
        key: bytes | None,
        *,
        caller: TraceContext,
        job_id: JobId | None = None,
        node: NodeRef | None = None,
        behind: Sequence[TraceContext] = (),
        owner: str = "",
    ) -> BuiltJob:
        """Return the job of a submission in MessagePack, with this id where one was decided on.

        `node` is what it is of a workflow, `behind` the spans of the jobs before it, `owner` who has submitted what it
        is made for.

        Raises: SubmissionError; StoreUnavailableError.
        """
        decoded = await self._intake.decode(tenant, content, MSGPACK)
        policy = await self._intake.admit(tenant, decoded)
        return build_job(
            self._tracer,
            tenant,
            decoded,
            policy,
            caller=caller,
            # The same fingerprint each time: the key says what the job is for, whatever was read for it.
            idempotency=None if key is None else Idempotency(key, key.hex()),
            job_id=job_id,
            node=node,
            behind=behind,
            owner=owner,
            clock=self._clock,
        )

    async def partition_of(self, tenant: Tenant, content: bytes) -> int | None:
        """Return the partition that the key of a submission in MessagePack chooses; None where any of them will do.

        Raises: SubmissionError; StoreUnavailableError.
        """
        decoded = await self._intake.decode(tenant, content, MSGPACK)
        return chosen_partition(decoded, await self._intake.admit(tenant, decoded))

    async def store(self, built: Iterable[BuiltJob], *, until_s: float | None = None) -> list[Enqueued]:
        """Store jobs and return what became of each, in order. One whose unique key another holds is not stored.

        `until_s` is as in :meth:`JobStore.enqueue`.
        Raises: StoreUnavailableError; then some of them may be stored.
        """
        return await store_jobs(self._store, self._queues, built, until_s=until_s, conflicted=self._conflicted)
