"""The list of batches."""

from typing import Any

from litestar import Response, get

from millstream import Client
from millstream_console.live.view import Content, View
from millstream_console.pages.batches import batch_words
from millstream_console.web.visit import Visit

PAGE = 50
STATES = ("", "open", "running", "stalled", "succeeded", "failed", "cancelled")


async def read_batches(client: Client, *, state: str, cursor: str) -> Content:
    """Return a page of batches, newest first. Raises: ApiError."""
    page = await client.batches(state=state or None, cursor=cursor or None, limit=PAGE)
    return {
        "batches": page.items,
        "next_cursor": page.next_cursor,
        "cursor": cursor,
        "state": state,
        "words": batch_words,
    }


BATCHES = View("batches.html", read_batches, "batches")


@get("/batches")
async def show_batches(visit: Visit) -> Response[Any]:
    """Show batches."""
    return await visit.show(BATCHES, state=visit.choice("state", STATES, ""), cursor=visit.text("cursor"))


HANDLERS = (show_batches,)
"""The functions that answer."""
