"""Errors of submissions.

SubmissionError          a job may not be submitted; carries the fields at fault
├── MalformedError       its bytes cannot be decoded
├── TooLargeError        it, or its payload, has too many bytes
├── InvalidError         it says something that may not be
├── UnknownParentError   it waits for a job that is not known
├── UniqueConflictError  another job holds its unique key; carries the id of that
├── BatchNotFoundError   it is for a batch that is not known
├── BatchClosedError     it is for a batch that takes no more members
└── BatchFullError       it is for a batch that has as many members as a batch may have

BacklogFullError         too many jobs wait to be stored already; carries their number
"""

from collections.abc import Sequence

from millstream_contracts import FieldError, JobId, told
from millstream_submission.wording import in_plain_words


class SubmissionError(Exception):
    """A job may not be submitted."""

    def __init__(self, errors: Sequence[FieldError], detail: str = "") -> None:
        self.errors = errors
        self.detail = detail or told(errors)
        """What is wrong as a whole; never empty."""
        super().__init__(self.detail)


class MalformedError(SubmissionError):
    """The bytes of a submission cannot be decoded."""


class TooLargeError(SubmissionError):
    """A submission, or its payload, has too many bytes."""


class InvalidError(SubmissionError):
    """A field of a submission has a value that is not allowed."""


class UnknownParentError(SubmissionError):
    """A submission waits for a job that is not known, or was forgotten."""


class UniqueConflictError(SubmissionError):
    """Another job holds the unique key of a submission."""

    def __init__(self, holder: JobId, pointer: str = "") -> None:
        detail = held_by(holder)
        super().__init__([FieldError(f"{pointer}/unique", detail)], detail)
        self.holder = holder


def held_by(holder: JobId) -> str:
    """Return why a job is not stored whose unique key this one holds."""
    return f"the job {holder} holds its unique key"


class BatchNotFoundError(SubmissionError):
    """A submission is for a batch that is not known, or was forgotten."""


class BatchClosedError(SubmissionError):
    """A submission is for a batch that takes no more members, or none from this job."""


class BatchFullError(SubmissionError):
    """A submission is for a batch that has as many members as a batch may have."""


class BacklogFullError(Exception):
    """A submission arrives while too many jobs wait to be stored."""

    def __init__(self, waiting_jobs: int) -> None:
        super().__init__(f"{waiting_jobs} jobs wait to be stored")
        self.waiting_jobs = waiting_jobs


def malformed(error: Exception, prefix: str) -> MalformedError:
    """Return the refusal of bytes that cannot be decoded."""
    reason = "not valid UTF-8" if isinstance(error, UnicodeDecodeError) else in_plain_words(str(error))
    return MalformedError([FieldError(prefix, reason)]) if prefix else MalformedError((), reason)


def invalid(*errors: FieldError) -> InvalidError:
    """Return the refusal of fields with values that are not allowed."""
    return InvalidError(errors)


def too_large(prefix: str, what: str, size: int, limit: int) -> TooLargeError:
    """Return the refusal of a body or payload with too many bytes."""
    detail = f"{what} has {size:,} bytes; the limit is {limit:,}"
    return TooLargeError([FieldError(prefix, detail)]) if prefix else TooLargeError((), detail)
