"""A running job as the parent of others: what is the same for a handler in its worker and for one in a process."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NoReturn, TypeVar, Unpack

from millstream.errors import JobFailedError, NotBoundError, WaitTimeoutError
from millstream.jobs.blocking import run_blocking
from millstream.jobs.idempotency_key import check_idempotency_key
from millstream.jobs.job_handle import JobHandle
from millstream.jobs.job_ref import gives_of
from millstream.jobs.new_job import NewJob, new_jobs
from millstream.jobs.submit_options import SubmitOptions
from millstream_contracts import BatchItem, BatchReceipt, CallAnswer, Job, JobId, JobState, StepAnswer, StoredStep

T = TypeVar("T")


class Parent(ABC):
    """Submits the children of one running job, and answers what the handles on them ask.

    What an implementation awaits comes from its own event loop, or by `answer_of`: then its calls work in threads too.
    """

    __slots__ = ()

    async def submit(
        self, job: Any, payload: Any = None, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> JobHandle[Any]:
        """Store a child. Raises: TypeError, ValueError, InvalidError, UnavailableError."""
        [job_id] = await self._store_all([NewJob(job, payload, **options)], idempotency_key, many=False)
        return JobHandle(self, job_id, gives_of(job))

    async def submit_children(
        self,
        job: Any,
        payloads: Iterable[Any],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[JobHandle[Any]]:
        """Store a child for each payload, or none if one is refused. Raises: as :meth:`submit`."""
        ids = await self._store_all(new_jobs(job, payloads, options), idempotency_key, many=True)
        return [JobHandle(self, job_id, gives_of(job)) for job_id in ids]

    async def submit_members(
        self,
        job: Any,
        payloads: Iterable[Any],
        *,
        many: bool,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[JobHandle[Any]]:
        """Store a child for each payload as a member of the batch of the job, or none if one is refused.

        Raises: as :meth:`submit`; InvalidError, when the job is a member of no batch; ConflictError.
        """
        jobs = new_jobs(job, payloads, options)
        ids = await self._store_all(jobs, idempotency_key, many=many, as_members=True)
        return [JobHandle(self, job_id, gives_of(job)) for job_id in ids]

    async def submit_many(
        self,
        jobs: Any,
        payloads: Iterable[Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt:
        """Do the same with the arguments and the receipt of `Client.submit_many`. Raises: as :meth:`submit`."""
        ids = await self._store_all(new_jobs(jobs, payloads, options), idempotency_key, many=True)
        items = [BatchItem(index=index, status=202, id=job_id) for index, job_id in enumerate(ids)]
        return BatchReceipt(accepted=len(items), rejected=0, items=items)

    async def result(self, job_id: str, timeout: float = 30.0, /) -> Any:  # noqa: ASYNC109 - as that of a client
        """Wait for a job's result. Raises: JobFailedError, WaitTimeoutError, JobNotFoundError, UnavailableError."""
        job = await self.settled(job_id, timeout)
        if not job.state.is_settled:
            raise WaitTimeoutError(f"job {job_id} is {job.state} after {timeout:g} s; it goes on")
        if job.state is not JobState.SUCCEEDED:
            raise JobFailedError(job)
        return job.result

    async def stack(self, job_id: str, /) -> NoReturn:
        """Raise NotBoundError: a worker tells clients where a job is, and no handlers."""
        raise NotBoundError(f"a handler does not see where {job_id} is: ask a client")

    async def signal(
        self, job_id: str, signal: Any, payload: Any = None, *, idempotency_key: str | None = None
    ) -> NoReturn:
        """Raise NotBoundError: ingest takes signals from clients, and workers from no handler."""
        del signal, payload, idempotency_key
        raise NotBoundError(f"a handler sends no signal to {job_id}: a client does")

    def updates(self, job_id: str, /) -> NoReturn:
        """Raise NotBoundError: ingest tells clients what happens to jobs, and no handlers."""
        raise NotBoundError(f"a handler does not follow {job_id}: wait for its result, or ask a client")

    def run_blocking(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run one of the calls above from a thread, and wait for it."""
        return run_blocking(call)

    @abstractmethod
    async def store(
        self, contents: Sequence[bytes], idempotency_key: str | None, *, many: bool, as_members: bool = False
    ) -> list[JobId]:
        """Store submissions in MessagePack, all or none. Returns: their ids, in order.

        `many` says that they came together: a refusal points to the item, and the key counts for each payload.
        `as_members` makes them members of the batch of the job.
        """

    @abstractmethod
    async def get(self, job_id: str, /) -> Job:
        """Return a job. Raises: JobNotFoundError, UnavailableError."""

    @abstractmethod
    async def cancel(self, job_id: str, /) -> Job:
        """Cancel a job. Raises: ConflictError, JobNotFoundError, UnavailableError."""

    @abstractmethod
    async def settled(self, job_id: str, timeout_s: float) -> Job:
        """Return a job once it has settled, or as it is after `timeout_s`. Raises: as :meth:`get`."""

    @abstractmethod
    async def read_steps(self) -> dict[str, StoredStep]:
        """Return what is stored of its steps, by name. Raises: UnavailableError."""

    @abstractmethod
    async def save_step(self, name: str, version: str, kind: str, content: bytes) -> StepAnswer:
        """Store what a step has given, unless it is stored already: then that is the answer. Raises: UnavailableError.

        A delivery that is another worker's by now is stopped.
        """

    @abstractmethod
    async def await_step(self, name: str, signal: str, ends: str) -> StepAnswer:
        """Return whether a wait is over, for a signal or, where that is empty, for the time alone.

        `ends` is `+<ms>`, Unix ms, or empty. Raises: as :meth:`save_step`.
        """

    @abstractmethod
    async def call_jobs(self, name: str, contents: Sequence[bytes], known: Sequence[JobId]) -> CallAnswer:
        """Submit the jobs that a step calls, submissions in MessagePack, and note their ids as that step.

        With `known`, the ids that an earlier delivery has noted, submit those that are not there, and look at the
        others. Raises: InvalidError, UnavailableError.
        """

    async def _store_all(
        self, jobs: list[NewJob], idempotency_key: str | None, *, many: bool, as_members: bool = False
    ) -> list[JobId]:
        if idempotency_key is not None:
            check_idempotency_key(idempotency_key)
        contents = [job.content for job in jobs]
        return await self.store(contents, idempotency_key, many=many, as_members=as_members)
