"""The handle on a batch for programs without an event loop, generated from `batch_handle.py` by `make generate`."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol, Unpack, overload

from typing_extensions import TypeVar

from millstream.jobs.job_ref import JobRef, gives_of
from millstream.jobs.new_job import NewJob, new_jobs
from millstream.jobs.submit_options import SubmitOptions
from millstream.jobs.sync_job_handle import SyncJobHandle, SyncJobReader
from millstream_contracts import (
    BatchId,
    BatchMember,
    BatchMemberPage,
    BatchReceipt,
    BatchStatus,
    JobId,
    MemberState,
)

P = TypeVar("P")
R = TypeVar("R")


class SyncBatchReader(SyncJobReader, Protocol):
    """What a handle asks about its batch: a client."""

    def create_batch(self, fields: Mapping[str, Any], idempotency_key: str | None, /) -> BatchStatus:
        """Make a batch."""
        ...

    def batch_status(self, batch_id: str, /) -> BatchStatus:
        """Return a batch."""
        ...

    def wait_for_batch(self, batch_id: str, timeout: float = ..., /) -> BatchStatus:
        """Return a batch once every member has settled, waiting for it."""
        ...

    def batch_jobs(
        self, batch_id: str, *, state: MemberState | str | None = ..., cursor: str | None = ...
    ) -> BatchMemberPage:
        """Return a page of its members."""
        ...

    def add_to_batch(self, batch_id: str, jobs: Iterable[NewJob], *, idempotency_key: str | None = ...) -> BatchReceipt:
        """Submit jobs as its members."""
        ...

    def add_one_to_batch(self, batch_id: str, job: NewJob, idempotency_key: str | None, /) -> JobId:
        """Submit a job as its member."""
        ...

    def close_batch(self, batch_id: str, /) -> BatchStatus:
        """Close a batch."""
        ...

    def cancel_batch(self, batch_id: str, /) -> BatchStatus:
        """Cancel a batch."""
        ...

    def give_up_batch(self, batch_id: str, /) -> None:
        """Cancel a batch, if that can be done now."""
        ...


class SyncBatchHandle:
    """A batch."""

    def __init__(self, reader: SyncBatchReader, batch_id: BatchId) -> None:
        self.id = batch_id
        self._reader = reader

    def __repr__(self) -> str:
        return f"<SyncBatchHandle {self.id}>"

    @overload
    def submit(
        self,
        job: JobRef[None, R],
        payload: None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> SyncJobHandle[R]: ...

    @overload
    def submit(
        self, job: JobRef[P, R], payload: P, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> SyncJobHandle[R]: ...

    @overload
    def submit(
        self, job: str, payload: Any = None, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> SyncJobHandle[Any]: ...

    def submit(
        self,
        job: str | JobRef[Any, Any],
        payload: Any = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> SyncJobHandle[Any]:
        """Submit a job as a member. Raises: ConflictError when the batch is closed, and as `SyncClient.submit`."""
        new_job = NewJob(job, payload, **options)
        stored = self._reader.add_one_to_batch(self.id, new_job, idempotency_key)
        return SyncJobHandle(self._reader, stored, gives_of(job))

    @overload
    def submit_many(self, jobs: Iterable[NewJob], *, idempotency_key: str | None = None) -> BatchReceipt: ...

    @overload
    def submit_many(
        self,
        jobs: JobRef[P, Any],
        payloads: Iterable[P],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt: ...

    @overload
    def submit_many(
        self,
        jobs: str,
        payloads: Iterable[Any],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt: ...

    def submit_many(
        self,
        jobs: str | JobRef[Any, Any] | Iterable[NewJob],
        payloads: Iterable[Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt:
        """Submit many jobs as members; arguments, receipt and errors are those of `SyncClient.submit_many`."""
        many = new_jobs(jobs, payloads, options)
        return self._reader.add_to_batch(self.id, many, idempotency_key=idempotency_key)

    def status(self) -> BatchStatus:
        """Return the batch as it is now, with the number of its members in each state. Raises: ApiError."""
        return self._reader.batch_status(self.id)

    def counts(self) -> dict[MemberState, int]:
        """Return how many members are in which state now, without states that none is in. Raises: ApiError."""
        return (self.status()).counts

    def jobs(self, state: MemberState | str | None = None) -> list[BatchMember]:
        """Return its members: all, or those in a state. Raises: ApiError."""
        found: list[BatchMember] = []
        cursor: str | None = None
        while True:
            page = self._reader.batch_jobs(self.id, state=state, cursor=cursor)
            found += page.items
            cursor = page.next_cursor
            if not cursor:
                return found

    def wait(self, timeout: float = 30.0) -> BatchStatus:
        """Return the batch once it is closed and every member has settled, waiting at most `timeout` seconds.

        It has succeeded, failed or was cancelled, or it is `stalled` by members that are dead. The jobs of its
        callbacks that have fired are submitted by then.
        Raises: WaitTimeoutError, ApiError.
        """
        return self._reader.wait_for_batch(self.id, timeout)

    def close(self) -> BatchStatus:
        """Let it take no more members, except from its members. Raises: ApiError."""
        return self._reader.close_batch(self.id)

    def cancel(self) -> BatchStatus:
        """Cancel its members that have not ended. Raises: ConflictError when it has ended, ApiError."""
        return self._reader.cancel_batch(self.id)


class SyncBatchBlock:
    """A block that makes a batch and submits its members: it is open within, and closed at the end.

    A block that is left by an exception cancels the batch: what it has not submitted would be missed by `on_success`.
    """

    def __init__(self, reader: SyncBatchReader, fields: Mapping[str, Any], idempotency_key: str | None) -> None:
        self._reader = reader
        self._fields = fields
        self._idempotency_key = idempotency_key
        self._batch_id: BatchId

    def __enter__(self) -> SyncBatchHandle:
        made = self._reader.create_batch({**self._fields, "open": True}, self._idempotency_key)
        self._batch_id = made.id
        return SyncBatchHandle(self._reader, made.id)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._reader.close_batch(self._batch_id)
        else:
            self._reader.give_up_batch(self._batch_id)
