"""Puts the pages together into one ASGI application. It opens nothing and starts nothing."""

from typing import Any

from litestar import Litestar, Request, Response
from litestar.di import Provide

from millstream_console.pages import HANDLERS
from millstream_console.web.assets import Assets, send_asset
from millstream_console.web.door import DoorRequest
from millstream_console.web.observation import Observation
from millstream_console.web.origin import is_for_us, is_from_us
from millstream_console.web.policy import security_headers
from millstream_console.web.problem_pages import ForeignRequestError, problem_page
from millstream_console.web.session_cookie import token_in
from millstream_console.web.visit import Desk, PageRequest

MAX_FORM_BYTES = 8 << 20
"""A payload that is edited comes as a field of a form."""

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


def create_app(desk: Desk, assets: Assets, observation: Observation) -> Litestar:
    """Return the application."""
    allowed = desk.settings.allowed_hosts

    async def provide_visit(request: Request[Any, Any, Any]) -> PageRequest:
        return PageRequest(request, desk, await desk.seats.of(token_in(request.cookies, request.headers)))

    def provide_door(request: Request[Any, Any, Any]) -> DoorRequest:
        return DoorRequest(request, desk)

    def provide_assets() -> Assets:
        return assets

    def refuse_foreign(request: Request[Any, Any, Any]) -> None:
        if not is_for_us(request.headers, allowed):
            raise ForeignRequestError
        if request.method not in _READS and not is_from_us(request.headers):
            raise ForeignRequestError

    def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        return problem_page(request, error, desk)

    return Litestar(
        path=desk.settings.console_path or "/",
        route_handlers=[*HANDLERS, send_asset],
        dependencies={
            "visit": Provide(provide_visit),
            "door": Provide(provide_door, sync_to_thread=False),
            "assets": Provide(provide_assets, sync_to_thread=False),
        },
        middleware=[observation],
        before_request=refuse_foreign,
        after_request=_with_headers,
        exception_handlers={Exception: answer_error},
        request_max_body_size=MAX_FORM_BYTES,
        openapi_config=None,
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
    )


def _with_headers(response: Response[Any]) -> Response[Any]:
    """Give the headers to what has none yet, such as files and streams."""
    for name, value in security_headers().items():
        response.headers.setdefault(name, value)
    return response
