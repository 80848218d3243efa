"""How a handler's outcome crosses from its process to the worker: exceptions as reports, and back.

What a handler asks for arrives as an exception of the same kind, with the attributes that could be read, described as
the handler's own exception was. One whose attributes cannot be read arrives without them, and means to the worker
what it would mean on its loop.
"""

from typing import Any

from millstream import Dead, Discard, RetryAfter, Snooze
from millstream_contracts import JobError
from millstream_workers.errors import InvalidResultError, RemoteError
from millstream_workers.failure import describe_failure, printable
from millstream_workers.frames import EndReport, FailureReport, ReturnReport, StoppedReport, WishReport
from millstream_workers.results import EncodedResult, encode_result


def report_return(number: int, value: Any, attempt: int) -> EndReport:
    """Return the report about a handler that returned."""
    try:
        return ReturnReport(number, encode_result(value))
    except BaseException as error:  # noqa: BLE001 - a user's class may raise anything while it is made plain
        return FailureReport(number, describe_failure(error, attempt), invalid_result=True)


def report_raise(number: int, error: BaseException, attempt: int) -> EndReport:
    """Return the report about a handler that raised."""
    described, kind = describe_failure(error, attempt), type(error)
    # By its type: what `isinstance` asks of an exception's `__class__` may raise.
    if issubclass(kind, RetryAfter):
        return WishReport(number, "retry_after", described, delay_s=_seconds(error))
    if issubclass(kind, Snooze):
        return WishReport(number, "snooze", described, delay_s=_seconds(error))
    if issubclass(kind, Discard):
        return WishReport(number, "discard", described, reason=_reason(error))
    if issubclass(kind, Dead):
        return WishReport(number, "dead", described, reason=_reason(error))
    return FailureReport(number, described)


def _seconds(error: BaseException) -> float | None:
    try:
        return float(error.delay_s)  # type: ignore[attr-defined]
    except BaseException:  # noqa: BLE001 - it may have a `__getattr__`, and be anything
        return None


def _reason(error: BaseException) -> str | None:
    try:
        reason = error.reason  # type: ignore[attr-defined]
    except BaseException:  # noqa: BLE001 - it may have a `__getattr__`
        return None
    return printable(reason)


def result_of(report: EndReport) -> EncodedResult:
    """Return the result that a report brings. Raises: what the handler wished, RemoteError, InvalidResultError."""
    match report:
        case ReturnReport(result=result):
            return EncodedResult(result)
        case FailureReport(error=error, invalid_result=invalid):
            raise InvalidResultError(error) if invalid else RemoteError(error)
        case WishReport():
            raise _wish(report)
        case StoppedReport():
            raise AssertionError("a handler that was stopped has no result")


class RemoteRetryAfter(RemoteError, RetryAfter):  # noqa: N818 - as the wish that it is
    """A RetryAfter that was raised in a process."""


class RemoteSnooze(RemoteError, Snooze):  # noqa: N818 - as the wish that it is
    """A Snooze that was raised in a process."""


class RemoteDiscard(RemoteError, Discard):  # noqa: N818 - as the wish that it is
    """A Discard that was raised in a process."""


class RemoteDead(RemoteError, Dead):  # noqa: N818 - as the wish that it is
    """A Dead that was raised in a process."""


_WISHES = {"retry_after": RemoteRetryAfter, "snooze": RemoteSnooze, "discard": RemoteDiscard, "dead": RemoteDead}


def _wish(report: WishReport) -> RemoteError:
    wish = _made(_WISHES[report.kind], report.error)
    if report.delay_s is not None:
        wish.delay_s = report.delay_s  # type: ignore[attr-defined]
    if report.reason is not None:
        wish.reason = report.reason  # type: ignore[attr-defined]
    return wish


def _made(kind: type[RemoteError], error: JobError) -> RemoteError:
    # Without the constructors, which would make up the attributes that are missing.
    wish = kind.__new__(kind, error.message)
    wish.error = error
    return wish
