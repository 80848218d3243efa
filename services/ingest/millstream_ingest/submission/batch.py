"""Submits many jobs: each is checked for itself, and all of a queue are stored a hundred at a time."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import anyio
from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from millstream_contracts import BatchReceipt, FieldError, JobType, Queue, limits
from millstream_ingest.http.allowed_types import check_type
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import INVALID_REQUEST
from millstream_ingest.http.refusal_log import RefusalLog
from millstream_ingest.http.refusals import refusal_of
from millstream_ingest.submission.backlog import backlog_full, reason_of
from millstream_ingest.submission.batch_request import BatchRequest, Checked, CheckedBatch, Draft
from millstream_ingest.submission.bodies import CODECS
from millstream_ingest.submission.idempotency import reused
from millstream_streams import (
    EnqueueCode,
    Enqueued,
    JobViews,
    NewJob,
    NotDurableError,
    RedisClock,
    StoreUnavailableError,
)
from millstream_submission import (
    BacklogFullError,
    BuiltJob,
    Dependencies,
    GroupCommitter,
    Intake,
    Members,
    SubmissionError,
    UniqueConflictError,
    UnknownParentError,
    blocked_of,
    build_job,
    conflict_of,
    link_stored,
    parents_of,
    queue_for,
    tell_unconfirmed,
    weight_of,
)
from millstream_telemetry import IngestMetrics, JobTracer

BREATHE_EVERY = 100
BREATHE_EVERY_BYTES = 64 << 10
"""The text after which, like after a number of items, other requests get their turn: a batch can take half a minute."""

MAX_STRICT_ERRORS = 50

_OTHERS = (EnqueueCode.REPLAYED, EnqueueCode.RETURNED)
"""The codes of items for which a job is there that was not stored by this request."""


class BatchSubmitter:
    """Turns batches into stored jobs."""

    def __init__(
        self,
        intake: Intake,
        tracer: JobTracer,
        committer: GroupCommitter,
        metrics: IngestMetrics,
        refusals: RefusalLog,
        *,
        clock: RedisClock,
        dependencies: Dependencies,
        views: JobViews,
        members: Members,
    ) -> None:
        self._intake = intake
        self._tracer = tracer
        self._committer = committer
        self._metrics = metrics
        self._refusals = refusals
        self._clock = clock
        self._dependencies = dependencies
        self._views = views
        self._members = members

    async def submit(self, batch: BatchRequest) -> BatchReceipt:
        """Store what can be stored and say of each item what became of it.

        Raises: IngestError, when a strict batch has a bad item; StoreUnavailableError, when Redis took none of them.
        """
        return await self.store(await self.check(batch))

    async def check(self, batch: BatchRequest) -> CheckedBatch:
        """Check the items. Raises: IngestError, when a strict batch has a bad one; StoreUnavailableError."""
        draft = Draft(len(batch.parts))
        try:
            checked = await self._check(batch, draft)
            checked = await self._with_parents(batch, checked, draft)
            _check_whole(batch, draft)
        except BaseException:
            self._count(draft)
            raise
        return CheckedBatch(batch, checked, draft)

    async def store(self, checked: CheckedBatch) -> BatchReceipt:
        """Store the items that may be stored. Raises: StoreUnavailableError, when Redis took none of them."""
        batch, draft = checked.request, checked.draft
        try:
            await self._store(batch, checked.items, draft)
            receipt = draft.receipt()
            for error, count in draft.failures:
                self._refusals.note(error, refusal_of(error), method="POST", route=batch.route, count=count)
            return receipt
        finally:
            self._count(draft)

    async def store_all(self, checked: CheckedBatch) -> None:
        """Do the same. Raises also: IngestError, when an item was refused after all; then some of them are stored."""
        await self.store(checked)
        for refusal in checked.draft.refusals.values():
            raise refusal

    def _count(self, draft: Draft) -> None:
        for (job_type, outcome), n in draft.counts.items():
            if n:
                self._metrics.count_submitted(job_type, outcome, n)

    async def _check(self, batch: BatchRequest, draft: Draft) -> list[Checked]:
        checked, unbreathed = [], 0
        for index, part in enumerate(batch.parts):
            unbreathed += len(part)
            if index % BREATHE_EVERY == 0 or unbreathed >= BREATHE_EVERY_BYTES:
                await checkpoint()
                unbreathed = 0
            job_type, pointer = "", batch.pointer(index)
            try:
                decoded = await self._intake.decode(batch.tenant, part, CODECS[batch.format.encoding], pointer)
                job_type = decoded.submission.type
                check_type(batch.types, job_type, f"{pointer}/type")
                policy = await self._intake.admit(batch.tenant, decoded, pointer)
            except (SubmissionError, IngestError) as error:
                draft.refuse(index, job_type, refusal_of(error))
            else:
                # Without the decoded value, which may take a hundred times the room of its text.
                checked.append(Checked(index, replace(decoded, value=None), policy))
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
                behind = await self._dependencies.spans(batch.tenant, item.decoded.submission, batch.caller)
                kept.append(replace(item, parents=parents, behind=behind))
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
                    tasks.start_soon(self._store_load, batch, built.queue, load, draft)
                weights[built.queue] += weight
                loads[built.queue].append((item.index, built))
                if turn % BREATHE_EVERY == 0:
                    await checkpoint()
            for queue, load in loads.items():
                tasks.start_soon(self._store_load, batch, queue, load, draft)

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
            batch=batch.membership.batch if batch.membership else None,
            behind=item.behind,
            owner=batch.owner,
            is_batch_item=True,
            clock=self._clock.now_s,
        )

    async def _store_load(
        self, batch: BatchRequest, queue: Queue, load: Sequence[tuple[int, BuiltJob]], draft: Draft
    ) -> None:
        try:
            answers = await self._enqueue(batch, queue, [built.job for _, built in load], draft)
        except (SubmissionError, IngestError) as error:
            for index, _ in load:
                draft.refuse(index, queue.type, refusal_of(error))
            return
        except (StoreUnavailableError, BacklogFullError) as error:
            if isinstance(error, NotDurableError):
                tell_unconfirmed((built for _, built in load), error)
            draft.fail([index for index, _ in load], queue.type, error)
            return
        stored = []
        for (index, built), enqueued in zip(load, answers, strict=True):
            self._count_kept_out(built, enqueued)
            if refusal := _refusal(queue.type, enqueued, batch.pointer(index)):
                draft.refuse(index, queue.type, refusal)
                continue
            if enqueued.code not in _OTHERS:
                built.send.stored()
            stored.append((index, enqueued))
        draft.accept(queue.type, stored)
        built_of = dict(load)
        linked = ((built_of[index].job, made.id) for index, made in stored if made.holder is None)
        if blocked := [one for job, made in linked if (one := blocked_of(job, made))]:
            await link_stored(self._dependencies, queue, blocked)

    def _count_kept_out(self, built: BuiltJob, enqueued: Enqueued) -> None:
        """Count what kept a job from being stored beside others."""
        if reason := reason_of(enqueued.code):
            self._metrics.count_refused(built.queue.type, reason)
        if conflict := conflict_of(built, enqueued):
            self._metrics.count_unique_conflict(built.queue.type, conflict)

    async def _enqueue(self, batch: BatchRequest, queue: Queue, jobs: Sequence[NewJob], draft: Draft) -> list[Enqueued]:
        """Store jobs of one queue. Raises: SubmissionError, when their batch takes none; as the committer."""
        if (membership := batch.membership) is None:
            return await self._committer.enqueue(queue, jobs, durability=batch.durability)
        # A promise begins when it is made, so loads share no lane, and a hundred of them at once would be late.
        async with draft.turns:
            promised = [job.id for job in jobs]
            until_s = await self._members.promise(batch.tenant, membership, promised)
            answers = await self._committer.enqueue(queue, jobs, durability=batch.durability, until_s=until_s)
        await self._members.confirm(batch.tenant, membership, promised, [one.id for one in answers])
        return answers


def _refusal(job_type: JobType, enqueued: Enqueued, pointer: str) -> IngestError | None:
    """Return why an item was not stored; None where a job is there for it."""
    match enqueued.code:
        case EnqueueCode.KEY_REUSED:
            return reused()
        case EnqueueCode.UNIQUE_CONFLICT:
            return refusal_of(UniqueConflictError(enqueued.id, pointer))
        case EnqueueCode.FULL | EnqueueCode.KEY_FULL:
            return backlog_full(job_type, enqueued)
    return None


def _check_whole(batch: BatchRequest, draft: Draft) -> None:
    """Refuse a strict batch with bad items, with the errors of each under its pointer. Raises: IngestError."""
    if not batch.strict or not draft.refusals:
        return
    errors = [
        error
        for index, refusal in draft.refusals.items()
        for error in refusal.errors or [FieldError(batch.pointer(index), str(refusal))]
    ]
    detail = f"{len(draft.refusals)} of {len(batch.parts)} jobs are refused, so none is stored"
    raise IngestError(INVALID_REQUEST, detail, errors[:MAX_STRICT_ERRORS])
