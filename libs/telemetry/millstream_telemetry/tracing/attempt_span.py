"""One delivery in the trace of its job: what a worker holds while it runs a handler.

`Attempt` is the one that is not recorded; the two below add what their case needs, so that the common case
stays cheap.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import Token
from types import TracebackType
from typing import Any, Self

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Span, Tracer, set_span_in_context

from millstream_telemetry import names
from millstream_telemetry.error_text import text_of, type_name
from millstream_telemetry.tracing.handler_span import (
    MAX_DESCRIPTION_CHARS,
    HandlerSpan,
    Hide,
    StopReason,
    is_failure,
    mark_failed,
)
from millstream_telemetry.tracing.trace_context import TraceContext, UnreadSpan, trace_context_of

_NOTHING = nullcontext()


def _not_stopped() -> None:
    """Return that the handler was not stopped."""


class Attempt:
    """A delivery of which no span is made, because tracing is off."""

    __slots__ = ("context",)

    def __init__(self, context: TraceContext) -> None:
        self.context = context
        """What a child job made here continues."""

    @property
    def traceparent(self) -> str:
        """Context of the attempt's own span, for `JobError.traceparent`; empty when there is none to link to."""
        return ""

    @property
    def trace_id(self) -> str:
        """32 hex digits for log lines, also of a trace that is not recorded; or an empty string."""
        return self.context.trace_id

    @property
    def exemplar(self) -> str:
        """Trace id for the histograms; empty unless the trace is recorded and can be looked at."""
        return ""

    def __enter__(self) -> Self:
        """Make the attempt's span the current one."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the attempt's span."""

    def handler(
        self,
        name: str,  # noqa: ARG002 - this and the others are needed when recorded
        function: Callable[..., Any] | None = None,  # noqa: ARG002
        stop_reason: StopReason = _not_stopped,  # noqa: ARG002
        hide: Hide | None = None,  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """Return the handler's own span, to be entered around its call. An exception passes through it.

        `stop_reason` is asked when one does: the span of a handler that was stopped says why. `hide` takes out of the
        texts of the exception what a trace may not have.
        """
        return _NOTHING

    def note(self, event: str, attributes: dict[str, str]) -> None:
        """Record what has happened while the handler runs."""

    def conclude(
        self,
        outcome: str,
        *,
        error_type: str = "",
        message: str = "",
        reason: str = "",
        delay_s: float | None = None,
    ) -> None:
        """Record the outcome of the delivery, in the words of :data:`names.JOB_OUTCOME`.

        An `error_type` marks the span as failed. `delay_s` is the time until the next delivery. `reason` says why the
        job is dead.
        """


class UnsampledAttempt(Attempt):
    """A delivery of a trace that is not recorded. It keeps the spans of user code out of other traces."""

    __slots__ = ("_token",)

    _token: Token[Context]

    def __enter__(self) -> Self:
        """Make the stored context the current one, so that user code inherits that it is not sampled."""
        self._token = attach(set_span_in_context(UnreadSpan(self.context)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore what was current before."""
        detach(self._token)


class RecordedAttempt(Attempt):
    """A delivery with a span, already started; leaving it ends the span."""

    __slots__ = ("_inside", "_is_concluded", "_not_errors", "_span", "_token", "_tracer")

    _token: Token[Context]

    def __init__(self, tracer: Tracer, span: Span, not_errors: tuple[type[BaseException], ...]) -> None:
        super().__init__(trace_context_of(span.get_span_context()))
        self._tracer = tracer
        self._span = span
        self._not_errors = not_errors
        self._is_concluded = False
        self._inside: Context | None = None
        """The context that this has made the current one."""

    @property
    def traceparent(self) -> str:
        """Context of the attempt's span, to which the next attempt links."""
        return self.context.traceparent

    @property
    def exemplar(self) -> str:
        """Trace id of the recorded trace."""
        return self.context.trace_id

    def __enter__(self) -> Self:
        """Make the attempt's span the current one."""
        self._inside = set_span_in_context(self._span)
        self._token = attach(self._inside)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the span of the delivery; an exception that leaves it is a defect of the worker, or the worker's end."""
        detach(self._token)
        if error is not None and is_failure(error, self._not_errors):
            self.conclude("error", error_type=type_name(error), message=text_of(error, MAX_DESCRIPTION_CHARS))
        elif error is not None and not self._is_concluded:
            self.conclude("lost")
        self._span.end()

    def handler(
        self,
        name: str,
        function: Callable[..., Any] | None = None,
        stop_reason: StopReason = _not_stopped,
        hide: Hide | None = None,
    ) -> AbstractContextManager[None]:
        """Return the handler's own span, to be entered around its call. An exception passes through it."""
        # The parent is the attempt and not what is current, for the handler may run in another task or thread.
        current = get_current()
        parent = current if current is self._inside else set_span_in_context(self._span)
        span = self._tracer.start_span(name, parent)
        if function is not None:
            span.set_attribute(names.CODE_FUNCTION, f"{function.__module__}.{function.__qualname__}")
        return HandlerSpan(span, self._not_errors, stop_reason, hide)

    def note(self, event: str, attributes: dict[str, str]) -> None:
        """Record what has happened while the handler runs."""
        self._span.add_event(event, attributes)

    def conclude(
        self,
        outcome: str,
        *,
        error_type: str = "",
        message: str = "",
        reason: str = "",
        delay_s: float | None = None,
    ) -> None:
        """Record the outcome as an attribute, and as an event where the job goes on or is dead."""
        self._is_concluded = True
        span = self._span
        span.set_attribute(names.JOB_OUTCOME, outcome)
        if error_type:
            mark_failed(span, error_type, message)
        if outcome == names.DEAD:
            span.add_event(names.DEAD, {names.JOB_REASON: reason})
        elif delay_s is not None:
            event = names.SNOOZED if outcome == names.SNOOZED else names.RETRY_SCHEDULED
            span.add_event(event, {names.DELAY_S: delay_s})
