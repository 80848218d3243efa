"""The pages, one module each: what it reads, and what its buttons do."""

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from millstream_console.pages import health, places
from millstream_console.pages.overview import page as overview
from millstream_console.pages.queues import queue_list

HANDLERS: Sequence[ControllerRouterHandler] = (
    *health.HANDLERS,
    *places.HANDLERS,
    *overview.HANDLERS,
    *queue_list.HANDLERS,
)
"""The functions that answer, of all pages."""
