"""Sessions: who is signed in, and ending that."""

from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from millstream import Client
from millstream_console.live.view import Content, View
from millstream_console.web.visit import Visit

_PAGE = 100


async def read_sessions(client: Client, *, cursor: str) -> Content:
    """Return a page of the sessions that work."""
    page = await client.sessions(cursor=cursor or None, limit=_PAGE)
    return {"sessions": page.items, "cursor": cursor, "next_cursor": page.next_cursor}


SESSIONS = View("sessions.html", read_sessions, "sessions")


@get("/sessions")
async def show_sessions(visit: Visit) -> Response[Any]:
    """Show who is signed in."""
    return await visit.show(SESSIONS, cursor=visit.text("cursor"))


@post("/sessions/{session_id:str}/end")
async def end_session(visit: Visit, session_id: FromPath[str]) -> Response[bytes]:
    """End a session."""
    return await visit.act(
        visit.client.end_session(session_id),
        back="/sessions",
        done="The session has ended. Every ingest refuses it within five seconds.",
    )


HANDLERS = (show_sessions, end_session)
