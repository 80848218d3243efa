"""The span of a search in the history."""

from types import TracebackType
from typing import Self

from opentelemetry.trace import Span

from millstream_telemetry import names
from millstream_telemetry.error_text import type_name
from millstream_telemetry.tracing.handler_span import mark_failed


class SearchSpan:
    """A search of which no span is made."""

    __slots__ = ()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the span; an exception that leaves it marks it as failed."""

    def found(self, jobs: int, way: str, *, is_complete: bool) -> None:
        """Note what was found, and how."""


class RecordedSearchSpan(SearchSpan):
    """A search with a span, already started."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the span; an exception that leaves it marks it as failed."""
        if isinstance(error, Exception):
            mark_failed(self._span, type_name(error), str(error))
        self._span.end()

    def found(self, jobs: int, way: str, *, is_complete: bool) -> None:
        """Note what was found, and how."""
        self._span.set_attributes({names.SEARCH_JOBS: jobs, names.SEARCH_WAY: way, names.SEARCH_COMPLETE: is_complete})
