"""A call of the API without its I/O ("sans-I/O"): requests and responses are values, and a flow is a generator.

An `ApiFlow` yields the next request, is sent the reply to it, and returns the result of the call. `Client` and
`SyncClient` run the same flows; they differ only in the transport that sends the requests.
"""

from collections.abc import Generator, Mapping
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")


class Request(Struct, frozen=True):
    """One HTTP request, complete."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None
    response_within_s: float
    """Longest silence to accept before and within the response."""
    delay_s: float = 0.0
    """How long the transport waits before it sends the request."""


class Response(Struct, frozen=True):
    """One HTTP response, read to its end."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    content: bytes


class NoResponse(Struct, frozen=True):
    """The connection could not be made, or broke before the response was complete."""

    cause: str
    maybe_done: bool
    """Whether the request was sent, so that the server may have carried it out."""


Reply = Response | NoResponse

"""What a flow is sent for each request."""

ApiFlow = Generator[Request, Reply, T]
"""One call of the API; `T` is what it returns."""
