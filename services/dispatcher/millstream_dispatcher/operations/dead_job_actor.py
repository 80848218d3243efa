"""Redrives or discards the jobs of one page, or counts them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from millstream_contracts import JobId, JobState, Queue, Tenant, queue_of
from millstream_history import StoredOperation
from millstream_streams import ActionCode, Broker


class PageResult(Struct, frozen=True):
    """What became of the jobs of a page."""

    done: list[JobId]
    """In a dry run: the jobs that would be done."""
    refused: int


def _ms(moment: datetime | None) -> int:
    return round(moment.timestamp() * 1000) if moment else 0


class DeadJobActor:
    """Acts on jobs that were dead when an operation was asked for, and on each at most once."""

    def __init__(self, broker: Broker) -> None:
        self._store = broker.store
        self._views = broker.views

    async def act(self, operation: StoredOperation, ids: Sequence[JobId]) -> PageResult:
        """Act on jobs. A repetition changes nothing: a job that has died again has died too late.

        Raises: StoreError.
        """
        by_queue: defaultdict[Queue, list[JobId]] = defaultdict(list)
        for job_id in ids:
            if queue := queue_of(operation.tenant, job_id):
                by_queue[queue].append(job_id)
        done: list[JobId] = []
        for queue, some in by_queue.items():
            done += await self._act_on_queue(operation, queue, some)
        return PageResult(done, len(ids) - len(done))

    async def states_of(self, tenant: Tenant, ids: Sequence[JobId]) -> dict[JobId, JobState]:
        """Return the states of jobs, without those that Redis has forgotten. Raises: StoreError."""
        by_queue: defaultdict[Queue, list[JobId]] = defaultdict(list)
        for job_id in ids:
            if queue := queue_of(tenant, job_id):
                by_queue[queue].append(job_id)
        return {job.id: job.state for queue, some in by_queue.items() for job in await self._views.jobs(queue, some)}

    async def _act_on_queue(self, operation: StoredOperation, queue: Queue, ids: list[JobId]) -> list[JobId]:
        if operation.asked.dry_run:
            jobs = await self._views.jobs(queue, ids)
            return [
                job.id for job in jobs if job.state is JobState.DEAD and _ms(job.finished_at) <= operation.cutoff_ms
            ]
        act = self._store.redrive if operation.asked.kind == "redrive" else self._store.discard
        codes = await act(queue, ids, died_by_ms=operation.cutoff_ms)
        return [job_id for job_id, code in zip(ids, codes, strict=True) if code is ActionCode.DONE]
