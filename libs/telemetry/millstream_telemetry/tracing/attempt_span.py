"""One attempt in the trace of its job: what a worker holds while it runs a handler.

`Attempt` is the one that is not recorded; the two below add what their case needs, so that the common case
stays cheap.
"""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from contextvars import Token
from types import TracebackType
from typing import Self

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, StatusCode, Tracer, set_span_in_context

from millstream_telemetry import names
from millstream_telemetry.error_text import text_of, traceback_of, type_name
from millstream_telemetry.tracing.trace_context import TraceContext, UnreadSpan, trace_context_of

_NOTHING = nullcontext()
_MAX_DESCRIPTION_CHARS = 512
_MAX_STACK_CHARS = 8_192

_ORDERS = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""Exceptions that end a handler without saying that it failed; what ordered them decides what they mean."""


class Attempt:
    """An attempt of which no span is made, because tracing is off."""

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

    def handler(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 - needed when recorded
        """Return the handler's own span, to be entered around its call. An exception passes through it."""
        return _NOTHING

    def fail(self, error_type: str, message: str = "", retry_in_s: float | None = None) -> None:
        """Note that the attempt failed, and in how many seconds it will be tried again, if it will be."""


class UnsampledAttempt(Attempt):
    """An attempt of a trace that is not recorded. It keeps the spans of user code out of other traces."""

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
    """An attempt with a span, already started; leaving it ends the span."""

    __slots__ = ("_not_errors", "_span", "_token", "_tracer")

    _token: Token[Context]

    def __init__(self, tracer: Tracer, span: Span, not_errors: tuple[type[BaseException], ...]) -> None:
        super().__init__(trace_context_of(span.get_span_context()))
        self._tracer = tracer
        self._span = span
        self._not_errors = not_errors

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
        self._token = attach(set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the attempt's span; an exception that leaves it marks it as failed."""
        detach(self._token)
        if error is not None and is_failure(error, self._not_errors):
            mark_failed(self._span, type_name(error), text_of(error, _MAX_DESCRIPTION_CHARS))
        self._span.end()

    def handler(self, name: str) -> AbstractContextManager[None]:
        """Return the handler's own span, to be entered around its call. An exception passes through it."""
        # Parent is the attempt by name, not by what is current: the handler may run in another task or thread.
        span = self._tracer.start_span(name, set_span_in_context(self._span))
        return _HandlerSpan(span, self._not_errors)

    def fail(self, error_type: str, message: str = "", retry_in_s: float | None = None) -> None:
        """Mark the span as failed, with an event when the attempt will be tried again."""
        mark_failed(self._span, error_type, message)
        if retry_in_s is not None:
            self._span.add_event(names.RETRY_SCHEDULED, {names.DELAY_S: retry_in_s})


class _HandlerSpan:
    """The span of a handler. A class, since a generator's context manager would touch the exception's attributes."""

    __slots__ = ("_not_errors", "_span", "_token")

    _token: Token[Context]

    def __init__(self, span: Span, not_errors: tuple[type[BaseException], ...]) -> None:
        self._span = span
        self._not_errors = not_errors

    def __enter__(self) -> None:
        self._token = attach(set_span_in_context(self._span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        detach(self._token)
        if error is not None and is_failure(error, self._not_errors):
            _record(self._span, error)
        self._span.end()


def is_failure(error: BaseException, not_errors: tuple[type[BaseException], ...]) -> bool:
    """Return whether an exception says that a handler failed; by its true type, whatever its `__class__` says."""
    return not issubclass(type(error), (*_ORDERS, *not_errors))


def _record(span: Span, error: BaseException) -> None:
    # `Span.record_exception` calls `str` on the exception, which is user code.
    # Source: OpenTelemetry semantic conventions for exceptions on spans.
    name, message = type_name(error), text_of(error, _MAX_DESCRIPTION_CHARS)
    span.add_event(
        "exception",
        {
            "exception.type": name,
            "exception.message": message,
            "exception.stacktrace": traceback_of(error, _MAX_STACK_CHARS),
        },
    )
    mark_failed(span, name, message)


def mark_failed(span: Span, error_type: str, message: str) -> None:
    """Set a span's status to ERROR and say of what type."""
    span.set_attribute(names.ERROR_TYPE, error_type)
    span.set_status(StatusCode.ERROR, message[:_MAX_DESCRIPTION_CHARS] or None)
