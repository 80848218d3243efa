"""The decision: from what happened to what becomes of the job. Pure, but for the jitter of a backoff."""

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

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
)
from millstream_workers.attempt.attempt_result import (
    Happening,
    Interrupted,
    Interruption,
    Raised,
    Returned,
    TimedOut,
    Unreadable,
)
from millstream_workers.attempt.failure import describe_failure
from millstream_workers.attempt.handler_request import innermost, read_wish
from millstream_workers.attempt.results import encode_result
from millstream_workers.errors import InvalidResultError, UndecidableError

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
    """Return what becomes of the job; None when it is no longer this worker's to decide. Never raises.

    What the handler returned or raised is read here, and reading it calls code of users' classes.
    """
    if isinstance(happening, Returned):  # most are
        return _succeed(happening.value, terms, traceparent)
    try:
        return _decide(happening, terms, traceparent)
    except BaseException as failure:  # noqa: BLE001 - the last guard: without an outcome the worker would end
        return _try_again(describe_failure(UndecidableError(failure), terms.attempt, traceparent), terms)


def _decide(happening: Raised | TimedOut | Interrupted | Unreadable, terms: Terms, traceparent: str) -> Outcome | None:
    match happening:
        case Raised(error):
            return _steer(error, terms, traceparent)
        case TimedOut(timeout_s):
            message = f"the attempt took longer than {timeout_s:g} s"
            return _try_again(JobError("timeout", message, "timeout", "", terms.attempt, traceparent), terms)
        case Unreadable(_, float(after_s)):
            return Snoozed(round(after_s * 1000))
        case Unreadable(error):
            # No other attempt would read it better.
            return Dead("invalid_payload", describe_failure(error, terms.attempt, traceparent))
        case Interrupted(why):
            return _INTERRUPTED[why]


def _succeed(value: Any, terms: Terms, traceparent: str) -> Outcome:
    """Return success, or death when the result cannot be stored: to run again would repeat the handler's effects."""
    try:
        return Succeeded(msgspec.Raw(encode_result(value)))
    except BaseException as error:  # noqa: BLE001 - a result is read through properties and iterators of users' classes
        return Dead("invalid_result", describe_failure(error, terms.attempt, traceparent))


def _steer(error: BaseException, terms: Terms, traceparent: str) -> Outcome:
    if issubclass(type(error), InvalidResultError):
        return Dead("invalid_result", describe_failure(error, terms.attempt, traceparent))
    wish = read_wish(error)
    if wish is None:
        return _try_again(describe_failure(error, terms.attempt, traceparent), terms)
    if wish.kind == "discard":
        return Cancelled(f"discarded: {wish.reason}")
    if wish.kind == "snooze" and wish.delay_ms is not None:
        return Snoozed(wish.delay_ms)
    failure = describe_failure(innermost(error), terms.attempt, traceparent)
    if wish.kind == "dead":
        return Dead(wish.reason, failure)
    # A failed attempt: asked for, or because nothing tells for how long to snooze.
    return _try_again(replace(failure, message=wish.unread or failure.message), terms, wish.delay_ms)


def _try_again(failure: JobError, terms: Terms, delay_ms: int | None = None) -> Outcome:
    if terms.attempt >= terms.max_attempts:
        return Dead("attempts", failure)
    return RetryAt(round(terms.backoff.delay_s(terms.attempt) * 1000) if delay_ms is None else delay_ms, failure)
