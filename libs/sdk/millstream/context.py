"""The context of a delivery: what a handler gets beside its payload."""

import math
import time
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextvars import ContextVar
from typing import Any, Protocol

import structlog

from millstream.errors import NotBoundError
from millstream_contracts import JobId, JobSpec, Progress

MAX_NOTE_CHARS = 200


class Submitter(Protocol):
    """Takes submissions: an HTTP client, or the worker that runs the handler."""

    async def submit(self, type: str, payload: Any = None, *args: Any, **options: Any) -> Any:
        """Submit one job and return a handle on it."""
        ...

    async def submit_many(self, type: str, payloads: Iterable[Any], *args: Any, **options: Any) -> Any:
        """Submit a job for each payload, with the same options."""
        ...


current_submitter: ContextVar[Submitter | None] = ContextVar("current_submitter", default=None)
"""Set by a worker around each handler, so that `.submit()` within the handler joins its trace."""


class _Done:
    """An awaitable that is already done: one method serves `async def` and `def` handlers."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


class Context:
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
        submitter: Submitter | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self.job_id = job_id
        """The same for every attempt, and so an idempotency key for effects in other systems."""
        self.type = job_type
        self.attempt = attempt
        """The number of this attempt, from 1. Snoozes, hand-backs and crashes do not count."""
        self.fence = fence
        """The number of the delivery. A resource that remembers the highest number it saw can refuse a lower one."""
        self.state = state
        """What the app's `lifespan` yielded."""
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

    def progress(self, percent: float, note: str = "") -> Awaitable[None]:
        """Record how far the handler is, from 0 to 100 percent.

        The call does no I/O: the newest progress travels with the next lease renewal. `await` is allowed and not
        needed. It never raises: a percentage that is no number counts as the one before, and a note without a text is
        replaced by one that says so.
        """
        if self._on_progress is not None:
            self._percent = _percent(percent, self._percent)
            self._on_progress(Progress(percent=self._percent, note=_note(note)))
        return _Done()

    async def submit(self, type: str, payload: Any = None, **options: Any) -> Any:
        """Submit a child job in the same trace. Takes the options of `Client.submit`. Raises: NotBoundError."""
        return await self._children().submit(type, payload, **options)

    async def submit_many(self, type: str, payloads: Iterable[Any], **options: Any) -> Any:
        """Submit a child job for each payload, in the same trace. Raises: NotBoundError."""
        return await self._children().submit_many(type, payloads, **options)

    def _children(self) -> Submitter:
        if self._submitter is None:
            raise NotBoundError("this handler runs in a process of its own and cannot submit jobs")
        return self._submitter


def _percent(value: Any, before: float) -> float:
    try:
        percent = float(value)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a user's class may raise anything
        return before
    return before if math.isnan(percent) else min(100.0, max(0.0, percent))


def _note(value: Any) -> str:
    """Return a note that can be stored: a lone surrogate, from a file name or a cut emoji, could not be."""
    try:
        text = str(value)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a user's class may raise anything
        return "<str() of the note failed>"
    # Not `text[:200]`: a subclass of str may have a `__getitem__` of its own.
    return str.__getitem__(text, slice(0, MAX_NOTE_CHARS)).encode(errors="replace").decode()
