"""Submits many jobs: each is checked for itself, and all of a queue are stored a hundred at a time."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import anyio
from anyio.lowlevel import checkpoint
from msgspec import Raw, Struct
from msgspec.structs import replace

from millstream_contracts import BatchItem, BatchReceipt, FieldError, Queue, Tenant, TypePolicy, limits
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.negotiation import BatchFormat
from millstream_ingest.http.problems import INVALID_REQUEST
from millstream_ingest.http.refusal_log import RefusalLog
from millstream_ingest.http.refusals import refusal_of
from millstream_ingest.submission.bodies import decode_submission
from millstream_ingest.submission.idempotency import IdempotencyKey, reused
from millstream_ingest.submission.single import outcome_of
from millstream_streams import (
    Durability,
    EnqueueCode,
    Enqueued,
    JobViews,
    NotDurableError,
    Parents,
    RedisClock,
    StoreUnavailableError,
)
from millstream_submission import (
    Admission,
    BacklogFullError,
    BuiltJob,
    Decoded,
    Dependencies,
    GroupCommitter,
    SubmissionError,
    TypeCatalogue,
    UnknownParentError,
    blocked_of,
    build_job,
    link_stored,
    parents_of,
    queue_for,
    tell_unconfirmed,
    weight_of,
)
from millstream_telemetry import IngestMetrics, JobTracer, TraceContext

PATH = "/v1/jobs/batch"

BREATHE_EVERY = 100
BREATHE_EVERY_BYTES = 64 << 10
"""The text after which, like after a number of items, other requests get their turn: a batch can take half a minute."""

MAX_STRICT_ERRORS = 50

_ACCEPTED = 202
_UNAVAILABLE = 503


class BatchRequest(Struct, frozen=True):
    """A batch as it came."""

    tenant: Tenant
    parts: Sequence[bytes | Raw]
    format: BatchFormat
    caller: TraceContext
    key: IdempotencyKey | None = None
    strict: bool = False
    durability: Durability | None = None

    def pointer(self, index: int) -> str:
        """Return the pointer to an item in the body."""
        return f"/{index}" if self.format.is_sequence else f"/jobs/{index}"


class Checked(Struct, frozen=True):
    """An item that may become a job."""

    index: int
    decoded: Decoded
    policy: TypePolicy
    parents: Parents | None = None


class Draft:
    """The receipt as it fills."""

    def __init__(self, size: int) -> None:
        self.items: list[BatchItem | None] = [None] * size
        self.counts: Counter[tuple[str, str]] = Counter()
        """How many items of a job type had an outcome."""
        self.refusals: dict[int, IngestError] = {}
        self.failures: list[tuple[Exception, int]] = []
        """The reasons why valid items could not be stored, and the number of items for each."""

    def accept(self, job_type: str, stored: Sequence[tuple[int, Enqueued]]) -> None:
        """Note that items are stored."""
        replays = 0
        for index, enqueued in stored:
            replayed = enqueued.code is EnqueueCode.REPLAYED
            replays += replayed
            self.items[index] = BatchItem(index=index, status=_ACCEPTED, id=enqueued.id, replayed=replayed)
        self.counts[job_type, "replayed"] += replays
        self.counts[job_type, "accepted"] += len(stored) - replays

    def refuse(self, index: int, job_type: str, refusal: IngestError) -> None:
        """Note why an item is not stored."""
        # Its traceback would hold what was decoded of the item, for as long as the batch takes.
        refusal.__traceback__ = refusal.__context__ = None
        self.items[index] = BatchItem(index=index, status=refusal.status, problem=refusal.problem())
        self.counts[job_type, outcome_of(refusal)] += 1
        self.refusals[index] = refusal

    def fail(self, indexes: Sequence[int], job_type: str, error: StoreUnavailableError | BacklogFullError) -> None:
        """Note that items of one job type could not be stored."""
        self.failures.append((error, len(indexes)))
        for index in indexes:
            self.refuse(index, job_type, refusal_of(error))

    def receipt(self) -> BatchReceipt:
        """Return the receipt once every item is noted.

        Raises: StoreUnavailableError, BacklogFullError, when Redis took none of them.
        """
        items = [item for item in self.items if item is not None]
        if self.failures and all(item.status == _UNAVAILABLE for item in items):
            raise self.failures[0][0]
        refused = len(self.refusals)
        return BatchReceipt(accepted=len(items) - refused, rejected=refused, items=items)


class BatchSubmitter:
    """Turns batches into stored jobs."""

    def __init__(
        self,
        catalogue: TypeCatalogue,
        admission: Admission,
        tracer: JobTracer,
        committer: GroupCommitter,
        metrics: IngestMetrics,
        refusals: RefusalLog,
        *,
        clock: RedisClock,
        dependencies: Dependencies,
        views: JobViews,
    ) -> None:
        self._catalogue = catalogue
        self._admission = admission
        self._tracer = tracer
        self._committer = committer
        self._metrics = metrics
        self._refusals = refusals
        self._clock = clock
        self._dependencies = dependencies
        self._views = views

    async def submit(self, batch: BatchRequest) -> BatchReceipt:
        """Store what can be stored and say of each item what became of it.

        Raises: IngestError, when a strict batch has a bad item; StoreUnavailableError, when Redis took none of them.
        """
        draft = Draft(len(batch.parts))
        try:
            checked = await self._check(batch, draft)
            checked = await self._with_parents(batch, checked, draft)
            if batch.strict and draft.refusals:
                raise _refused_whole(batch, draft)
            await self._store(batch, checked, draft)
            receipt = draft.receipt()
            for error, count in draft.failures:
                self._refusals.note(error, refusal_of(error), method="POST", route=PATH, count=count)
            return receipt
        finally:
            for (job_type, outcome), n in draft.counts.items():
                if n:
                    self._metrics.count_submitted(job_type, outcome, n)

    async def _check(self, batch: BatchRequest, draft: Draft) -> list[Checked]:
        known = await self._catalogue.of(batch.tenant)
        checked, unbreathed = [], 0
        for index, part in enumerate(batch.parts):
            unbreathed += len(part)
            if index % BREATHE_EVERY == 0 or unbreathed >= BREATHE_EVERY_BYTES:
                await checkpoint()
                unbreathed = 0
            job_type, pointer = "", batch.pointer(index)
            try:
                decoded = decode_submission(part, batch.format.encoding, pointer, self._clock.now_s)
                job_type = decoded.submission.type
                policy = await self._admission.admit_by_newest(decoded, known, self._catalogue, batch.tenant, pointer)
            except SubmissionError as error:
                draft.refuse(index, job_type, refusal_of(error))
            else:
                # Without the decoded value, which may take a hundred times the room of its text.
                checked.append(Checked(index, Decoded(decoded.submission, decoded.payload, None), policy))
        return checked

    async def _with_parents(self, batch: BatchRequest, checked: list[Checked], draft: Draft) -> list[Checked]:
        """Look at all parents at once, and return the items that may be stored."""
        named = {job_id for item in checked for job_id in item.decoded.submission.after or ()}
        if not named:
            return checked
        states = await self._dependencies.look(batch.tenant, named)
        kept = []
        for item in checked:
            try:
                parents = parents_of(item.decoded.submission, states, batch.pointer(item.index))
            except UnknownParentError as error:
                if not await self._was_made(batch, item, draft):
                    draft.refuse(item.index, item.decoded.submission.type, refusal_of(error))
            else:
                kept.append(replace(item, parents=parents))
        return kept

    async def _was_made(self, batch: BatchRequest, item: Checked, draft: Draft) -> bool:
        """Accept an item that an earlier request with its key has made, and whose parents are forgotten by now."""
        if batch.key is None:
            return False
        identity = batch.key.item(item.index).of(item.decoded)
        queue = queue_for(batch.tenant, item.decoded, item.policy, identity)
        made = await self._views.keyed(queue, identity)
        if made is not None:
            draft.accept(queue.type, [(item.index, Enqueued(EnqueueCode.REPLAYED, made, 0))])
        return made is not None

    async def _store(self, batch: BatchRequest, checked: Iterable[Checked], draft: Draft) -> None:
        """Store the items: while Redis takes a hundred the next are built."""
        loads: defaultdict[Queue, list[tuple[int, BuiltJob]]] = defaultdict(list)
        weights: Counter[Queue] = Counter()
        async with anyio.create_task_group() as tasks:
            for turn, item in enumerate(checked, start=1):
                built = self._build(batch, item)
                load, weight = loads[built.queue], weight_of(built.job)
                if weights[built.queue] + weight > limits.MAX_SCRIPT_JOBS:
                    weights[built.queue], loads[built.queue] = 0, []
                    tasks.start_soon(self._store_load, built.queue, load, draft, batch.durability)
                weights[built.queue] += weight
                loads[built.queue].append((item.index, built))
                if turn % BREATHE_EVERY == 0:
                    await checkpoint()
            for queue, load in loads.items():
                tasks.start_soon(self._store_load, queue, load, draft, batch.durability)

    def _build(self, batch: BatchRequest, item: Checked) -> BuiltJob:
        key = batch.key.item(item.index) if batch.key else None
        return build_job(
            self._tracer,
            batch.tenant,
            item.decoded,
            item.policy,
            caller=batch.caller,
            idempotency=key.of(item.decoded) if key else None,
            parents=item.parents,
            is_batch_item=True,
            clock=self._clock.now_s,
        )

    async def _store_load(
        self, queue: Queue, load: Sequence[tuple[int, BuiltJob]], draft: Draft, durability: Durability | None
    ) -> None:
        try:
            answers = await self._committer.enqueue(queue, [built.job for _, built in load], durability=durability)
        except (StoreUnavailableError, BacklogFullError) as error:
            if isinstance(error, NotDurableError):
                tell_unconfirmed((built for _, built in load), error)
            draft.fail([index for index, _ in load], queue.type, error)
            return
        stored = []
        for (index, built), enqueued in zip(load, answers, strict=True):
            if enqueued.code is EnqueueCode.KEY_REUSED:
                draft.refuse(index, queue.type, reused())
                continue
            if enqueued.code is not EnqueueCode.REPLAYED:
                built.send.stored()
            stored.append((index, enqueued))
        draft.accept(queue.type, stored)
        built_of = dict(load)
        if blocked := [one for index, made in stored if (one := blocked_of(built_of[index].job, made.id))]:
            await link_stored(self._dependencies, queue, blocked)


def _refused_whole(batch: BatchRequest, draft: Draft) -> IngestError:
    """Return the refusal of a strict batch: the errors of its items, each under its pointer."""
    errors = [
        error
        for index, refusal in draft.refusals.items()
        for error in refusal.errors or [FieldError(batch.pointer(index), str(refusal))]
    ]
    detail = f"{len(draft.refusals)} of {len(batch.parts)} jobs are refused, so none is stored"
    return IngestError(INVALID_REQUEST, detail, errors[:MAX_STRICT_ERRORS])
