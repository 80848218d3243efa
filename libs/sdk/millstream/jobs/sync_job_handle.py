"""The handle on a job for programs without an event loop, generated from `job_handle.py` by `make generate`."""

from collections.abc import Iterator
from typing import Any, Generic, Protocol, overload

from typing_extensions import TypeVar

from millstream.jobs.result_reader import read_result
from millstream.jobs.signal import Signal
from millstream.payloads import ANYTHING, DataType
from millstream_contracts import Job, JobId, JobStack, SignalReceipt

T = TypeVar("T")
P = TypeVar("P")
R_co = TypeVar("R_co", covariant=True, default=Any)


class SyncJobReader(Protocol):
    """What a handle asks about its job: a client."""

    def result(self, job_id: str, timeout: float = ..., /) -> Any:
        """Return a job's result, waiting for it."""
        ...

    def get(self, job_id: str, /) -> Job:
        """Return a job."""
        ...

    def cancel(self, job_id: str, /) -> Job:
        """Cancel a job."""
        ...

    def stack(self, job_id: str, /) -> JobStack:
        """Return where the handler of a job is."""
        ...

    def signal(
        self, job_id: str, signal: Any, payload: Any = None, *, idempotency_key: str | None = None
    ) -> SignalReceipt:
        """Send a signal to a job."""
        ...

    def updates(self, job_id: str, /) -> Iterator[Job]:
        """Yield a job each time that it has moved."""
        ...


class SyncJobHandle(Generic[R_co]):
    """A job, and what its result is decoded to."""

    def __init__(
        self,
        reader: SyncJobReader,
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
        return f"<SyncJobHandle {self.id}>"

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
    def result(self, timeout: float = 30.0) -> R_co: ...

    @overload
    def result(self, timeout: float = 30.0, *, into: type[T]) -> T: ...

    def result(self, timeout: float = 30.0, *, into: Any = None) -> Any:
        """Wait for the result, at most `timeout` seconds, and return it as what its job type gives, or as `into`.

        Raises: JobFailedError, WaitTimeoutError, ResultError, ApiError.
        """
        value = self._reader.result(self.id, timeout)
        return read_result(value, self._gives if into is None else DataType(into, is_result=True), self.id)

    def status(self) -> Job:
        """Return the job as it is now. Raises: ApiError."""
        return self._reader.get(self.id)

    def updates(self) -> Iterator[Job]:
        """Yield the job as it is now, and again each time that it has moved, until it has ended or is dead.

        Of two moves in short succession only the second may be seen. Raises: NotBoundError within a handler; ApiError.
        """
        return self._reader.updates(self.id)

    def stack(self) -> JobStack:
        """Return where its handler is now. Raises: ConflictError when it does not run, UnavailableError, ApiError."""
        return self._reader.stack(self.id)

    @overload
    def signal(
        self, signal: Signal[None], payload: None = None, *, idempotency_key: str | None = None
    ) -> SignalReceipt: ...

    @overload
    def signal(self, signal: Signal[P], payload: P, *, idempotency_key: str | None = None) -> SignalReceipt: ...

    @overload
    def signal(self, signal: str, payload: Any = None, *, idempotency_key: str | None = None) -> SignalReceipt: ...

    def signal(self, signal: Any, payload: Any = None, *, idempotency_key: str | None = None) -> SignalReceipt:
        """Send a signal to the job, whose durable handler waits for it, or will.

        Raises: ConflictError when the job has ended; NotBoundError within a handler; TypeError, ApiError.
        """
        return self._reader.signal(self.id, signal, payload, idempotency_key=idempotency_key)

    def cancel(self) -> Job:
        """Cancel the job. Raises: ConflictError when it has ended, ApiError."""
        return self._reader.cancel(self.id)
