"""A failure as it is stored: text, and a fingerprint that groups equal failures. Nothing here raises."""

import hashlib

from msgspec.structs import replace

from millstream_contracts import JobError, limits
from millstream_telemetry import origin, text_of, traceback_of, type_name
from millstream_workers.errors import RemoteError


def describe_failure(error: BaseException, attempt: int, traceparent: str = "") -> JobError:
    """Return an exception as a JobError."""
    if issubclass(type(error), RemoteError):
        assert isinstance(error, RemoteError)
        return replace(error.error, attempt=attempt, traceparent=traceparent)
    return JobError(
        type=type_name(error)[: limits.MAX_ERROR_CHARS],
        message=printable(error),
        fingerprint=fingerprint(error),
        traceback=traceback_of(error, limits.MAX_ERROR_CHARS),
        attempt=attempt,
        traceparent=traceparent,
    )


def fingerprint(error: BaseException) -> str:
    """Return 16 hex digits, equal for errors of one type raised in one function.

    Line numbers and messages stay out: they differ between releases and between jobs.
    """
    place = f"{type_name(error)}@{origin(error)}"
    return hashlib.blake2b(place.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def printable(value: object) -> str:
    """Return a value as text that every store takes, bounded."""
    return text_of(value, limits.MAX_ERROR_CHARS)
