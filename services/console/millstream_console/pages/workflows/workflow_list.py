"""The list of workflows."""

from typing import Any

from litestar import Response, get

from millstream import Client
from millstream_console.live.view import Content, View
from millstream_console.pages.workflows import workflow_words
from millstream_console.web.visit import Visit

PAGE = 50
STATES = ("", "running", "stalled", "succeeded", "failed", "cancelled")


async def read_workflows(client: Client, *, state: str, cursor: str) -> Content:
    """Return a page of workflows, newest first. Raises: ApiError."""
    page = await client.workflows(state=state or None, cursor=cursor or None, limit=PAGE)
    return {
        "workflows": page.items,
        "complete": page.complete,
        "next_cursor": page.next_cursor,
        "cursor": cursor,
        "state": state,
        "words": workflow_words,
    }


WORKFLOWS = View("workflows.html", read_workflows, "workflows")


@get("/workflows")
async def show_workflows(visit: Visit) -> Response[Any]:
    """Show workflows."""
    return await visit.show(WORKFLOWS, state=visit.choice("state", STATES, ""), cursor=visit.text("cursor"))


HANDLERS = (show_workflows,)
"""The functions that answer."""
