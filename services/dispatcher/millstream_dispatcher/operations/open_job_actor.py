"""Acts on jobs that have not settled: cancels them, makes them ready before their time, changes their priority."""

from collections.abc import Mapping, Sequence

from millstream_contracts import Job, JobId, JobState, OperationKind, Priority, Queue
from millstream_dispatcher.operations.page_result import HAS_ENDED, NO_JOB, PageResult, result_of
from millstream_history import StoredOperation
from millstream_streams import ActionCode, Broker
from millstream_telemetry import ServerSpan

_REFUSED: Mapping[OperationKind, str] = {
    "cancel": HAS_ENDED,
    "run-now": "it waits for another job, is dead or has ended",
    "priority": "it runs, is dead or has ended",
}
_ACTED_ON: Mapping[OperationKind, frozenset[JobState]] = {
    "cancel": frozenset(state for state in JobState if not state.is_settled),
    # One that is ready or runs is done already.
    "run-now": frozenset({JobState.SCHEDULED, JobState.QUEUED, JobState.RUNNING}),
    "priority": frozenset({JobState.BLOCKED, JobState.SCHEDULED, JobState.QUEUED}),
}


class OpenJobActor:
    """Acts on jobs. One that runs is cancelled once its worker has been asked: its handler may take its time."""

    def __init__(self, broker: Broker) -> None:
        self._store = broker.store
        self._views = broker.views

    async def act(
        self,
        operation: StoredOperation,
        queue: Queue,
        ids: Sequence[JobId],
        span: ServerSpan,  # noqa: ARG002
    ) -> PageResult:
        """Act on jobs. A repetition changes nothing. Raises: StoreError."""
        kind = operation.asked.kind
        change = self._look if operation.asked.dry_run else self._change
        codes = await change(operation, queue, ids)
        return result_of(ids, codes, {ActionCode.WRONG_STATE: _REFUSED[kind], ActionCode.UNKNOWN_JOB: NO_JOB})

    async def _change(self, operation: StoredOperation, queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:
        match operation.asked.kind:
            case "run-now":
                return await self._store.run_now(queue, ids)
            case "priority":
                return await self._store.set_priority(queue, ids, operation.asked.priority or Priority.NORMAL)
            case _:
                return await self._store.cancel(queue, ids)

    async def _look(self, operation: StoredOperation, queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:
        """Return what a change would answer now."""
        jobs = {job.id: job for job in await self._views.jobs(queue, ids)}
        states = _ACTED_ON[operation.asked.kind]
        return [_would_be(jobs.get(job_id), states) for job_id in ids]


def _would_be(job: Job | None, states: frozenset[JobState]) -> ActionCode:
    if job is None:
        return ActionCode.UNKNOWN_JOB
    return ActionCode.DONE if job.state in states else ActionCode.WRONG_STATE
