"""The response to a list: a page, and a `Link` to the next one."""

from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from msgspec import Struct

from millstream_ingest.api.request import ApiRequest
from millstream_ingest.http.query import Query
from millstream_ingest.http.response import Response

T = TypeVar("T")


class Listing(Struct, Generic[T], frozen=True):
    """A page of a list."""

    items: list[T]
    next_cursor: str | None = None


def listing_response(request: ApiRequest, query: Query, page: Any, next_cursor: str | None) -> Response:
    """Return a page; the link keeps what the client filtered by."""
    if next_cursor is None:
        return Response(page)
    parameters = urlencode({**query.values, "cursor": next_cursor})
    return Response(page, headers={"Link": f'<{request.path}?{parameters}>; rel="next"'})
