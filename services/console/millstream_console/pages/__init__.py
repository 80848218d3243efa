"""The pages, one module each: what it reads, and what its buttons do."""

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from millstream_console.pages import health, places, queues

HANDLERS: Sequence[ControllerRouterHandler] = (
    *health.HANDLERS,
    *places.HANDLERS,
    *queues.HANDLERS,
)
"""The functions that answer, of all pages."""
