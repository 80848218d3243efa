"""Submits jobs that a service makes by itself: each has a key, so that a repetition finds the job of the first time.

They keep the rules of every submission. Their type may be handled by workers that have not started yet.
"""

from collections.abc import Callable, Iterable

from millstream_contracts import JobId, Tenant
from millstream_streams import Idempotency, JobStore
from millstream_submission.admission import Admission
from millstream_submission.building import BuiltJob, build_job
from millstream_submission.decoding import MSGPACK, decode_submission
from millstream_submission.known_queues import KnownQueues
from millstream_submission.storing import store_jobs
from millstream_submission.type_catalogue import TypeCatalogue
from millstream_telemetry import JobTracer, TraceContext


class SystemSubmitter:
    """Builds and stores the jobs of a service."""

    def __init__(
        self,
        store: JobStore,
        queues: KnownQueues,
        catalogue: TypeCatalogue,
        tracer: JobTracer,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._queues = queues
        self._catalogue = catalogue
        self._admission = Admission("accept")
        self._tracer = tracer
        self._clock = clock

    async def build(
        self, tenant: Tenant, content: bytes, key: bytes, *, caller: TraceContext, job_id: JobId | None = None
    ) -> BuiltJob:
        """Return the job of a submission in MessagePack, with this id where one was decided on.

        Raises: SubmissionError; StoreUnavailableError.
        """
        decoded = decode_submission(content, MSGPACK, clock=self._clock)
        known = await self._catalogue.of(tenant)
        policy = await self._admission.admit_by_newest(decoded, known, self._catalogue, tenant)
        return build_job(
            self._tracer,
            tenant,
            decoded,
            policy,
            caller=caller,
            # The same fingerprint each time: the key says what the job is for, whatever was read for it.
            idempotency=Idempotency(key, key.hex()),
            job_id=job_id,
            clock=self._clock,
        )

    async def store(self, built: Iterable[BuiltJob]) -> list[JobId]:
        """Store jobs and return their ids, in order; that of the earlier one where the key is known.

        Raises: StoreUnavailableError; then some of them may be stored.
        """
        return await store_jobs(self._store, self._queues, built)
