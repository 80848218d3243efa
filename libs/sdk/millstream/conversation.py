"""What goes over the wire, as values. No I/O happens here.

Every call of the API is a `Conversation`: a generator that yields the next request, is sent what came back,
and returns the result. The async and the sync client differ only in who carries the requests.
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
    answer_within_s: float
    """Longest silence to accept before and within the answer."""
    delay_s: float = 0.0
    """How long to wait before sending it."""


class Answer(Struct, frozen=True):
    """One HTTP response, read to its end."""

    status: int
    headers: Mapping[str, str]
    """Looked up in lower case."""
    content: bytes


class NoAnswer(Struct, frozen=True):
    """The connection could not be made, or broke before the answer was complete."""

    cause: str
    maybe_done: bool
    """Whether the request was sent, so that the server may have carried it out."""


Reply = Answer | NoAnswer

Conversation = Generator[Request, Reply, T]
