"""The decision: from what happened to what becomes of the job. Pure, but for the jitter of a backoff."""

from typing import Any

import msgspec
from msgspec import Struct

from millstream import Dead as DeadWish
from millstream import Discard, RetryAfter, Snooze
from millstream_contracts import (
    Backoff,
    Cancelled,
    Dead,
    HandedBack,
    JobError,
    JobSpec,
    Outcome,
    RetryAt,
    Snoozed,
    Succeeded,
    TypePolicy,
    limits,
)
from millstream_workers.errors import InvalidResultError
from millstream_workers.failure import describe_failure, printable
from millstream_workers.happenings import (
    Happening,
    Interrupted,
    Interruption,
    Raised,
    Returned,
    TimedOut,
    Unreadable,
)
from millstream_workers.results import encode_result

_INTERRUPTED: dict[Interruption, Outcome | None] = {
    Interruption.CANCELLED: Cancelled("cancelled"),
    Interruption.DRAINING: HandedBack(),
    # Refused if somebody has taken the job meanwhile; otherwise it starts again at once, and at no cost.
    Interruption.LEASE_UNSAFE: HandedBack(),
    Interruption.LEASE_LOST: None,
}


class Terms(Struct, frozen=True):
    """What holds for one delivery: the submission's wishes over the type's policy."""

    attempt: int
    """1 for the first run that counts."""
    max_attempts: int
    backoff: Backoff
    timeout_s: float | None

    @classmethod
    def of(cls, spec: JobSpec, policy: TypePolicy, earlier_attempts: int) -> "Terms":
        """Return the terms of the next attempt."""
        return cls(
            attempt=earlier_attempts + 1,
            max_attempts=spec.max_attempts or policy.max_attempts,
            backoff=spec.backoff or policy.backoff,
            timeout_s=spec.timeout_s or policy.timeout_s,
        )


def decide(happening: Happening, terms: Terms, traceparent: str = "") -> Outcome | None:
    """Return what becomes of the job; None when it is no longer this worker's to decide."""
    match happening:
        case Returned(value):
            return _succeed(value, terms, traceparent)
        case Raised(error):
            return _steer(error, terms, traceparent)
        case TimedOut(timeout_s):
            message = f"the attempt took longer than {timeout_s:g} s"
            return _try_again(JobError("timeout", message, "timeout", "", terms.attempt, traceparent), terms)
        case Unreadable(_, float(after_s)):
            return Snoozed(_ms(after_s))
        case Unreadable(error):
            # No other attempt would read it better.
            return Dead("invalid_payload", describe_failure(error, terms.attempt, traceparent))
        case Interrupted(why):
            return _INTERRUPTED[why]


def _succeed(value: Any, terms: Terms, traceparent: str) -> Outcome:
    """Return success, or death when the result cannot be stored: to run again would repeat the handler's effects."""
    try:
        return Succeeded(msgspec.Raw(encode_result(value)))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        return Dead("invalid_result", describe_failure(error, terms.attempt, traceparent))


def _steer(error: BaseException, terms: Terms, traceparent: str) -> Outcome:
    match error:
        case Snooze():
            return Snoozed(_ms(error.delay_s))
        case Discard():
            return Cancelled(f"discarded: {printable(error.reason)}")
        case DeadWish():
            return Dead(printable(error.reason), describe_failure(error, terms.attempt, traceparent))
        case InvalidResultError():
            return Dead("invalid_result", describe_failure(error, terms.attempt, traceparent))
        case RetryAfter():
            failure = describe_failure(error, terms.attempt, traceparent)
            return _try_again(failure, terms, error.delay_s)
        case _:
            return _try_again(describe_failure(error, terms.attempt, traceparent), terms)


def _try_again(failure: JobError, terms: Terms, delay_s: float | None = None) -> Outcome:
    if terms.attempt >= terms.max_attempts:
        return Dead("attempts", failure)
    return RetryAt(_ms(terms.backoff.delay_s(terms.attempt) if delay_s is None else delay_s), failure)


def _ms(seconds: float) -> int:
    """Return milliseconds; 0 for what is no positive number, which a handler may have given."""
    return round(min(seconds, limits.MAX_DELAY_S) * 1000) if seconds > 0 else 0
