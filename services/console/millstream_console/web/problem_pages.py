"""Says what went wrong in words: the problem documents of the API, and what has no page."""

from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from millstream import ApiError, UnavailableError
from millstream.errors import describe
from millstream_console.web.visit import Desk, PageRequest

_NOT_FOUND = 404
_UNAVAILABLE = 503
_TRY_AGAIN_S = 5


class ForeignRequestError(Exception):
    """Another site made a browser send a request."""


def problem_page(request: Request[Any, Any, Any], error: Exception, desk: Desk) -> Response[bytes]:
    """Return the page of an error."""
    visit = PageRequest(request, desk)
    match error:
        case UnavailableError():
            wait_s = max(1, round(error.retry_after_s or _TRY_AGAIN_S))
            content = {"problem": error.problem, "detail": describe(error.problem), "wait_s": wait_s}
            headers = {"Retry-After": str(wait_s), "Refresh": str(wait_s)}
            return visit.page("unavailable.html", content, status=_UNAVAILABLE, headers=_for_reads(request, headers))
        case ApiError() if error.problem.status == _NOT_FOUND:
            return visit.page("not_found.html", {"detail": describe(error.problem)}, status=_NOT_FOUND)
        case ApiError():
            content = {"problem": error.problem, "detail": describe(error.problem)}
            return visit.page("refused.html", content, status=error.problem.status)
        case ForeignRequestError():
            return visit.page("foreign.html", {}, status=403)
        case HTTPException() if error.status_code < 500:
            return visit.page("not_found.html", {"detail": ""}, status=error.status_code)
    structlog.get_logger().error("page crashed", path=request.url.path, exc_info=error)
    return visit.page("crashed.html", {}, status=500)


def _for_reads(request: Request[Any, Any, Any], headers: dict[str, str]) -> dict[str, str]:
    """Return headers without that which repeats the request, unless the request reads."""
    return headers if request.method == "GET" else {name: headers[name] for name in headers if name != "Refresh"}
