"""Turns a handler's outcome into a report for its worker, and back."""

from typing import Any

from millstream import Discard, Retry, Snooze
from millstream.durable.suspension import Suspended
from millstream.payloads import DataType
from millstream_contracts import limits
from millstream_telemetry import frames_of
from millstream_workers.attempt.failure import describe_failure
from millstream_workers.attempt.handler_request import HandlerRequest, RemoteRequest, innermost
from millstream_workers.attempt.results import EncodedResult, encode_result
from millstream_workers.attempt.retry_rules import read_or_apply
from millstream_workers.errors import InvalidResultError, RemoteError
from millstream_workers.isolation.frames import EndReport, FailureReport, RequestReport, ReturnReport, StoppedReport


def report_return(number: int, value: Any, attempt: int, gives: DataType) -> EndReport:
    """Return the report about a handler that returned."""
    try:
        return ReturnReport(number, encode_result(value, gives))
    except BaseException as error:  # noqa: BLE001 - a user's class may raise anything while it is made plain
        return FailureReport(number, describe_failure(error, attempt), invalid_result=True)


def report_raise(number: int, error: BaseException, attempt: int, retry: Retry | None) -> EndReport:
    """Return the report about a handler that raised. Its `Retry` decides here, where the exception is."""
    request = read_or_apply(error, retry, attempt)
    if request is None:
        return FailureReport(number, describe_failure(error, attempt), frames=_frames(error))
    inner = innermost(error)
    return RequestReport(number, request, describe_failure(inner, attempt), _frames(inner))


def _frames(error: BaseException) -> str:
    return frames_of(error, limits.MAX_ERROR_CHARS)


def result_of(report: EndReport) -> EncodedResult:
    """Return the result in a report. Raises: RemoteError, InvalidResultError; the outcome request of the handler."""
    match report:
        case ReturnReport(result=result):
            return EncodedResult(result)
        case FailureReport(error=error, invalid_result=invalid, frames=frames):
            raise InvalidResultError(error) if invalid else RemoteError(error, frames)
        # These three are no failures: nothing of the exception is kept, and its span is not marked.
        case RequestReport(request=HandlerRequest("snooze", int(delay_ms), gate=gate)):
            raise Snooze(delay_ms / 1000, gate=gate)
        case RequestReport(request=HandlerRequest("suspend", int(delay_ms), signal=signal, jobs=jobs)):
            raise Suspended(delay_ms, signal, jobs)
        case RequestReport(request=HandlerRequest("discard") as request):
            raise Discard(request.reason)
        case RequestReport(request=request, error=error, frames=frames):
            raise RemoteRequest(request, error, frames)
        case StoppedReport():
            raise AssertionError("a handler that was stopped has no result")
