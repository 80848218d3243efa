"""The W3C context of a span as two strings: what travels in headers and is stored in jobs.

Whatever comes from outside is read by `read_trace_context`, so that nothing malformed or endless is stored.

Source: W3C Trace Context, https://www.w3.org/TR/trace-context/.
"""

import re

from msgspec import Struct
from opentelemetry.context import Context, attach, get_current
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)

_PATTERN = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_ODD_DIGITS = frozenset("13579bdf")

# The specification asks to carry at least this much; every job stores it, so it is also the most.
MAX_TRACESTATE_CHARS = 512


class TraceContext(Struct, frozen=True):
    """A `traceparent` of version 00 and its `tracestate`; two empty strings when there is no trace."""

    traceparent: str = ""
    tracestate: str = ""

    @property
    def is_sampled(self) -> bool:
        """Whether the trace is being recorded."""
        return bool(self.traceparent) and self.traceparent[-1] in _ODD_DIGITS

    @property
    def trace_id(self) -> str:
        """32 hex digits, or an empty string."""
        return self.traceparent[3:35]

    def unsampled(self) -> "TraceContext":
        """Return the same context with the flag taken off that says it is recorded."""
        return TraceContext(f"{self.traceparent[:53]}00", self.tracestate) if self.is_sampled else self

    def as_span(self) -> NonRecordingSpan:
        """Return the remote span this context stands for. There must be a trace."""
        text = self.traceparent
        state = TraceState.from_header([self.tracestate]) if self.tracestate else None
        flags = TraceFlags(int(text[53:55], 16))
        return NonRecordingSpan(SpanContext(int(text[3:35], 16), int(text[36:52], 16), True, flags, state))

    def as_parent(self) -> Context:
        """Return the context to start a child in; an empty one, which makes a root, when there is no trace."""
        return set_span_in_context(self.as_span(), Context()) if self.traceparent else Context()

    def make_current(self) -> None:
        """Make this the current span, and keep the rest of the current context. There must be a trace."""
        attach(set_span_in_context(self.as_span()))


NO_TRACE = TraceContext()


class UnreadSpan(NonRecordingSpan):
    """A span that is not recorded. Its context is parsed only when it is asked for, which is seldom."""

    def __init__(self, context: TraceContext) -> None:
        self._stored = context

    def get_span_context(self) -> SpanContext:
        """Return the context for the SDK."""
        return self._stored.as_span().get_span_context()

    def __repr__(self) -> str:
        return f"UnreadSpan({self._stored!r})"


# The key under which OpenTelemetry keeps the current span in a context.
[_SPAN_KEY] = set_span_in_context(UnreadSpan(NO_TRACE), Context())


def unrecorded_in_current(context: TraceContext) -> Context:
    """Return the current context, with an unrecorded span as the current one."""
    span = UnreadSpan(context)
    # Most often there is nothing to keep, and `set_span_in_context` copies that twice.
    return set_span_in_context(span) if get_current() else Context({_SPAN_KEY: span})


def trace_context_of(span: SpanContext) -> TraceContext:
    """Return a span's context as strings."""
    if not span.is_valid:
        return NO_TRACE
    traceparent = f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
    return TraceContext(traceparent, span.trace_state.to_header() if span.trace_state else "")


def trace_field(traceparent: str) -> dict[str, str]:
    """Return the field `trace_id` for a log line about a job outside of its trace; no field without a trace."""
    return {"trace_id": TraceContext(traceparent).trace_id} if traceparent else {}


def current_trace_context() -> TraceContext:
    """Return the context of the current span, which is what a child job made here continues."""
    return trace_context_of(get_current_span().get_span_context())


def link_current_span(context: TraceContext) -> None:
    """Link the current span to another, as far as both are recorded."""
    if context.is_sampled and (span := get_current_span()).is_recording():
        span.add_link(context.as_span().get_span_context())


def read_trace_context(traceparent: str, tracestate: str = "") -> TraceContext:
    """Return what a caller sent, in version 00; NO_TRACE when it is malformed."""
    match = _PATTERN.fullmatch(traceparent.strip()) if traceparent else None
    if match is None:
        return NO_TRACE
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "00" and rest:
        return NO_TRACE
    return TraceContext(f"00-{trace_id}-{span_id}-{int(flags, 16) & 0x03:02x}", _read_tracestate(tracestate))


def _read_tracestate(text: str) -> str:
    if not text or len(text) > MAX_TRACESTATE_CHARS:
        return ""
    return TraceState.from_header([text]).to_header()
