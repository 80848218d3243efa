"""One HTTP request as a SERVER span: what ingest holds while it answers.

`ServerSpan` makes no span, because tracing is off.
"""

from contextvars import Token
from types import TracebackType
from typing import Self

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, set_span_in_context

from millstream_telemetry import names
from millstream_telemetry.error_text import type_name
from millstream_telemetry.tracing.handler_span import mark_failed
from millstream_telemetry.tracing.trace_context import TraceContext, trace_context_of, unrecorded_in_current

_SERVER_ERROR = 500


class ServerSpan:
    """A request of which no span is made; it passes on what the caller sent."""

    __slots__ = ("context",)

    def __init__(self, context: TraceContext) -> None:
        self.context = context
        """The parent of what is sent while answering."""

    @property
    def trace_id(self) -> str:
        """32 hex digits for problem documents and log lines, or an empty string."""
        return self.context.trace_id

    def __enter__(self) -> Self:
        """Make the span the current one."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the span."""

    def carries(self, jobs: int) -> None:
        """Note how many jobs the request holds."""

    def leads_to(self, span: TraceContext) -> None:
        """Link to a span that the request caused in another trace."""

    def answered(self, status: int) -> None:
        """Note the status of the answer; 500 and above is an error of ours."""


class UnsampledServerSpan(ServerSpan):
    """A request of a trace that is not recorded: its caller decided so, or the draw did."""

    __slots__ = ("_token",)

    _token: Token[Context]

    def __enter__(self) -> Self:
        """Make the context the current one, for log lines and for the spans of other libraries."""
        self._token = attach(unrecorded_in_current(self.context))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore what was current before."""
        detach(self._token)


class TracedServerSpan(ServerSpan):
    """A request with a span, recorded or not, already started; leaving it ends the span."""

    __slots__ = ("_span", "_token")

    _token: Token[Context]

    def __init__(self, span: Span) -> None:
        super().__init__(trace_context_of(span.get_span_context()))
        self._span = span

    def __enter__(self) -> Self:
        """Make the span the current one."""
        self._token = attach(set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the span; an exception that leaves it marks it as failed."""
        detach(self._token)
        if isinstance(error, Exception):
            mark_failed(self._span, type_name(error), str(error))
        self._span.end()

    def carries(self, jobs: int) -> None:
        """Note how many jobs the request holds."""
        self._span.set_attribute(names.BATCH_COUNT, jobs)

    def leads_to(self, span: TraceContext) -> None:
        """Link to a span that the request caused in another trace. The SDK keeps the last 128 links."""
        self._span.add_link(span.as_span().get_span_context())

    def answered(self, status: int) -> None:
        """Note the status of the answer; 500 and above is an error of ours."""
        self._span.set_attribute(names.HTTP_STATUS, status)
        if status >= _SERVER_ERROR:
            mark_failed(self._span, str(status), "")
