"""The decision: from the result of an attempt to the outcome of the job. Pure, except for the jitter of a backoff."""

import random
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from millstream import Retry
from millstream.payloads import ANYTHING, DataType
from millstream_codec import KeyLostError
from millstream_contracts import (
    Backoff,
    Calling,
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
    Waiting,
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
from millstream_workers.attempt.failure import describe_failure, describe_timeout
from millstream_workers.attempt.handler_request import HandlerRequest, innermost
from millstream_workers.attempt.results import encode_result
from millstream_workers.attempt.retry_rules import read_or_apply
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
    delays_s: tuple[float, ...] | None = None
    """The delays before the next attempts, one by one, in place of the backoff."""

    @classmethod
    def of(cls, spec: JobSpec, of_type: TypePolicy, earlier_attempts: int) -> "AttemptPolicy":
        """Return the policy of the attempt after `earlier_attempts`."""
        return cls(
            attempt=earlier_attempts + 1,
            max_attempts=spec.max_attempts or of_type.max_attempts,
            backoff=spec.backoff or of_type.backoff,
            timeout_s=spec.timeout_s or of_type.timeout_s,
            delays_s=None if spec.backoff else of_type.delays_s,
        )

    def delay_s(self) -> float:
        """Return the delay before the next attempt."""
        if self.delays_s is None:
            return self.backoff.delay_s(self.attempt)
        delay_s = self.delays_s[min(self.attempt, len(self.delays_s)) - 1]
        return random.uniform(0.0, delay_s) if self.backoff.jitter else delay_s


def decide(
    result: AttemptResult,
    policy: AttemptPolicy,
    traceparent: str = "",
    *,
    gives: DataType = ANYTHING,
    retry: Retry | None = None,
) -> Outcome | None:
    """Return the outcome of a delivery; None when it is no longer this worker's to decide. Never raises.

    `gives` and `retry` are those of the handler. The values that it returned or raised are read here, which calls code
    of users' classes.
    """
    if isinstance(result, Returned):  # most are
        return _succeed(result.value, policy, traceparent, gives)
    try:
        return _decide(result, policy, traceparent, retry)
    except BaseException as failure:  # noqa: BLE001 - the last guard: without an outcome the worker would end
        return _try_again(describe_failure(UndecidableError(failure), policy.attempt, traceparent), policy)


def _decide(
    result: Raised | TimedOut | Interrupted | Unreadable, policy: AttemptPolicy, traceparent: str, retry: Retry | None
) -> Outcome | None:
    match result:
        case Raised(error):
            return _steer(error, policy, traceparent, retry)
        case TimedOut():
            return _try_again(describe_timeout(result, policy.attempt, traceparent), policy)
        case Unreadable(_, float(after_s)):
            return Snoozed(round(after_s * 1000))
        case Unreadable(error):
            # No other attempt would read it better.
            reason = "undecryptable" if isinstance(error, KeyLostError) else "invalid_payload"
            return Dead(reason, describe_failure(error, policy.attempt, traceparent))
        case Interrupted(why):
            return _INTERRUPTED[why]


def _succeed(value: Any, policy: AttemptPolicy, traceparent: str, gives: DataType) -> Outcome:
    """Return success, or death when the result cannot be stored, because another run would repeat the effects."""
    try:
        return Succeeded(msgspec.Raw(encode_result(value, gives)))
    except BaseException as error:  # noqa: BLE001 - a result is read through properties and iterators of users' classes
        return Dead("invalid_result", describe_failure(error, policy.attempt, traceparent))


def _steer(error: BaseException, policy: AttemptPolicy, traceparent: str, retry: Retry | None) -> Outcome:
    if issubclass(type(error), InvalidResultError):
        return Dead("invalid_result", describe_failure(error, policy.attempt, traceparent))
    request = read_or_apply(error, retry, policy.attempt)
    if request is None:
        return _try_again(describe_failure(error, policy.attempt, traceparent), policy)
    if request.kind == "discard":
        return Cancelled(f"discarded: {request.reason}")
    if request.kind in {"snooze", "suspend"} and request.delay_ms is not None:
        return _suspended(request, request.delay_ms)
    failure = describe_failure(innermost(error), policy.attempt, traceparent)
    if request.kind == "dead":
        return Dead(request.reason, failure)
    # A failed attempt: it was asked for, or the time to snooze cannot be read.
    return _try_again(replace(failure, message=request.unread or failure.message), policy, request.delay_ms)


def _suspended(request: HandlerRequest, delay_ms: int) -> Outcome:
    if request.jobs:
        return Calling(request.jobs)
    return Waiting(request.signal, delay_ms) if request.signal else Snoozed(delay_ms, request.gate)


def _try_again(failure: JobError, policy: AttemptPolicy, delay_ms: int | None = None) -> Outcome:
    if policy.attempt >= policy.max_attempts:
        return Dead("attempts", failure)
    return RetryAt(round(policy.delay_s() * 1000) if delay_ms is None else delay_ms, failure)
