"""Submits a job for each dead letter of a type whose handler names an `on_dead` (ADR 42).

At least one for each death: a dead letter is noted as announced once its job is stored, and its key makes a repetition
the same job for 24 hours. A job that was submitted for a dead letter is not announced itself, so two types cannot
announce each other without end.
"""

import hashlib
from collections.abc import Mapping, Sequence

import structlog
from msgspec.structs import asdict, replace

from millstream import NewJob
from millstream_codec import Sealed
from millstream_contracts import DeadJob, DeadLetter, JobId, JobSpec, JobType, Queue, Tenant, limits
from millstream_runtime import DutyResult, Wake
from millstream_streams import Broker, read_value
from millstream_submission import (
    Admission,
    BuiltJob,
    Intake,
    KnownQueues,
    SubmissionError,
    SystemSubmitter,
    TypeCatalogue,
)
from millstream_telemetry import JobTracer, TraceContext
from millstream_workers.serving import Served

ANNOUNCE_EVERY_S = 5.0
"""The longest time until a dead letter is announced that a reaper has buried. A worker announces its own at once."""

TAG = "dead_job"
"""The tag that names the dead job in the job that was submitted for it."""

_DIGEST_BYTES = 16


class DeathAnnouncer:
    """A duty. Any number of workers may run it for the same types."""

    name = "death-announcer"
    interval_s = ANNOUNCE_EVERY_S

    def __init__(
        self,
        broker: Broker,
        queues: KnownQueues,
        catalogue: TypeCatalogue,
        tracer: JobTracer,
        served: Served,
        *,
        on_dead: Mapping[JobType, JobType],
        known: Sequence[Queue],
    ) -> None:
        """Take `on_dead`, the type to submit for the dead letters of each type, and `known`, the queues of these."""
        self._store = broker.store
        self._views = broker.views
        self._registry = broker.registry
        now_s = broker.clock.now_s
        intake = Intake(catalogue, Admission("accept"), broker.templates, clock=now_s)
        self._submitter = SystemSubmitter(broker.store, queues, intake, tracer, clock=now_s)
        self._served = served
        self.on_dead = on_dead
        self._known = known
        self.wake = Wake()
        self._log = structlog.get_logger().bind()

    async def begin(self, further: Sequence[Queue] = ()) -> None:
        """Take up the deaths from now on, in further queues too; to be called before a job runs. Raises: StoreError."""
        for queue in (*self._known, *further):
            if queue.type in self.on_dead:
                await self._store.announce(queue, limit=0)

    def heed(self, job_type: JobType) -> None:
        """Note that this worker has buried a job."""
        if job_type in self.on_dead:
            self.wake.set()

    async def run_once(self) -> DutyResult:
        """Announce up to a hundred dead letters of each queue."""
        more = False
        for queue in self._served.among(await self._registry.queues()):
            if queue.type in self.on_dead:
                more = await self._announce(queue) or more
        return DutyResult(more=more)

    async def _announce(self, queue: Queue) -> bool:
        """Submit the jobs for the next dead letters. Returns: whether there may be more."""
        entries = await self._store.announce(queue, limit=limits.MAX_SCRIPT_JOBS)
        if not entries:
            return False
        entry_of = {job_id: entry for entry, job_id in entries}
        letters = await self._views.dead_letters(queue, list(entry_of))
        specs = await self._views.specs(queue, [letter.id for letter in letters])
        built = [
            job
            for letter, spec in zip(letters, specs, strict=True)
            if (job := await self._job_for(queue.tenant, letter, spec, entry_of[letter.id]))
        ]
        await self._submitter.store(built)
        await self._store.announce(queue, upto=entries[-1][0], limit=0)
        return len(entries) == limits.MAX_SCRIPT_JOBS

    async def _job_for(self, tenant: Tenant, letter: DeadLetter, spec: JobSpec, entry: str) -> BuiltJob | None:
        if TAG in (spec.tags or {}):
            return None
        # The job that tells of it need not be encrypted.
        dead = DeadJob(**asdict(_bare(letter)), payload=_payload_of(spec), tags=spec.tags)
        try:
            return await self._build(tenant, dead, spec, entry)
        except (SubmissionError, TypeError):
            pass  # with a letter around it a payload may be too large, or nested too deeply
        try:
            return await self._build(tenant, replace(dead, payload=None), spec, entry)
        except (SubmissionError, TypeError) as error:
            # The letter stays among the others: only its announcement is lost, and it would be refused for ever.
            self._log.error(
                "dead letter not announced", job_id=letter.id, type=letter.type, error=str(error), error_type="refused"
            )
            return None

    async def _build(self, tenant: Tenant, dead: DeadJob, spec: JobSpec, entry: str) -> BuiltJob:
        """Return the job for a dead letter. Raises: SubmissionError."""
        content = NewJob(self.on_dead[dead.type], dead, tags={TAG: dead.id}).content
        caller = TraceContext(spec.traceparent, spec.tracestate)
        return await self._submitter.build(tenant, content, _key(dead.id, entry), caller=caller)


def _bare(letter: DeadLetter) -> DeadLetter:
    """Return a dead letter without the texts of an error that is stored encrypted."""
    if letter.error is None or not letter.error.encrypted:
        return letter
    return replace(letter, error=replace(letter.error, message="", traceback=""))


def _payload_of(spec: JobSpec) -> object:
    """Return the payload of a job; None of one that is encrypted."""
    payload = read_value(spec.payload)
    return None if isinstance(payload, Sealed) else payload


def _key(job_id: JobId, entry: str) -> bytes:
    return hashlib.blake2b(f"on_dead\0{job_id}\0{entry}".encode(), digest_size=_DIGEST_BYTES).digest()
