"""Maps errors of the layers below to refusals for clients."""

from litestar.exceptions import HTTPException

from millstream_contracts import FieldError
from millstream_history import HistoryError, QueryError, SearchCursorError
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import (
    BAD_REQUEST,
    BATCH_CLOSED,
    BATCH_FULL,
    BATCH_NOT_FOUND,
    HISTORY_UNAVAILABLE,
    INTERNAL_ERROR,
    INVALID_QUERY,
    INVALID_REQUEST,
    MALFORMED_BODY,
    NOT_DURABLE,
    OVERLOADED,
    STORE_FULL,
    STORE_UNREACHABLE,
    TOO_LARGE,
    UNIQUE_CONFLICT,
    UNKNOWN_PARENT,
    kind_of_status,
)
from millstream_streams import CursorError, NotDurableError, StoreBusyError, StoreFullError, StoreUnavailableError
from millstream_submission import (
    BacklogFullError,
    BatchClosedError,
    BatchFullError,
    BatchNotFoundError,
    InvalidError,
    MalformedError,
    SubmissionError,
    TooLargeError,
    UniqueConflictError,
    UnknownParentError,
)

_SUBMISSION_KINDS = {
    MalformedError: MALFORMED_BODY,
    TooLargeError: TOO_LARGE,
    InvalidError: INVALID_REQUEST,
    UnknownParentError: UNKNOWN_PARENT,
    UniqueConflictError: UNIQUE_CONFLICT,
    BatchNotFoundError: BATCH_NOT_FOUND,
    BatchClosedError: BATCH_CLOSED,
    BatchFullError: BATCH_FULL,
}


def refusal_of(error: Exception) -> IngestError:
    """Return the refusal for an exception; an unknown exception is a defect of ours."""
    match error:
        case IngestError():
            return error
        case SubmissionError():
            return IngestError(_SUBMISSION_KINDS[type(error)], error.detail, error.errors)
        case StoreUnavailableError() | BacklogFullError() | HistoryError():
            return _unavailable(error)
        case QueryError() | CursorError() | SearchCursorError():
            return _misunderstood(error)
        case HTTPException(status_code=status, detail=detail) if status < 500:
            kind = kind_of_status(status)
            # Of a path or method that is not there Litestar only says the status again.
            return IngestError(kind, detail if kind is BAD_REQUEST else "")
    return IngestError(INTERNAL_ERROR)


def _misunderstood(error: QueryError | CursorError | SearchCursorError) -> IngestError:
    match error:
        case QueryError(detail=detail, position=position, end=end, hint=hint):
            fault = FieldError("#/query/q", detail, position=position, end=end, hint=hint)
            return IngestError(INVALID_QUERY, str(error), [fault])
        case SearchCursorError(is_foreign=True):
            return IngestError(INVALID_REQUEST, errors=[FieldError("?cursor", str(error))])
    return IngestError(BAD_REQUEST, errors=[FieldError("?cursor", str(error))])


def _unavailable(error: StoreUnavailableError | BacklogFullError | HistoryError) -> IngestError:
    match error:
        case HistoryError():
            return IngestError(HISTORY_UNAVAILABLE)
        case StoreFullError():
            return IngestError(STORE_FULL)
        case StoreBusyError() | BacklogFullError():
            return IngestError(OVERLOADED, str(error))
        case NotDurableError():
            return IngestError(NOT_DURABLE, str(error))
    # Not the error's own text: it names hosts that are no business of a client.
    return IngestError(STORE_UNREACHABLE)
