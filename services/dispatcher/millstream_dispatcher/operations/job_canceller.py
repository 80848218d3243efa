"""Cancels jobs that have not ended: those that wait at once, those that run through their worker."""

from collections.abc import Mapping, Sequence

from millstream_contracts import Job, JobId, Queue
from millstream_dispatcher.operations.page_result import HAS_ENDED, NO_JOB, PageResult, result_of
from millstream_history import StoredOperation
from millstream_streams import ActionCode, Broker
from millstream_telemetry import ServerSpan

_REASONS: Mapping[ActionCode, str] = {ActionCode.WRONG_STATE: HAS_ENDED, ActionCode.UNKNOWN_JOB: NO_JOB}
"""What is no refusal is done: cancelled, or asked of its worker, by this step or before it."""


class JobCanceller:
    """Cancels jobs. A job that runs is done once its worker has been asked: its handler may take its time."""

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
        """Cancel jobs. A repetition changes nothing. Raises: StoreError."""
        codes = await (self._look(queue, ids) if operation.asked.dry_run else self._store.cancel(queue, ids))
        return result_of(ids, codes, _REASONS)

    async def _look(self, queue: Queue, ids: Sequence[JobId]) -> list[ActionCode]:
        """Return what a cancellation would answer now."""
        jobs = {job.id: job for job in await self._views.jobs(queue, ids)}
        return [_would_be(jobs.get(job_id)) for job_id in ids]


def _would_be(job: Job | None) -> ActionCode:
    if job is None:
        return ActionCode.UNKNOWN_JOB
    return ActionCode.WRONG_STATE if job.state.is_settled else ActionCode.DONE
