"""The span `send <type>` of a job: begun when the job is built, ended when it is stored.

It exists only for what was stored: a span that is begun and never ended is not exported.
"""

from opentelemetry.trace import Span

from millstream_telemetry.error_text import text_of, type_name
from millstream_telemetry.tracing.handler_span import MAX_DESCRIPTION_CHARS, mark_failed
from millstream_telemetry.tracing.trace_context import TraceContext, trace_context_of


class SendSpan:
    """The storing of a job of which no span is recorded."""

    __slots__ = ("context",)

    def __init__(self, context: TraceContext) -> None:
        self.context = context
        """What is stored in the job and never changes: the parent of its attempts."""

    def stored(self, unconfirmed: Exception | None = None) -> None:
        """End the span: the job is stored. `unconfirmed` says why its submitter was told otherwise."""


class RecordedSendSpan(SendSpan):
    """The storing of a job whose trace is recorded."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        super().__init__(trace_context_of(span.get_span_context()))
        self._span = span

    def stored(self, unconfirmed: Exception | None = None) -> None:
        """End the span: the job is stored. `unconfirmed` says why its submitter was told otherwise."""
        if unconfirmed is not None:
            mark_failed(self._span, type_name(unconfirmed), text_of(unconfirmed, MAX_DESCRIPTION_CHARS))
        self._span.end()
