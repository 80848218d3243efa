"""A failure as text: what is stored of an exception, and by what equal failures are known."""

import hashlib
import traceback
from pathlib import PurePath

from msgspec.structs import replace

from millstream_contracts import JobError, limits
from millstream_telemetry import type_name
from millstream_workers.errors import RemoteError


def describe_failure(error: BaseException, attempt: int, traceparent: str = "") -> JobError:
    """Return an exception as a JobError."""
    if isinstance(error, RemoteError):
        return replace(error.error, attempt=attempt, traceparent=traceparent)
    return JobError(
        type=type_name(error),
        message=printable(error),
        fingerprint=fingerprint(error),
        traceback=_traceback(error),
        attempt=attempt,
        traceparent=traceparent,
    )


def fingerprint(error: BaseException) -> str:
    """Return 16 hex digits, equal for errors of one type raised in one function.

    Line numbers and messages stay out: they differ between releases and between jobs.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{PurePath(frames[-1].filename).name}:{frames[-1].name}" if frames else ""
    return hashlib.blake2b(f"{type_name(error)}@{place}".encode(), digest_size=8).hexdigest()


def printable(value: object) -> str:
    """Return a value as text that every store takes: bounded, no NUL, which PostgreSQL refuses, no lone surrogates."""
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - the `__str__` of a user's class may raise anything
        return f"<str() of {type(value).__name__} failed>"
    return _storable(text[: limits.MAX_ERROR_CHARS])


def _traceback(error: BaseException) -> str:
    # The end of a long traceback is the part that names the cause.
    return _storable("".join(traceback.format_exception(error))[-limits.MAX_ERROR_CHARS :])


def _storable(text: str) -> str:
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
