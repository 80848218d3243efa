"""The page that signs in, and the button that signs out."""

from litestar import Response, get, post

from millstream_console.web.door import Door, DoorRequest, RefusedError
from millstream_console.web.visit import Form

_FORBIDDEN = 403


@get("/sign-in")
async def show_sign_in(door: Door) -> Response[bytes]:
    """Ask for a key; lead on who is signed in already."""
    to = door.visit.text("to")
    if await door.is_in():
        return door.visit.redirect(door.way_back(to))
    return sign_in_page(door, to)


@post("/sign-in")
async def sign_in(door: Door) -> Response[bytes]:
    """Exchange a key for a session."""
    form = Form(await door.visit.request.form())
    to = form.text("to")
    if door.is_in_clear:
        return sign_in_page(door, to, status=_FORBIDDEN)
    try:
        session = await door.exchange(form.text("key"))
    except RefusedError as error:
        return sign_in_page(door, to, str(error), error.status)
    return await door.enter(session, to)


@post("/sign-out")
async def sign_out(door: Door) -> Response[bytes]:
    """End the session of this browser."""
    return await door.leave()


def sign_in_page(
    door: DoorRequest, to: str, fault: str = "", status: int = 200, *, provider_fault: str = ""
) -> Response[bytes]:
    """Return the page that signs in, which says why a key, or a sign-in at the OpenID provider, was not taken."""
    # What was typed is not sent back: a key stands in no page.
    faults = {"fault": fault, "provider_fault": provider_fault}
    content = {"to": to, **faults, "is_in_clear": door.is_in_clear, "provider": door.provider}
    return door.visit.page("sign_in.html", content, status=status)


HANDLERS = (show_sign_in, sign_in, sign_out)
