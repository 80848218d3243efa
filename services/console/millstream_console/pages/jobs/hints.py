"""Hints at how a query can go on, for the completion under the search bar."""

from typing import Any

from litestar import MediaType, Response, get

from millstream import ApiError, SearchHints
from millstream_console.web.visit import Visit


@get("/jobs/hints.json", media_type=MediaType.JSON)
async def send_hints(visit: Visit) -> Response[SearchHints]:
    """Send hints; none while the history does not answer: a person types on."""
    q = visit.text("q")
    at = visit.whole_number("at", len(q))
    try:
        hints = await visit.client.search_hints(q, at)
    except ApiError:
        hints = SearchHints([at, at], [])
    return Response(hints, headers={"Cache-Control": "no-store"})


HANDLERS: tuple[Any, ...] = (send_hints,)
