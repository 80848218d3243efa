"""Redrives or discards the jobs of one page, or says which it would."""

from collections.abc import Sequence

from millstream_contracts import Job, JobId, JobState, Queue, Tenant, ms_of
from millstream_dispatcher.operations.page_result import PageResult, by_queue, result_of
from millstream_history import StoredOperation
from millstream_streams import ActionCode, Broker
from millstream_submission import Redriver
from millstream_telemetry import ServerSpan


def is_due(operation: StoredOperation, job: Job | None) -> ActionCode:
    """Return what an operation on dead jobs would answer for a job as it is now."""
    if job is None:
        return ActionCode.UNKNOWN_JOB
    is_dead = job.state is JobState.DEAD and (ms_of(job.finished_at) if job.finished_at else 0) <= operation.cutoff_ms
    return ActionCode.DONE if is_dead else ActionCode.WRONG_STATE


class DeadJobActor:
    """Acts on jobs that were dead when an operation was asked for, and on each at most once."""

    def __init__(self, broker: Broker, redriver: Redriver) -> None:
        self._store = broker.store
        self._redriver = redriver
        self._views = broker.views

    async def states_of(self, tenant: Tenant, ids: Sequence[JobId]) -> dict[JobId, JobState]:
        """Return the states of jobs, without those that Redis has forgotten. Raises: StoreError."""
        queues, _ = by_queue(tenant, ids)
        return {job.id: job.state for queue, some in queues.items() for job in await self._views.jobs(queue, some)}

    async def act(self, operation: StoredOperation, queue: Queue, ids: Sequence[JobId], span: ServerSpan) -> PageResult:
        """Act on jobs. A repetition changes nothing: a job that has died again has died too late.

        Raises: StoreError.
        """
        if operation.asked.dry_run:
            jobs = {job.id: job for job in await self._views.jobs(queue, ids)}
            return result_of(ids, [is_due(operation, jobs.get(job_id)) for job_id in ids])
        if operation.asked.kind == "discard":
            return result_of(ids, await self._store.discard(queue, ids, died_by_ms=operation.cutoff_ms))
        codes = await self._redriver.redrive(
            queue,
            ids,
            request=span,
            operation=operation.shown.id,
            died_by_ms=operation.cutoff_ms,
            fresh=operation.asked.fresh,
        )
        return result_of(ids, codes)
