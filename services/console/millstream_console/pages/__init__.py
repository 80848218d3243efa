"""The pages, one module each: what it reads, and what its buttons do."""

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from millstream_console.pages import decisions, health, job, jobs, places, queues

HANDLERS: Sequence[ControllerRouterHandler] = (
    *health.HANDLERS,
    *places.HANDLERS,
    *queues.HANDLERS,
    *jobs.HANDLERS,
    *job.HANDLERS,
    *decisions.HANDLERS,
)
"""The functions that answer, of all pages."""
