"""A failure as it is stored: text, and a fingerprint that groups equal failures. Nothing here raises."""

import hashlib

from msgspec.structs import replace

from millstream_contracts import JobError, limits
from millstream_telemetry import frames_of, origin, text_of, traceback_of, type_name
from millstream_workers.attempt.attempt_result import AttemptResult, Raised, TimedOut
from millstream_workers.errors import ProcessDiedError, RemoteError

_STACK_HEADING = "Stack when its time was over (most recent call last):\n"


def describe_failure(error: BaseException, attempt: int, traceparent: str = "") -> JobError:
    """Return an exception as a JobError."""
    if issubclass(type(error), RemoteError):
        assert isinstance(error, RemoteError)
        return replace(error.error, attempt=attempt, traceparent=traceparent)
    return JobError(
        type=type_name(error)[: limits.MAX_ERROR_CHARS],
        message=printable(error),
        fingerprint=fingerprint(error),
        traceback=_ended(_last_stack(error), traceback_of(error, limits.MAX_ERROR_CHARS)),
        attempt=attempt,
        traceparent=traceparent,
    )


def describe_timeout(result: TimedOut, attempt: int, traceparent: str = "") -> JobError:
    """Return the error of an attempt that has reached its timeout. Its traceback says where the handler was then."""
    message = f"the attempt took longer than {result.timeout_s:g} s"
    traceback = _ended(f"{_STACK_HEADING}{result.stack}", f"timeout: {message}\n") if result.stack else ""
    return JobError("timeout", message, "timeout", traceback, attempt, traceparent)


def whereabouts_of(result: AttemptResult) -> str:
    """Return the frames of users' code in which an attempt has failed, without any message; or an empty text."""
    match result:
        case TimedOut(stack=stack):
            return stack
        case Raised(error) if issubclass(type(error), RemoteError):
            assert isinstance(error, RemoteError)
            return error.frames
        case Raised(error):
            return _last_stack(error) or frames_of(error, limits.MAX_ERROR_CHARS)
    return ""


def _last_stack(error: BaseException) -> str:
    # By its true type: the `__class__` of a user's exception may be anything, and raise.
    if not issubclass(type(error), ProcessDiedError):
        return ""
    assert isinstance(error, ProcessDiedError)
    return error.stack


def _ended(stack: str, end: str) -> str:
    """Return a stack before the words that end a traceback, within the bounds: what is left out is of the stack."""
    room = max(0, limits.MAX_ERROR_CHARS - len(end))
    return (stack[-room:] if room else "") + end


def fingerprint(error: BaseException) -> str:
    """Return `v2:` and 16 hex digits, equal for errors of one type raised under one function of the handler's package.

    Line numbers and messages stay out: they differ between releases and between jobs.
    """
    place = f"{type_name(error)}@{origin(error)}"
    return f"v2:{hashlib.blake2b(place.encode('utf-8', 'backslashreplace'), digest_size=8).hexdigest()}"


def printable(value: object) -> str:
    """Return a value as text that every store takes, bounded."""
    return text_of(value, limits.MAX_ERROR_CHARS)
