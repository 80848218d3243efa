"""The decision: from the result of an attempt to the outcome of the job. Pure, except for the jitter of a backoff."""

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
    AttemptResult,
    Interrupted,
    Interruption,
    Raised,
    Returned,
    TimedOut,
    Unreadable,
)
from millstream_workers.attempt.failure import describe_failure
from millstream_workers.attempt.handler_request import innermost, read_request
from millstream_workers.attempt.results import encode_result
from millstream_workers.errors import InvalidResultError, UndecidableError

_INTERRUPTED: dict[Interruption, Outcome | None] = {
    Interruption.CANCELLED: Cancelled("cancelled"),
    Interruption.DRAINING: HandedBack(),
    # Refused if another worker has the job by now; otherwise the job starts again at once, at no cost.
    Interruption.LEASE_UNSAFE: HandedBack(),
    Interruption.LEASE_LOST: None,
}


class AttemptPolicy(Struct, frozen=True):
    """The policy of one attempt: the options of the submission before those of the type."""

    attempt: int
    """1 for the first run that counts."""
    max_attempts: int
    backoff: Backoff
    timeout_s: float | None

    @classmethod
    def of(cls, spec: JobSpec, of_type: TypePolicy, earlier_attempts: int) -> "AttemptPolicy":
        """Return the policy of the attempt after `earlier_attempts`."""
        return cls(
            attempt=earlier_attempts + 1,
            max_attempts=spec.max_attempts or of_type.max_attempts,
            backoff=spec.backoff or of_type.backoff,
            timeout_s=spec.timeout_s or of_type.timeout_s,
        )


def decide(result: AttemptResult, policy: AttemptPolicy, traceparent: str = "") -> Outcome | None:
    """Return the outcome of a delivery; None when it is no longer this worker's to decide. Never raises.

    It reads the values that the handler returned or raised, which calls code of users' classes.
    """
    if isinstance(result, Returned):  # most are
        return _succeed(result.value, policy, traceparent)
    try:
        return _decide(result, policy, traceparent)
    except BaseException as failure:  # noqa: BLE001 - the last guard: without an outcome the worker would end
        return _try_again(describe_failure(UndecidableError(failure), policy.attempt, traceparent), policy)


def _decide(
    result: Raised | TimedOut | Interrupted | Unreadable, policy: AttemptPolicy, traceparent: str
) -> Outcome | None:
    match result:
        case Raised(error):
            return _steer(error, policy, traceparent)
        case TimedOut(timeout_s):
            message = f"the attempt took longer than {timeout_s:g} s"
            return _try_again(JobError("timeout", message, "timeout", "", policy.attempt, traceparent), policy)
        case Unreadable(_, float(after_s)):
            return Snoozed(round(after_s * 1000))
        case Unreadable(error):
            # No other attempt would read it better.
            return Dead("invalid_payload", describe_failure(error, policy.attempt, traceparent))
        case Interrupted(why):
            return _INTERRUPTED[why]


def _succeed(value: Any, policy: AttemptPolicy, traceparent: str) -> Outcome:
    """Return success, or death when the result cannot be stored, because another run would repeat the effects."""
    try:
        return Succeeded(msgspec.Raw(encode_result(value)))
    except BaseException as error:  # noqa: BLE001 - a result is read through properties and iterators of users' classes
        return Dead("invalid_result", describe_failure(error, policy.attempt, traceparent))


def _steer(error: BaseException, policy: AttemptPolicy, traceparent: str) -> Outcome:
    if issubclass(type(error), InvalidResultError):
        return Dead("invalid_result", describe_failure(error, policy.attempt, traceparent))
    request = read_request(error)
    if request is None:
        return _try_again(describe_failure(error, policy.attempt, traceparent), policy)
    if request.kind == "discard":
        return Cancelled(f"discarded: {request.reason}")
    if request.kind == "snooze" and request.delay_ms is not None:
        return Snoozed(request.delay_ms)
    failure = describe_failure(innermost(error), policy.attempt, traceparent)
    if request.kind == "dead":
        return Dead(request.reason, failure)
    # A failed attempt: it was asked for, or the time to snooze cannot be read.
    return _try_again(replace(failure, message=request.unread or failure.message), policy, request.delay_ms)


def _try_again(failure: JobError, policy: AttemptPolicy, delay_ms: int | None = None) -> Outcome:
    if policy.attempt >= policy.max_attempts:
        return Dead("attempts", failure)
    return RetryAt(round(policy.backoff.delay_s(policy.attempt) * 1000) if delay_ms is None else delay_ms, failure)
