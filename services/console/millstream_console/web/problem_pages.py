"""Says what went wrong in words: the problem documents of the API, and what has no page."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from millstream import AccessError, ApiError, UnavailableError
from millstream.errors import describe
from millstream_console.live.frames import SIGNED_OUT
from millstream_console.live.hub import UNAUTHENTICATED
from millstream_console.web.policy import security_headers
from millstream_console.web.seats import SignInNeededError
from millstream_console.web.session_cookie import no_session_cookies
from millstream_console.web.visit import Desk, MissingScopeError, PageRequest

_FORBIDDEN = 403
_NOT_FOUND = 404
_UNAVAILABLE = 503
_TRY_AGAIN_S = 5


class NoSuchJobError(Exception):
    """No job has the id of an address."""

    def __init__(self, detail: str, near: Sequence[str]) -> None:
        """Take the ids of jobs that are like it."""
        super().__init__(detail)
        self.detail = detail
        self.near = tuple(near)


class ForeignRequestError(Exception):
    """Another site made a browser send a request."""


def problem_page(request: Request[Any, Any, Any], error: Exception, desk: Desk) -> Response[bytes]:
    """Return the page of an error."""
    visit = PageRequest(request, desk)
    return _kept_out(visit, error) or _faulty(visit, error)


def _faulty(visit: PageRequest, error: Exception) -> Response[bytes]:
    request = visit.request
    match error:
        case UnavailableError():
            structlog.get_logger().warning("page not available", path=request.url.path, problem=describe(error.problem))
            wait_s = max(1, round(error.retry_after_s or _TRY_AGAIN_S))
            content = {"problem": error.problem, "detail": describe(error.problem), "wait_s": wait_s}
            headers = {"Retry-After": str(wait_s), "Refresh": str(wait_s)}
            return visit.page("unavailable.html", content, status=_UNAVAILABLE, headers=_for_reads(request, headers))
        case NoSuchJobError(detail=detail, near=near):
            return visit.page("not_found.html", {"detail": detail, "near": near}, status=_NOT_FOUND)
        case ApiError():
            return _refused(visit, error)
        case ForeignRequestError():
            return visit.page("foreign.html", {}, status=403)
        case HTTPException() if error.status_code < 500:
            return visit.page("not_found.html", {"detail": "", "near": ()}, status=error.status_code)
    structlog.get_logger().error("page crashed", path=request.url.path, exc_info=error)
    return visit.page("crashed.html", {}, status=500)


def _kept_out(visit: PageRequest, error: Exception) -> Response[bytes] | None:
    """Return the answer to a request without a session, or to one for what the session does not allow; else None."""
    match error:
        case SignInNeededError():
            return lead_to_sign_in(visit)
        case AccessError() if error.problem.status == UNAUTHENTICATED:
            return lead_to_sign_in(visit)
        case AccessError():
            detail, trace_id = describe(error.problem), error.problem.trace_id or ""
        case MissingScopeError(scope=scope):
            detail, trace_id = f"Your session lacks the scope `{scope}`", ""
        case _:
            return None
    return visit.page("forbidden.html", {"detail": detail, "trace_id": trace_id}, status=_FORBIDDEN)


def lead_to_sign_in(visit: PageRequest) -> Response[bytes]:
    """Lead the whole tab to the page that signs in, and from there back to where it was.

    A stream is told so in its own words, and a request of a script by a header: a page that signs in must not end up in
    a part of another page.
    """
    request = visit.request
    gone = no_session_cookies(request.cookies)
    headers = {**security_headers(), "Cache-Control": "no-store"}
    if "text/event-stream" in request.headers.get("accept", ""):
        return Response(SIGNED_OUT, media_type="text/event-stream", headers=headers, cookies=gone)
    to = visit.at("/sign-in", to=_page_of(visit))
    if request.headers.get("hx-request") or request.url.path.endswith(".json"):
        headers["HX-Redirect"] = to
        return Response(b"", status_code=UNAUTHENTICATED, media_type="text/plain", headers=headers, cookies=gone)
    return Response(b"", status_code=303, headers={**headers, "Location": to}, cookies=gone)


def _page_of(visit: PageRequest) -> str:
    """Return the page to come back to: the one that was asked for, or the one on which a form or script was."""
    request = visit.request
    if request.method == "GET" and not request.headers.get("hx-request") and not request.url.path.endswith(".json"):
        url = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    else:
        # Of the same origin alone, which the policy of pages says; `is_ours` looks at what is left of it.
        shown = urlsplit(str(request.headers.get("hx-current-url") or request.headers.get("referer", "")))
        url = shown.path + (f"?{shown.query}" if shown.query else "")
    return url if visit.is_ours(url) and url != visit.at("/") else ""


def _refused(visit: PageRequest, error: ApiError) -> Response[bytes]:
    status, detail = error.problem.status, describe(error.problem)
    if status == _NOT_FOUND:
        return visit.page("not_found.html", {"detail": detail, "near": ()}, status=status)
    return visit.page("refused.html", {"problem": error.problem, "detail": detail}, status=status)


def _for_reads(request: Request[Any, Any, Any], headers: dict[str, str]) -> dict[str, str]:
    """Return headers without that which repeats the request, unless the request reads."""
    return headers if request.method == "GET" else {name: headers[name] for name in headers if name != "Refresh"}
