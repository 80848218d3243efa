"""Carries out operations on many jobs, one step at a time. Run by every dispatcher; a lease gives each step to one.

A step that is repeated, because its dispatcher ended between the jobs and the counters, acts on no job twice.
"""

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from millstream_contracts import JobId, JobState, OperationKind, OperationState, limits
from millstream_dispatcher.operations.dead_job_actor import DeadJobActor
from millstream_dispatcher.operations.exporter import Exporter
from millstream_dispatcher.operations.job_eraser import JobEraser
from millstream_dispatcher.operations.open_job_actor import OpenJobActor
from millstream_dispatcher.operations.page_result import Actor, PageResult, by_queue
from millstream_dispatcher.operations.payload_patcher import PayloadPatcher
from millstream_dispatcher.operations.tenant_deleter import JOBS, SETTLES_S, TenantDeleter
from millstream_history import (
    DELETE_TENANT,
    Advance,
    History,
    HistoryError,
    QueryError,
    SearchCursorError,
    StoredOperation,
)
from millstream_runtime import DutyResult
from millstream_streams import Broker, StoreError
from millstream_submission import Intake, Redriver, SystemSubmitter
from millstream_telemetry import NO_TRACE, JobTracer, OperationMetrics, ServerSpan

LEASE_S = 60.0
"""How long a dispatcher that vanishes in the middle of a step delays its operation."""

CANARY_WITHIN_S = 600.0
CANARY_LOOK_EVERY_S = 1.0
AGAIN_S = 5.0
"""When a step is due again that Redis or the history has refused."""

NO_SPAN = ServerSpan(NO_TRACE)

MAX_REFUSALS, MAX_SAMPLES = 20, 5
"""Of how many single jobs an operation tells."""


class Steps(DutyResult, frozen=True):
    """The result of one pass."""

    jobs: int = 0


class _Page(Struct, frozen=True):
    ids: Sequence[JobId]
    next_cursor: str | None


class Operator:
    """A duty."""

    name = "operator"
    interval_s = 1.0

    def __init__(
        self,
        history: History,
        broker: Broker,
        metrics: OperationMetrics,
        *,
        intake: Intake,
        submitter: SystemSubmitter,
        tracer: JobTracer,
        deletion_settles_s: float = SETTLES_S,
    ) -> None:
        self._operations = history.operations
        self._search = history.search
        redriver = Redriver(broker.store, broker.views, tracer)
        self._dead_jobs = dead_jobs = DeadJobActor(broker, redriver)
        open_jobs = OpenJobActor(broker)
        self._actors: Mapping[OperationKind, Actor] = {
            "redrive": dead_jobs,
            "discard": dead_jobs,
            "patch": PayloadPatcher(broker, intake, redriver),
            "cancel": open_jobs,
            "run-now": open_jobs,
            "priority": open_jobs,
            "erase": JobEraser(broker, history),
        }
        self._exporter = Exporter(broker, history, submitter)
        self._deleter = TenantDeleter(broker, history, settles_s=deletion_settles_s)
        self._metrics = metrics
        self._tracer = tracer

    async def run_once(self) -> Steps:
        """Take one step of the operation that has waited for longest, if one is due.

        Raises: HistoryError, StoreError.
        """
        taken = await self._operations.take(secrets.token_hex(8), lease_s=LEASE_S)
        if taken is None:
            return Steps()
        try:
            step = await self._step_or_failure(taken)
            await self._operations.advance(taken, step)
        except (StoreError, HistoryError):
            # Where the history is away, the lease ends by itself.
            with suppress(HistoryError):
                await self._operations.give_back(taken, pause_s=AGAIN_S)
            raise
        if step.job_id is not None:
            await self._cancel_export_of(taken)
        return Steps(more=True, jobs=step.found)

    async def _cancel_export_of(self, taken: StoredOperation) -> None:
        """Cancel a job that was submitted while a person cancelled its operation."""
        found = await self._operations.find(taken.tenant, taken.shown.id)
        if found is not None and found.shown.state is OperationState.CANCELLED:
            await self._exporter.cancel(found)

    async def _step_or_failure(self, taken: StoredOperation) -> Advance:
        try:
            return await self._step(taken)
        except (QueryError, SearchCursorError) as error:
            # It was accepted by another release, which reads queries in another way.
            return Advance(state=OperationState.FAILED, detail=str(error), refusals=taken.shown.refusals)

    async def _step(self, taken: StoredOperation) -> Advance:
        if taken.asked.kind == "export":
            step = await self._exporter.step(taken)
            self._metrics.count("export", done=step.done, refused=0)
            return step
        if taken.asked.kind == DELETE_TENANT:
            return await self._delete(taken)
        if taken.shown.state is OperationState.WAITING:
            return await self._judge_canary(taken)
        page = await self._page(taken)
        result = await self._act(taken, page)
        if not taken.asked.dry_run:
            self._metrics.count(taken.asked.kind, done=len(result.done), refused=len(result.refusals))
        is_trial = self._is_trial(taken)
        canary_ids = [*taken.canary_ids, *result.done] if is_trial else taken.canary_ids
        state = self._state_after(taken, page, len(canary_ids), is_trial=is_trial)
        return Advance(
            state=state,
            found=len(page.ids),
            done=len(result.done),
            refused=len(result.refusals),
            refusals=[*taken.shown.refusals, *result.refusals][:MAX_REFUSALS],
            samples=[*taken.shown.samples, *result.samples][:MAX_SAMPLES],
            cursor=page.next_cursor,
            is_exhausted=page.next_cursor is None,
            canary_ids=canary_ids,
            canary_within_s=CANARY_WITHIN_S if state is OperationState.WAITING else None,
            pause_s=len(page.ids) / taken.asked.rate,
        )

    async def _delete(self, taken: StoredOperation) -> Advance:
        with self._tracer.operation(DELETE_TENANT, taken.shown.id) as span:
            step = await self._deleter.step(taken)
            span.carries(step.done)
        self._metrics.count(DELETE_TENANT, done=step.removed.get(JOBS, 0) - taken.shown.removed.get(JOBS, 0), refused=0)
        return step

    async def _act(self, taken: StoredOperation, page: _Page) -> PageResult:
        if taken.asked.dry_run or not page.ids:
            return await self._act_by_queue(taken, page.ids, NO_SPAN)
        with self._tracer.operation(taken.asked.kind, taken.shown.id) as span:
            span.carries(len(page.ids))
            return await self._act_by_queue(taken, page.ids, span)

    async def _act_by_queue(self, taken: StoredOperation, ids: Sequence[JobId], span: ServerSpan) -> PageResult:
        actor = self._actors[taken.asked.kind]
        queues, result = by_queue(taken.tenant, ids)
        for queue, some in queues.items():
            result = result.and_more(await actor.act(taken, queue, some, span))
        return result

    @staticmethod
    def _is_trial(taken: StoredOperation) -> bool:
        begins = taken.shown.state in {OperationState.PENDING, OperationState.CANARY}
        return begins and taken.asked.canary is not None and not taken.asked.dry_run

    @staticmethod
    def _state_after(taken: StoredOperation, page: _Page, tried: int, *, is_trial: bool) -> OperationState:
        if is_trial and taken.asked.canary is not None:
            is_whole = tried >= taken.asked.canary.count or page.next_cursor is None
            return (OperationState.WAITING if tried else OperationState.DONE) if is_whole else OperationState.CANARY
        return OperationState.DONE if page.next_cursor is None else OperationState.RUNNING

    async def _page(self, taken: StoredOperation) -> _Page:
        """Return the next ids: those of about a second, so that the rate is kept evenly."""
        if taken.is_exhausted:
            return _Page([], None)
        size = max(1, min(limits.MAX_SCRIPT_JOBS, int(taken.asked.rate)))
        if self._is_trial(taken) and taken.asked.canary is not None:
            size = max(1, min(size, taken.asked.canary.count - len(taken.canary_ids)))
        if taken.query is not None:
            found = await self._search.ids(taken.query, cursor=taken.cursor, limit=size)
            return _Page(found.ids, found.next_cursor)
        ids, start = list(dict.fromkeys(taken.asked.ids or ())), int(taken.cursor or 0)
        end = start + size
        return _Page([JobId(one) for one in ids[start:end]], str(end) if end < len(ids) else None)

    async def _judge_canary(self, taken: StoredOperation) -> Advance:
        """Go on once the canary has ended well, pause if it has not, or look again later."""
        states = await self._dead_jobs.states_of(taken.tenant, taken.canary_ids)
        # A job that Redis has forgotten has ended, and not among the dead.
        open_jobs = sum(not state.is_settled for state in states.values())
        dead = sum(state is JobState.DEAD for state in states.values())
        waiting = Advance(
            state=OperationState.WAITING,
            cursor=taken.cursor,
            is_exhausted=taken.is_exhausted,
            canary_ids=taken.canary_ids,
            refusals=taken.shown.refusals,
        )
        if open_jobs and not taken.is_canary_over:
            return replace(waiting, pause_s=CANARY_LOOK_EVERY_S)
        ended = len(taken.canary_ids) - open_jobs
        most = taken.asked.canary.max_failure if taken.asked.canary else 1.0
        if dead > most * ended or not ended:
            detail = f"of {len(taken.canary_ids)} jobs of the canary {dead} died again and {open_jobs} have not ended"
            return replace(waiting, state=OperationState.PAUSED, detail=detail, failed=dead)
        state = OperationState.DONE if taken.is_exhausted else OperationState.RUNNING
        return replace(waiting, state=state, failed=dead)
