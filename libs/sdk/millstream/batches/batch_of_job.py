"""The batch of a running job, as its handler adds members to it."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Unpack, overload

from typing_extensions import TypeVar

from millstream.jobs.blocking_reader import BlockingReader
from millstream.jobs.job_handle import JobHandle
from millstream.jobs.job_ref import JobRef, gives_of
from millstream.jobs.submit_options import SubmitOptions
from millstream.jobs.submitter import ParentJob, require_loop
from millstream.jobs.sync_job_handle import SyncJobHandle

P = TypeVar("P")
R = TypeVar("R")


class BatchOfJob:
    """The batch of which a running job is a member. Until the job has ended it may add others, also after the close."""

    def __init__(self, parent: ParentJob) -> None:
        self._parent = parent

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

    async def submit(self, job: Any, payload: Any = None, **options: Any) -> JobHandle[Any]:
        """Submit a child that is a member of the batch too; arguments and errors are those of `ctx.submit`.

        Raises also: InvalidError, in a job that is a member of no batch; ConflictError, when the batch is full.
        """
        require_loop("`ctx.batch.submit` of a Context")
        handles: list[JobHandle[Any]] = await self._parent.submit_members(job, [payload], many=False, **options)
        return handles[0]

    @overload
    async def submit_many(
        self,
        job: JobRef[P, R],
        payloads: Iterable[P],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[JobHandle[R]]: ...

    @overload
    async def submit_many(
        self,
        job: str,
        payloads: Iterable[Any],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[JobHandle[Any]]: ...

    async def submit_many(self, job: Any, payloads: Iterable[Any], **options: Any) -> list[JobHandle[Any]]:
        """Submit such a child for each payload; none if one is refused. Raises: as `submit`."""
        require_loop("`ctx.batch.submit_many` of a Context")
        return await self._parent.submit_members(job, payloads, many=True, **options)


class SyncBatchOfJob:
    """The same for `def` handlers, whose calls block."""

    def __init__(self, parent: ParentJob) -> None:
        self._parent = parent

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

    def submit(self, job: Any, payload: Any = None, **options: Any) -> SyncJobHandle[Any]:
        """Submit a child that is a member of the batch too, as `BatchOfJob.submit`. Any thread may call it."""
        [handle] = self._submit(job, [payload], many=False, **options)
        return handle

    @overload
    def submit_many(
        self,
        job: JobRef[P, R],
        payloads: Iterable[P],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[SyncJobHandle[R]]: ...

    @overload
    def submit_many(
        self,
        job: str,
        payloads: Iterable[Any],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[SyncJobHandle[Any]]: ...

    def submit_many(self, job: Any, payloads: Iterable[Any], **options: Any) -> list[SyncJobHandle[Any]]:
        """Submit such a child for each payload, as `BatchOfJob.submit_many`."""
        return self._submit(job, payloads, many=True, **options)

    def _submit(self, job: Any, payloads: Iterable[Any], **options: Any) -> list[SyncJobHandle[Any]]:
        parent = self._parent
        handles = parent.run_blocking(partial(parent.submit_members, job, payloads, **options))
        reader, gives = BlockingReader(parent), gives_of(job)
        return [SyncJobHandle(reader, handle.id, gives) for handle in handles]
