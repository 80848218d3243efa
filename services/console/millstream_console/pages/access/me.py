"""The principal of the session: its key, until when it works, and what it may do."""

from litestar import Response, get

from millstream_console.pages.access.scope_words import SCOPE_WORDS
from millstream_console.web.visit import Visit


@get("/me")
async def show_me(visit: Visit) -> Response[bytes]:
    """Show the principal of the request."""
    return await visit.framed("me.html", {"principal": await visit.client.principal(), "words": SCOPE_WORDS}, "me")


HANDLERS = (show_me,)
