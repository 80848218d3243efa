"""A handle on a batch, for programs that run on an event loop. `sync_batch_handle.py` is made from this module."""

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol, Unpack, overload

from typing_extensions import TypeVar

from millstream.jobs.job_handle import JobHandle, JobReader
from millstream.jobs.job_ref import JobRef, gives_of
from millstream.jobs.new_job import NewJob, new_jobs
from millstream.jobs.submit_options import SubmitOptions
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


class BatchReader(JobReader, Protocol):
    """What a handle asks about its batch: a client."""

    async def create_batch(self, fields: Mapping[str, Any], idempotency_key: str | None, /) -> BatchStatus:
        """Make a batch."""
        ...

    async def batch_status(self, batch_id: str, /) -> BatchStatus:
        """Return a batch."""
        ...

    async def wait_for_batch(self, batch_id: str, timeout: float = ..., /) -> BatchStatus:  # noqa: ASYNC109
        """Return a batch once every member has settled, waiting for it."""
        ...

    async def batch_jobs(
        self, batch_id: str, *, state: MemberState | str | None = ..., cursor: str | None = ...
    ) -> BatchMemberPage:
        """Return a page of its members."""
        ...

    async def add_to_batch(
        self, batch_id: str, jobs: Iterable[NewJob], *, idempotency_key: str | None = ...
    ) -> BatchReceipt:
        """Submit jobs as its members."""
        ...

    async def add_one_to_batch(self, batch_id: str, job: NewJob, idempotency_key: str | None, /) -> JobId:
        """Submit a job as its member."""
        ...

    async def close_batch(self, batch_id: str, /) -> BatchStatus:
        """Close a batch."""
        ...

    async def cancel_batch(self, batch_id: str, /) -> BatchStatus:
        """Cancel a batch."""
        ...

    async def give_up_batch(self, batch_id: str, /) -> None:
        """Cancel a batch, if that can be done now."""
        ...


class BatchHandle:
    """A batch."""

    def __init__(self, reader: BatchReader, batch_id: BatchId) -> None:
        self.id = batch_id
        self._reader = reader

    def __repr__(self) -> str:
        return f"<BatchHandle {self.id}>"

    @overload
    async def submit(
        self,
        job: JobRef[None, R],
        payload: None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> JobHandle[R]: ...

    @overload
    async def submit(
        self, job: JobRef[P, R], payload: P, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> JobHandle[R]: ...

    @overload
    async def submit(
        self, job: str, payload: Any = None, *, idempotency_key: str | None = None, **options: Unpack[SubmitOptions]
    ) -> JobHandle[Any]: ...

    async def submit(
        self,
        job: str | JobRef[Any, Any],
        payload: Any = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> JobHandle[Any]:
        """Submit a job as a member. Raises: ConflictError when the batch is closed, and as `Client.submit`."""
        new_job = NewJob(job, payload, **options)
        stored = await self._reader.add_one_to_batch(self.id, new_job, idempotency_key)
        return JobHandle(self._reader, stored, gives_of(job))

    @overload
    async def submit_many(self, jobs: Iterable[NewJob], *, idempotency_key: str | None = None) -> BatchReceipt: ...

    @overload
    async def submit_many(
        self,
        jobs: JobRef[P, Any],
        payloads: Iterable[P],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt: ...

    @overload
    async def submit_many(
        self,
        jobs: str,
        payloads: Iterable[Any],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt: ...

    async def submit_many(
        self,
        jobs: str | JobRef[Any, Any] | Iterable[NewJob],
        payloads: Iterable[Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> BatchReceipt:
        """Submit many jobs as members; arguments, receipt and errors are those of `Client.submit_many`."""
        many = new_jobs(jobs, payloads, options)
        return await self._reader.add_to_batch(self.id, many, idempotency_key=idempotency_key)

    async def status(self) -> BatchStatus:
        """Return the batch as it is now, with the number of its members in each state. Raises: ApiError."""
        return await self._reader.batch_status(self.id)

    async def counts(self) -> dict[MemberState, int]:
        """Return how many members are in which state now, without states that none is in. Raises: ApiError."""
        return (await self.status()).counts

    async def jobs(self, state: MemberState | str | None = None) -> list[BatchMember]:
        """Return its members: all, or those in a state. Raises: ApiError."""
        found: list[BatchMember] = []
        cursor: str | None = None
        while True:
            page = await self._reader.batch_jobs(self.id, state=state, cursor=cursor)
            found += page.items
            cursor = page.next_cursor
            if not cursor:
                return found

    async def wait(self, timeout: float = 30.0) -> BatchStatus:  # noqa: ASYNC109 - as that of a job
        """Return the batch once it is closed and every member has settled, waiting at most `timeout` seconds.

        It has succeeded, failed or was cancelled, or it is `stalled` by members that are dead. The jobs of its
        callbacks that have fired are submitted by then.
        Raises: WaitTimeoutError, ApiError.
        """
        return await self._reader.wait_for_batch(self.id, timeout)

    async def close(self) -> BatchStatus:
        """Let it take no more members, except from its members. Raises: ApiError."""
        return await self._reader.close_batch(self.id)

    async def cancel(self) -> BatchStatus:
        """Cancel its members that have not ended. Raises: ConflictError when it has ended, ApiError."""
        return await self._reader.cancel_batch(self.id)


class BatchBlock:
    """A block that makes a batch and submits its members: it is open within, and closed at the end.

    A block that is left by an exception cancels the batch: what it has not submitted would be missed by `on_success`.
    """

    def __init__(self, reader: BatchReader, fields: Mapping[str, Any], idempotency_key: str | None) -> None:
        self._reader = reader
        self._fields = fields
        self._idempotency_key = idempotency_key
        self._batch_id: BatchId

    async def __aenter__(self) -> BatchHandle:
        made = await self._reader.create_batch({**self._fields, "open": True}, self._idempotency_key)
        self._batch_id = made.id
        return BatchHandle(self._reader, made.id)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self._reader.close_batch(self._batch_id)
        else:
            await self._reader.give_up_batch(self._batch_id)
