"""Makes contexts as workers do."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from msgspec import Raw

from millstream import Context
from millstream.context import BaseContext
from millstream_contracts import JobId, JobSpec, Progress

C = TypeVar("C", bound=BaseContext[Any])


def make_context(job_type: str, state: Any = None, on_progress: Callable[[Progress], None] | None = None) -> Context:
    """Return a context as a worker makes it."""
    return context_of(Context, job_type, state=state, on_progress=on_progress)


def context_of(
    kind: type[C],
    job_type: str,
    *,
    tags: dict[str, str] | None = None,
    state: Any = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> C:
    """Return a context of a class as a worker makes it."""
    now_ms = int(datetime(2026, 1, 2, tzinfo=UTC).timestamp() * 1000)
    return kind(
        job_id=JobId(f"{job_type}_0001890000000000000000000000"),
        job_type=job_type,
        attempt=1,
        fence=1,
        spec=JobSpec(payload=Raw(b"\xc0"), created_at_ms=now_ms, tags=tags),
        timeout_s=None,
        state=state,
        on_progress=on_progress,
    )
