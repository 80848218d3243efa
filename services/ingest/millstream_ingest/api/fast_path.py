"""Serves `POST /v1/jobs` without the router, whose cost exceeds that of a whole submission (ADR 8)."""

from collections.abc import Awaitable, Callable
from typing import Any

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

PATH = "/v1/jobs"


def fast_path(submit: Asgi, app: Asgi) -> Asgi:
    """Return an ASGI application that passes submissions to their endpoint and everything else to the router."""

    async def passed_on(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
            await submit(scope, receive, send)
        else:
            await app(scope, receive, send)

    return passed_on
