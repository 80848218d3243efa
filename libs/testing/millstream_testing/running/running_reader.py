"""Answers what handles on children ask: a wait for a job runs it."""

from typing import Protocol

from millstream_contracts import DEFAULT_TENANT, BatchId, Job, JobId
from millstream_streams import Broker
from millstream_testing.memory.memory_batches import THE_BATCH
from millstream_testing.running.kit_caller import THREADS
from millstream_workers.attempt.running import Running
from millstream_workers.children.child_reader import ChildReader
from millstream_workers.children.wait_limit import WaitLimit


class Follow(Protocol):
    """Runs jobs for a handler that asks about them: the runner of the kit."""

    async def follow_for(self, job_id: JobId, within_s: float) -> None:
        """Run a job, and let so much time pass at most."""
        ...

    def batch_of(self, job_id: JobId) -> BatchId | None:
        """Return the batch that a client has made of which a job is a member."""
        ...

    def stop(self, job_id: JobId) -> None:
        """Stop the handler of a job that is cancelled, if it runs."""
        ...


class RunningReader(ChildReader):
    """Reads jobs as a worker does it. Where a worker would wait, the job runs."""

    def __init__(self, broker: Broker, follow: Follow) -> None:
        super().__init__(broker.store, broker.views, DEFAULT_TENANT, WaitLimit(THREADS))
        self._follow = follow

    async def batch_of(self, job_id: JobId) -> BatchId | None:
        """Return the batch of a job; of one that no batch of a client has, the one that every job may add to."""
        return self._follow.batch_of(job_id) or THE_BATCH

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job. Raises: as that of a worker."""
        job = await super().cancel(job_id)
        self._follow.stop(job.id)
        return job

    async def settled(self, job_id: str, timeout_s: float, running: Running) -> Job:  # noqa: ARG002 - nothing waits
        """Return a job once it has settled, or as it is after `timeout_s`. Raises: as `get`."""
        job = await self.get(job_id)
        if job.state.is_settled or timeout_s <= 0:
            return job
        await self._follow.follow_for(job.id, timeout_s)
        return await self.get(job_id)
