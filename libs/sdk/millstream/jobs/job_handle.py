"""A handle on a job, for programs that run on an event loop. `sync_job_handle.py` is generated from this module."""

from collections.abc import AsyncIterator
from typing import Any, Generic, Protocol, overload

from typing_extensions import TypeVar

from millstream.jobs.result_reader import read_result
from millstream.jobs.signal import Signal
from millstream.payloads import ANYTHING, DataType
from millstream_contracts import Job, JobId, JobStack, SignalReceipt

T = TypeVar("T")
P = TypeVar("P")
R_co = TypeVar("R_co", covariant=True, default=Any)


class JobReader(Protocol):
    """What a handle asks about its job: a client."""

    async def result(self, job_id: str, timeout: float = ..., /) -> Any:  # noqa: ASYNC109 - the server holds the answer
        """Return a job's result, waiting for it."""
        ...

    async def get(self, job_id: str, /) -> Job:
        """Return a job."""
        ...

    async def cancel(self, job_id: str, /) -> Job:
        """Cancel a job."""
        ...

    async def stack(self, job_id: str, /) -> JobStack:
        """Return where the handler of a job is."""
        ...

    async def signal(
        self, job_id: str, signal: Any, payload: Any = None, *, idempotency_key: str | None = None
    ) -> SignalReceipt:
        """Send a signal to a job."""
        ...

    def updates(self, job_id: str, /) -> AsyncIterator[Job]:
        """Yield a job each time that it has moved."""
        ...


class JobHandle(Generic[R_co]):
    """A job, and what its result is decoded to."""

    def __init__(
        self,
        reader: JobReader,
        job: Job | JobId,
        gives: DataType = ANYTHING,
        *,
        unique_conflict: bool | None = None,
    ) -> None:
        """`job` is what is known of it: the whole job, or its id alone."""
        self.id: JobId = job.id if isinstance(job, Job) else job
        self._reader = reader
        self._job = job
        self._gives = gives
        self._unique_conflict = unique_conflict

    def __repr__(self) -> str:
        return f"<JobHandle {self.id}>"

    @property
    def job(self) -> Job:
        """The job as it was when it was submitted. Raises: LookupError, for a handle that was made of an id."""
        if isinstance(self._job, Job):
            return self._job
        raise LookupError(f"nothing is known of {self.id} but its id: ask for its `status()`")

    @property
    def unique_conflict(self) -> bool | None:
        """Whether nothing was stored, because this job holds the unique key of the one that was submitted.

        None where that is not known: of jobs that a handler submits, and of handles that were made of an id.
        """
        return self._unique_conflict

    @overload
    async def result(self, timeout: float = 30.0) -> R_co: ...  # noqa: ASYNC109 - as above

    @overload
    async def result(self, timeout: float = 30.0, *, into: type[T]) -> T: ...  # noqa: ASYNC109

    async def result(self, timeout: float = 30.0, *, into: Any = None) -> Any:  # noqa: ASYNC109 - as above
        """Wait for the result, at most `timeout` seconds, and return it as what its job type gives, or as `into`.

        Raises: JobFailedError, WaitTimeoutError, ResultError, ApiError.
        """
        value = await self._reader.result(self.id, timeout)
        return read_result(value, self._gives if into is None else DataType(into, is_result=True), self.id)

    async def status(self) -> Job:
        """Return the job as it is now. Raises: ApiError."""
        return await self._reader.get(self.id)

    def updates(self) -> AsyncIterator[Job]:
        """Yield the job as it is now, and again each time that it has moved, until it has ended or is dead.

        Of two moves in short succession only the second may be seen. Raises: NotBoundError within a handler; ApiError.
        """
        return self._reader.updates(self.id)

    async def stack(self) -> JobStack:
        """Return where its handler is now. Raises: ConflictError when it does not run, UnavailableError, ApiError."""
        return await self._reader.stack(self.id)

    @overload
    async def signal(
        self, signal: Signal[None], payload: None = None, *, idempotency_key: str | None = None
    ) -> SignalReceipt: ...

    @overload
    async def signal(self, signal: Signal[P], payload: P, *, idempotency_key: str | None = None) -> SignalReceipt: ...

    @overload
    async def signal(
        self, signal: str, payload: Any = None, *, idempotency_key: str | None = None
    ) -> SignalReceipt: ...

    async def signal(self, signal: Any, payload: Any = None, *, idempotency_key: str | None = None) -> SignalReceipt:
        """Send a signal to the job, whose durable handler waits for it, or will.

        Raises: ConflictError when the job has ended; NotBoundError within a handler; TypeError, ApiError.
        """
        return await self._reader.signal(self.id, signal, payload, idempotency_key=idempotency_key)

    async def cancel(self) -> Job:
        """Cancel the job. Raises: ConflictError when it has ended, ApiError."""
        return await self._reader.cancel(self.id)
