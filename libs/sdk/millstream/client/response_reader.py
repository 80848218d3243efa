"""Decodes responses of the HTTP API into contract types, and refusals into errors."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

from millstream.client.flow import NoResponse, Reply, Response
from millstream.errors import (
    AccessError,
    ApiError,
    ConflictError,
    InvalidError,
    JobErasedError,
    JobNotFoundError,
    UnavailableError,
)
from millstream_contracts import UNDECODABLE, Problem

T = TypeVar("T")

_MSGPACK_TYPES = frozenset({"application/vnd.msgpack", "application/msgpack", "application/x-msgpack"})

# Enough of an error page to recognise the proxy that sent it.
_SNIPPET_BYTES = 2_000
_SNIPPET_CHARS = 160

_ERRORS: dict[int, type[ApiError]] = {
    400: InvalidError,
    401: AccessError,
    403: AccessError,
    404: JobNotFoundError,
    409: ConflictError,
    412: ConflictError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
    429: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}

# Of one status there are several problems.
_ERRORS_OF_PROBLEMS: dict[str, type[ApiError]] = {"/problems/erased": JobErasedError}


def read_response(response: Response, as_type: type[T], url: str) -> T:
    """Decode a good response by its content type. Raises: ApiError, when it is none of the API."""
    try:
        return _decode(response, as_type)
    except UNDECODABLE as error:
        raise ApiError(_foreign(response, url, f"cannot be read: {error}")) from error


def explain(reply: Reply, url: str) -> ApiError:
    """Return the error for a refusal, or for a request without a response."""
    match reply:
        case NoResponse(cause=cause, maybe_done=maybe_done):
            known = "; the request may have been carried out" if maybe_done else ""
            detail = f"{_shown_url(url)}: {cause}{known}"
            return UnavailableError(Problem(type="about:blank", title="No answer", status=0, detail=detail))
        case Response():
            return _explain_response(reply, url)


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds to wait that a `Retry-After` header asks for, as a number or as a date; None without one.

    A date is compared with the `Date` header: both are by the clock of the service, which may differ from that of this
    machine. `now` stands in for a missing `Date`.
    """
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    moment = _date(text)
    if moment is None:
        return None
    return max(0.0, (moment - (_date(headers.get("date", "")) or now)).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    # A date whose zone is written "-0000" parses as naive, and means UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def error_of(problem: Problem, status: int, wait_s: float | None = None) -> ApiError:
    """Return the error for the problem of a response, or of an item of one."""
    kind = _ERRORS_OF_PROBLEMS.get(urlsplit(problem.type).path) or _ERRORS.get(status, ApiError)
    return kind(problem, wait_s)


def _explain_response(response: Response, url: str) -> ApiError:
    wait_s = retry_after_s(response.headers, datetime.now(UTC))
    problem = _problem(response)
    if problem is not None:
        return error_of(problem, response.status, wait_s)
    # A 404 without a problem document comes from something else than Millstream, and says nothing about the job.
    error = UnavailableError if _ERRORS.get(response.status) is UnavailableError else ApiError
    return error(_foreign(response, url, "is no answer of a Millstream API"), wait_s)


def _problem(response: Response) -> Problem | None:
    """Return the problem document, its missing members filled in, or None when there is none."""
    defaults = {"type": "about:blank", "title": _phrase(response.status), "status": response.status}
    try:
        document = _decode(response, dict[str, Any])
        if not {"type", "title", "detail"} & document.keys():
            return None
        return msgspec.convert(defaults | document, Problem)
    except UNDECODABLE:
        return None


def _decode(response: Response, as_type: type[T]) -> T:
    content_type = _content_type(response)
    if content_type in _MSGPACK_TYPES:
        return msgspec.msgpack.decode(response.content, type=as_type)
    if content_type == "application/json" or content_type.endswith("+json"):
        return msgspec.json.decode(response.content, type=as_type)
    raise msgspec.DecodeError(f"it is {content_type or 'of no stated type'}")


def _foreign(response: Response, url: str, why: str) -> Problem:
    said = _snippet(response.content)
    return Problem(
        type="about:blank",
        title=f"{response.status} {_phrase(response.status)}".strip(),
        status=response.status,
        detail=f"what {_shown_url(url)} sent {why}" + (f": {said}" if said else ""),
    )


def _snippet(content: bytes) -> str:
    text = " ".join(content[:_SNIPPET_BYTES].decode("utf-8", "replace").split())
    printable = "".join(character for character in text if character.isprintable())
    return printable if len(printable) <= _SNIPPET_CHARS else f"{printable[:_SNIPPET_CHARS]}…"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _content_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _shown_url(url: str) -> str:
    """Return a URL as errors show it, without credentials and query: either may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
