"""The context of a delivery: what a handler gets beside its payload."""

import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from functools import partial
from typing import Any, Generic, Unpack, overload

import structlog
from typing_extensions import TypeVar

from millstream.batches.batch_of_job import BatchOfJob, SyncBatchOfJob
from millstream.errors import NotBoundError
from millstream.jobs.blocking_reader import BlockingReader
from millstream.jobs.job_handle import JobHandle
from millstream.jobs.job_ref import JobRef, gives_of
from millstream.jobs.submit_options import SubmitOptions
from millstream.jobs.submitter import ParentJob, require_loop
from millstream.jobs.sync_job_handle import SyncJobHandle
from millstream_contracts import FiredBatch, JobId, JobSpec, Progress, fired_batch

P = TypeVar("P")
R = TypeVar("R")
S_co = TypeVar("S_co", covariant=True, default=Any)

MAX_NOTE_CHARS = 200


class _Done:
    """An awaitable that is already done: one method serves `async def` and `def` handlers."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class BaseContext(Generic[S_co]):
    """One delivery of one job, as its handler sees it."""

    def __init__(
        self,
        *,
        job_id: JobId,
        job_type: str,
        attempt: int,
        fence: int,
        spec: JobSpec,
        timeout_s: float | None,
        state: Any = None,
        submitter: ParentJob | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.job_id = job_id
        """The same for every attempt, and so an idempotency key for effects in other systems."""
        self.type = job_type
        self.attempt = attempt
        """The number of this attempt, from 1. Snoozes, hand-backs and crashes do not count."""
        self.fence = fence
        """The number of the delivery. A resource that remembers the highest number it saw can refuse a lower one."""
        self.state: S_co = state
        """What the `lifespan` of the app yielded."""
        self.tags = dict(spec.tags or {})
        self.timeout_s = timeout_s
        self.deadline = None if timeout_s is None else time.monotonic() + timeout_s
        """When the attempt times out, on the clock of `time.monotonic()`."""
        self.cancelled = False
        """True once the handler has to stop. A handler in a thread should look at it."""
        self._submitter = submitter
        self._on_progress = on_progress
        self._percent = 0.0
        self._log: structlog.stdlib.BoundLogger | None = None

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger bound to this delivery."""
        if self._log is None:
            self._log = structlog.stdlib.get_logger().bind(job_id=self.job_id, type=self.type, attempt=self.attempt)
        return self._log

    @property
    def fired_batch(self) -> FiredBatch | None:
        """The batch for whose event this job runs, with the counts at the event; None for a job that is no callback."""
        return fired_batch(self.tags)

    def _note(self, percent: Any, note: Any) -> None:
        if self._on_progress is not None:
            self._percent = _percent(percent, self._percent)
            self._on_progress(Progress(percent=self._percent, note=_text(note)))

    def _parent(self) -> ParentJob:
        if self._submitter is None:
            raise NotBoundError("this context belongs to no running job, which could submit others")
        return self._submitter


class AsyncContext(BaseContext[S_co]):
    """What is the same in all contexts of `async def` handlers."""

    def progress(self, percent: float, note: str = "") -> Awaitable[None]:
        """Record how far the handler is, from 0 to 100 percent.

        The call does no I/O: the newest progress travels with the next lease renewal. `await` is allowed and not
        needed. It never raises: a percentage that is no number counts as the one before, and a note without a text is
        replaced by one that says so.
        """
        self._note(percent, note)
        return _Done()

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

    def submit(self, job: Any, payload: Any = None, **options: Any) -> Coroutine[Any, Any, JobHandle[Any]]:
        """Submit a child job in the same trace. It is stored at once, whatever becomes of this job.

        With an `idempotency_key` a later attempt of this job gets the child of the first, for 24 hours. Keys of two
        jobs have nothing to do with each other. Raises: NotBoundError, TypeError for an unknown option, InvalidError,
        UnavailableError.
        """
        require_loop("`ctx.submit` of a Context")
        return self._parent().submit(job, payload, **options)

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

    def submit_many(
        self, job: Any, payloads: Iterable[Any], **options: Any
    ) -> Coroutine[Any, Any, list[JobHandle[Any]]]:
        """Submit a child job for each payload, in the same trace; none if one is refused.

        With an `idempotency_key` a later attempt of this job gets the same child for an equal payload, however the
        payloads are ordered. Raises: as `submit`.
        """
        require_loop("`ctx.submit_many` of a Context")
        return self._parent().submit_children(job, payloads, **options)

    @property
    def batch(self) -> BatchOfJob:
        """The batch of which this job is a member, to add others to it. Raises: NotBoundError."""
        return BatchOfJob(self._parent())


class Context(AsyncContext[S_co]):
    """What an `async def` handler is given. `Context[Pool]` says that the lifespan of its app yields a `Pool`."""


class BlockingContext(BaseContext[S_co]):
    """What is the same in all contexts of `def` handlers."""

    def progress(self, percent: float, note: str = "") -> None:
        """Record how far the handler is, from 0 to 100 percent. Does no I/O and never raises, as `Context.progress`."""
        self._note(percent, note)

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
        """Submit a child job, as `Context.submit`, and return once it is stored. Any thread may call it."""
        parent = self._parent()
        handle: JobHandle[Any] = parent.run_blocking(partial(parent.submit, job, payload, **options))
        return SyncJobHandle(BlockingReader(parent), handle.id, gives_of(job))

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
        """Submit a child job for each payload, as `Context.submit_many`, and return once they are stored."""
        parent = self._parent()
        handles = parent.run_blocking(partial(parent.submit_children, job, payloads, **options))
        reader, gives = BlockingReader(parent), gives_of(job)
        return [SyncJobHandle(reader, handle.id, gives) for handle in handles]

    @property
    def batch(self) -> SyncBatchOfJob:
        """The batch of which this job is a member, to add others to it. Raises: NotBoundError."""
        return SyncBatchOfJob(self._parent())


class SyncContext(BlockingContext[S_co]):
    """What a `def` handler is given: its calls block. `SyncContext[Pool]` says what the lifespan of its app yields."""


def _percent(value: Any, before: float) -> float:
    try:
        percent = float(value)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a user's class may raise anything
        return before
    return before if math.isnan(percent) else min(100.0, max(0.0, percent))


def _text(value: Any) -> str:
    """Return a note that can be stored: a lone surrogate, from a file name or a cut emoji, could not be."""
    try:
        text = str(value)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a user's class may raise anything
        return "<str() of the note failed>"
    # Not `text[:200]`: a subclass of str may have a `__getitem__` of its own.
    return str.__getitem__(text, slice(0, MAX_NOTE_CHARS)).encode(errors="replace").decode()
