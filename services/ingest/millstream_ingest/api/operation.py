"""What stands in the OpenAPI document of a route, declared beside the route."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from millstream_contracts import PUBLISHED_NAME_PATTERN, SCHEDULE_NAME_PATTERN, limits
from millstream_ingest.http.negotiation import Encoding
from millstream_ingest.http.problems import (
    BAD_REQUEST,
    INTERNAL_ERROR,
    MALFORMED_BODY,
    REQUEST_TIMEOUT,
    STORE_UNREACHABLE,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    ProblemKind,
)
from millstream_ingest.http.query import DEFAULT_LIMIT

BOTH_ENCODINGS = (Encoding.JSON.value, Encoding.MSGPACK.value)

SWITCH = {"type": "string", "enum": ["0", "1"], "default": "0"}
JOB_TYPE = {"type": "string", "pattern": PUBLISHED_NAME_PATTERN}
"""Schema of a parameter that is the name of a job type."""

SCHEDULE_NAME = {"type": "string", "pattern": SCHEDULE_NAME_PATTERN.removesuffix(r"(?!\n)")}
"""Schema of a parameter that is the name of a schedule."""

BODY_PROBLEMS = (MALFORMED_BODY, REQUEST_TIMEOUT, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE)


class Parameter(Struct, frozen=True):
    """A query parameter, a header of the request, or a part of the path."""

    name: str
    description: str
    schema: Mapping[str, Any] = msgspec.field(default_factory=lambda: {"type": "string"})
    example: Any = None


class Example(Struct, frozen=True):
    """A value that the document shows."""

    summary: str
    value: Any


class Content(Struct, frozen=True, kw_only=True):
    """A body, of a request or an answer."""

    model: Any = None
    """Type that its schema is made of; None for a body without one."""
    description: str = ""
    examples: Mapping[str, Example] = {}
    """By name, which is a word in lower case."""
    media_types: tuple[str, ...] = BOTH_ENCODINGS
    sequences: Mapping[str, Mapping[str, Example]] = {}
    """Media types of one value after the other, which no schema describes, with their examples."""
    headers: Mapping[str, str] = {}
    """Headers of an answer: name and description."""


class Operation(Struct, frozen=True, kw_only=True):
    """A method of a path."""

    id: str
    """Name of the function in generated clients; never changes."""
    tag: str
    summary: str
    description: str = ""
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    body: Content | None = None
    answers: Mapping[int, Content] = {}
    problems: tuple[ProblemKind, ...] = ()
    asks_redis: bool = True

    @property
    def all_problems(self) -> tuple[ProblemKind, ...]:
        """Return the refusals of this operation, with those that every one has."""
        common = (BAD_REQUEST, INTERNAL_ERROR, STORE_UNREACHABLE) if self.asks_redis else (INTERNAL_ERROR,)
        return tuple(dict.fromkeys((*self.problems, *(BODY_PROBLEMS if self.body else ()), *common)))


def seconds(description: str, name: str = "wait") -> Parameter:
    """Return a parameter that takes seconds."""
    return Parameter(name, description, {"type": "number", "format": "double", "minimum": 0, "maximum": 30}, 10)


def most(description: str, default: int = DEFAULT_LIMIT, at_most: int = limits.MAX_PAGE) -> Parameter:
    """Return the parameter that bounds the number of items."""
    schema = {"type": "integer", "format": "int64", "minimum": 1, "maximum": at_most, "default": default}
    return Parameter("limit", description, schema, 100)


def listing(*extra: Parameter) -> tuple[Parameter, ...]:
    """Return the parameters of a list."""
    return (*extra, Parameter("cursor", "`next_cursor` of the page before; opaque"), most("Items per page"))
