"""Reads, cancels and awaits jobs for running handlers, straight in Redis, with the errors of a client."""

import random
import time
from collections.abc import Callable

import anyio

from millstream import ConflictError, JobNotFoundError, WaitTimeoutError
from millstream_contracts import BatchId, Job, JobId, Queue, Tenant, queue_of
from millstream_streams import ActionCode, JobStore, JobViews
from millstream_workers.attempt.running import Running
from millstream_workers.children.refusals import as_unavailable, problem
from millstream_workers.children.wait_limit import WaitLimit

LOOK_EVERY_S = 1.0
"""The longest time between two looks at a job that is waited for."""

_FIRST_LOOK_S = 0.02
_SHARE = 0.1
"""How much longer a wait may take because of the time between two looks, as a share of the wait."""


class ChildReader:
    """Answers what handles on children ask. Lives on the event loop."""

    def __init__(
        self,
        store: JobStore,
        views: JobViews,
        tenant: Tenant,
        limit: WaitLimit,
        *,
        cancelled: Callable[[Job], None] = lambda _: None,
    ) -> None:
        """Take `cancelled`, which is called with each job that a cancellation has ended at once."""
        self._store = store
        self._views = views
        self._tenant = tenant
        self._limit = limit
        self._cancelled = cancelled

    async def get(self, job_id: str) -> Job:
        """Return a job. Raises: JobNotFoundError, UnavailableError."""
        with as_unavailable():
            job = await self._views.job(self._queue(job_id), JobId(job_id))
        if job is None:
            raise _missing(job_id)
        return job

    async def owner_of(self, job_id: JobId) -> str:
        """Return who has submitted a job; empty where that is not known. Raises: UnavailableError."""
        with as_unavailable():
            return await self._views.owner(self._queue(job_id), job_id) or ""

    async def batch_of(self, job_id: JobId) -> BatchId | None:
        """Return the batch of which a job is a member; None for a job that is none. Raises: as :meth:`get`."""
        job = await self.get(job_id)
        return None if job.batch is None or job.batch_event is not None else BatchId(job.batch)

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job. Raises: ConflictError, when it has ended, JobNotFoundError, UnavailableError."""
        with as_unavailable():
            [code] = await self._store.cancel(self._queue(job_id), [JobId(job_id)])
        if code is ActionCode.UNKNOWN_JOB:
            raise _missing(job_id)
        job = await self.get(job_id)
        if code is ActionCode.WRONG_STATE:
            raise ConflictError(problem(409, f"the job is {job.state}: it cannot be cancelled", job_id))
        if code is ActionCode.DONE:
            self._cancelled(job)
        return job

    async def settled(self, job_id: str, timeout_s: float, running: Running) -> Job:
        """Return a job once it has settled, or as it is after `timeout_s`; `running` is the job that waits.

        Raises: as :meth:`get`; UnavailableError too when the worker has no slot left for a handler that waits, and
        WaitTimeoutError when that handler is told to stop.
        """
        began = time.monotonic()
        job = await self.get(job_id)
        if job.state.is_settled or timeout_s <= 0:
            return job
        with self._limit.waiting(running):
            await self._wait(job_id, began, began + timeout_s, running)
        return await self.get(job_id)

    async def _wait(self, job_id: str, began: float, deadline: float, running: Running) -> None:
        queue = self._queue(job_id)
        while (now := time.monotonic()) < deadline:
            pause_s = min(max(_FIRST_LOOK_S, _SHARE * (now - began)), LOOK_EVERY_S) * random.uniform(0.8, 1.0)
            await anyio.sleep(min(pause_s, deadline - now))
            if running.interruption is not None:  # a thread hears of it in no other way
                raise WaitTimeoutError(f"the wait for job {job_id} ends, because this attempt has to stop; it goes on")
            with as_unavailable():
                if await self._views.is_settled(queue, JobId(job_id)):
                    return

    def _queue(self, job_id: str) -> Queue:
        queue = queue_of(self._tenant, job_id)
        if queue is None:
            raise _missing(job_id)
        return queue


def _missing(job_id: str) -> JobNotFoundError:
    return JobNotFoundError(problem(404, "there is no such job, or no longer", job_id))
