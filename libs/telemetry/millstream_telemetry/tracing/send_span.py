"""The span `send <type>` of a job, which begins when the job is built and ends when it is stored.

Only a stored job has one: a span that is never ended is not exported.
"""

from opentelemetry.trace import Span

from millstream_telemetry.error_text import text_of, type_name
from millstream_telemetry.tracing.handler_span import MAX_DESCRIPTION_CHARS, mark_failed
from millstream_telemetry.tracing.trace_context import TraceContext, trace_context_of


class SendSpan:
    """The storing of a job whose trace is not recorded."""

    __slots__ = ("context",)

    def __init__(self, context: TraceContext) -> None:
        self.context = context
        """The context that is stored in the job and never changes, the parent of its deliveries."""

    def stored(self, unconfirmed: Exception | None = None) -> None:
        """End the span, as the job is stored. `unconfirmed` is an error that its submitter receives nevertheless."""


class RecordedSendSpan(SendSpan):
    """The storing of a job whose trace is recorded."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        super().__init__(trace_context_of(span.get_span_context()))
        self._span = span

    def stored(self, unconfirmed: Exception | None = None) -> None:
        """End the span, as the job is stored. `unconfirmed` is an error that its submitter receives nevertheless."""
        if unconfirmed is not None:
            mark_failed(self._span, type_name(unconfirmed), text_of(unconfirmed, MAX_DESCRIPTION_CHARS))
        self._span.end()
