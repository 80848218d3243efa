"""Turns a handler's outcome into a report for its worker, and back."""

from typing import Any

from millstream import Discard, Snooze
from millstream_workers.attempt.failure import describe_failure
from millstream_workers.attempt.handler_request import HandlerRequest, RemoteRequest, innermost, read_request
from millstream_workers.attempt.results import EncodedResult, encode_result
from millstream_workers.errors import InvalidResultError, RemoteError
from millstream_workers.isolation.frames import EndReport, FailureReport, RequestReport, ReturnReport, StoppedReport


def report_return(number: int, value: Any, attempt: int) -> EndReport:
    """Return the report about a handler that returned."""
    try:
        return ReturnReport(number, encode_result(value))
    except BaseException as error:  # noqa: BLE001 - a user's class may raise anything while it is made plain
        return FailureReport(number, describe_failure(error, attempt), invalid_result=True)


def report_raise(number: int, error: BaseException, attempt: int) -> EndReport:
    """Return the report about a handler that raised."""
    request = read_request(error)
    if request is None:
        return FailureReport(number, describe_failure(error, attempt))
    return RequestReport(number, request, describe_failure(innermost(error), attempt))


def result_of(report: EndReport) -> EncodedResult:
    """Return the result in a report. Raises: RemoteError, InvalidResultError; the outcome request of the handler."""
    match report:
        case ReturnReport(result=result):
            return EncodedResult(result)
        case FailureReport(error=error, invalid_result=invalid):
            raise InvalidResultError(error) if invalid else RemoteError(error)
        # These two are no failures: nothing of the exception is kept, and its span is not marked.
        case RequestReport(request=HandlerRequest("snooze", int(delay_ms))):
            raise Snooze(delay_ms / 1000)
        case RequestReport(request=HandlerRequest("discard") as request):
            raise Discard(request.reason)
        case RequestReport(request=request, error=error):
            raise RemoteRequest(request, error)
        case StoppedReport():
            raise AssertionError("a handler that was stopped has no result")
