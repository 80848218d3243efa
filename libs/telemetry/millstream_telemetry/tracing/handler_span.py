"""The span of a handler, and the marks of a span whose operation has failed."""

import asyncio
from collections.abc import Callable
from contextvars import Token
from types import TracebackType

from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span, StatusCode, set_span_in_context

from millstream_telemetry import names
from millstream_telemetry.error_text import text_of, traceback_of, type_name

MAX_DESCRIPTION_CHARS = 512
_MAX_STACK_CHARS = 8_192

_ORDERS = (asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""Exceptions that end a handler without saying that it failed; what ordered them decides what they mean."""

StopReason = Callable[[], str | None]
"""Returns None when the handler was not stopped, else the `error.type` of the stop; empty when it is no failure."""

Hide = Callable[[str], str]
"""Returns a text as a trace may have it."""


class HandlerSpan:
    """The span of a handler. A class, since a generator's context manager would touch the exception's attributes."""

    __slots__ = ("_hide", "_not_errors", "_span", "_stop_reason", "_token")

    _token: Token[Context]

    def __init__(
        self,
        span: Span,
        not_errors: tuple[type[BaseException], ...],
        stop_reason: StopReason,
        hide: Hide | None = None,
    ) -> None:
        """`hide` takes out of the text of an error what a trace may not have."""
        self._span = span
        self._hide = hide or _as_it_is
        self._not_errors = not_errors
        self._stop_reason = stop_reason

    def __enter__(self) -> None:
        self._token = attach(set_span_in_context(self._span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        detach(self._token)
        if error is not None:
            self._tell(error)
        self._span.end()

    def _tell(self, error: BaseException) -> None:
        """Record the exception that ends the handler, and the reason if the handler was stopped."""
        stopped, is_failing = self._stop_reason(), is_failure(error, self._not_errors)
        if is_failing:
            _record(self._span, error, self._hide)
        # A handler that was stopped may raise an error of its own, such as "connection closed", which is not the cause.
        if stopped:
            mark_failed(self._span, stopped, "")
        elif stopped is None and is_failing:
            mark_failed(self._span, type_name(error), self._hide(text_of(error, MAX_DESCRIPTION_CHARS)))


def is_failure(error: BaseException, not_errors: tuple[type[BaseException], ...]) -> bool:
    """Return whether an exception says that a handler failed; by its true type, whatever its `__class__` says."""
    return not issubclass(type(error), (*_ORDERS, *not_errors))


def mark_failed(span: Span, error_type: str, message: str) -> None:
    """Set a span's status to ERROR and say of what type."""
    span.set_attribute(names.ERROR_TYPE, error_type)
    span.set_status(StatusCode.ERROR, message[:MAX_DESCRIPTION_CHARS] or None)


def _as_it_is(text: str) -> str:
    return text


def _record(span: Span, error: BaseException, hide: Hide) -> None:
    # `Span.record_exception` calls `str` on the exception, which is user code.
    # Source: OpenTelemetry semantic conventions for exceptions on spans.
    span.add_event(
        "exception",
        {
            "exception.type": type_name(error),
            "exception.message": hide(text_of(error, MAX_DESCRIPTION_CHARS)),
            "exception.stacktrace": hide(traceback_of(error, _MAX_STACK_CHARS)),
        },
    )
