"""What takes submissions: an HTTP client, or the worker that runs the handler."""

from collections.abc import Callable, Coroutine, Iterable
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from anyio.lowlevel import current_token

from millstream.errors import NotBoundError
from millstream.jobs.job_handle import JobReader

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
