"""What takes submissions: an HTTP client, or the worker that runs the handler."""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from anyio.lowlevel import current_token

from millstream.errors import NotBoundError
from millstream.jobs.job_handle import JobReader
from millstream_contracts import CallAnswer, JobId, StepAnswer, StoredStep

T = TypeVar("T")


class Submitter(Protocol):
    """Takes submissions. A job is named by its type, or by a `JobRef`."""

    async def submit(self, job: Any, payload: Any = None, *args: Any, **options: Any) -> Any:
        """Submit one job and return a `JobHandle` on it."""
        ...

    async def submit_many(self, jobs: Any, payloads: Iterable[Any], *args: Any, **options: Any) -> Any:
        """Submit a job for each payload, with the same options. Returns: a `BatchReceipt`."""
        ...


class ParentJob(Submitter, JobReader, Protocol):
    """A running job, as its context submits children of it, and what the handles on them ask."""

    async def submit_children(self, job: Any, payloads: Iterable[Any], *args: Any, **options: Any) -> list[Any]:
        """Submit a child for each payload, or none if one is refused. Returns: their handles."""
        ...

    async def submit_members(self, job: Any, payloads: Iterable[Any], *args: Any, **options: Any) -> list[Any]:
        """Do the same with children that are members of its batch; `many` as in `Parent.store`."""
        ...

    async def read_steps(self) -> dict[str, StoredStep]:
        """Return what is stored of its steps, by name."""
        ...

    async def save_step(self, name: str, version: str, kind: str, content: bytes) -> StepAnswer:
        """Store what a step has given, unless it is stored already."""
        ...

    async def await_step(self, name: str, signal: str, ends: str) -> StepAnswer:
        """Return whether a wait is over, for a signal or for a time alone."""
        ...

    async def call_jobs(self, name: str, contents: Sequence[bytes], known: Sequence[JobId]) -> CallAnswer:
        """Submit the jobs that a step calls, or look at those that it has called."""
        ...

    def run_blocking(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run one of the calls above from a thread, and wait for it."""
        ...


current_submitter: ContextVar[Submitter | None] = ContextVar("current_submitter", default=None)
"""Set by a worker around each handler, so that `.submit()` within the handler joins its trace."""


def require_loop(call: str) -> None:
    """Raise NotBoundError where a call has to be awaited and cannot: it would be a coroutine that never runs."""
    try:
        current_token()
    except RuntimeError:  # of anyio or asyncio
        raise NotBoundError(
            f"{call} is awaited, and no event loop runs in this thread: call it within an `async def`; a `def` handler "
            "calls `ctx.submit(...)` of its SyncContext, a program without a loop `client.submit(...)` of a SyncClient"
        ) from None
