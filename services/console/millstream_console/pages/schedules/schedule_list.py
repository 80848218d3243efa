"""The list of schedules."""

from typing import Any

from litestar import Response, get

from millstream import Client
from millstream_console.live.view import Content, View
from millstream_console.pages.schedules import schedule_words
from millstream_console.web.visit import Visit

PAGE = 100
STATES = ("", "active", "paused", "orphan", "done")


async def read_schedules(client: Client, *, name: str, state: str, cursor: str) -> Content:
    """Return a page of schedules by name, those whose name begins with a text."""
    page = await client.schedules(state=state or None, name=name or None, cursor=cursor or None, limit=PAGE)
    return {
        "schedules": page.items,
        "next_cursor": page.next_cursor,
        "cursor": cursor,
        "name": name,
        "state": state,
        "words": schedule_words,
    }


SCHEDULES = View("schedules.html", read_schedules, "schedules")


@get("/schedules")
async def show_schedules(visit: Visit) -> Response[Any]:
    """Show schedules."""
    return await visit.show(
        SCHEDULES, name=visit.text("name"), state=visit.choice("state", STATES, ""), cursor=visit.text("cursor")
    )


HANDLERS = (show_schedules,)
