"""How a handler's outcome crosses from its process to the worker: exceptions as reports, and back."""

from typing import Any

from millstream import Discard, Snooze
from millstream_workers.attempt.failure import describe_failure
from millstream_workers.attempt.handler_request import RemoteWish, Wish, innermost, read_wish
from millstream_workers.attempt.results import EncodedResult, encode_result
from millstream_workers.errors import InvalidResultError, RemoteError
from millstream_workers.isolation.frames import EndReport, FailureReport, ReturnReport, StoppedReport, WishReport


def report_return(number: int, value: Any, attempt: int) -> EndReport:
    """Return the report about a handler that returned."""
    try:
        return ReturnReport(number, encode_result(value))
    except BaseException as error:  # noqa: BLE001 - a user's class may raise anything while it is made plain
        return FailureReport(number, describe_failure(error, attempt), invalid_result=True)


def report_raise(number: int, error: BaseException, attempt: int) -> EndReport:
    """Return the report about a handler that raised."""
    wish = read_wish(error)
    if wish is None:
        return FailureReport(number, describe_failure(error, attempt))
    return WishReport(number, wish, describe_failure(innermost(error), attempt))


def result_of(report: EndReport) -> EncodedResult:
    """Return the result that a report brings. Raises: RemoteError, InvalidResultError; what the handler asked for."""
    match report:
        case ReturnReport(result=result):
            return EncodedResult(result)
        case FailureReport(error=error, invalid_result=invalid):
            raise InvalidResultError(error) if invalid else RemoteError(error)
        # These two are no failures: nothing of the exception is kept, and its span is not marked.
        case WishReport(wish=Wish("snooze", int(delay_ms))):
            raise Snooze(delay_ms / 1000)
        case WishReport(wish=Wish("discard") as wish):
            raise Discard(wish.reason)
        case WishReport(wish=wish, error=error):
            raise RemoteWish(wish, error)
        case StoppedReport():
            raise AssertionError("a handler that was stopped has no result")
