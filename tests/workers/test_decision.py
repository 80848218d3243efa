"""The decision maps the result of an attempt and the policy of the job to the outcome of the job."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream import Dead as DeadRequest
from millstream import Discard, Retry, Snooze
from millstream_contracts import (
    Backoff,
    Cancelled,
    Dead,
    HandedBack,
    JobSpec,
    RetryAt,
    Snoozed,
    SnoozeGate,
    Succeeded,
    TypePolicy,
    limits,
)
from millstream_workers.attempt.attempt_result import Interrupted, Interruption, Raised, Returned, TimedOut, Unreadable
from millstream_workers.isolation.frames import EndReport
from millstream_workers.isolation.outcome_reports import report_raise, result_of
from millstream_workers.running.decision import AttemptPolicy, decide

STEADY = Backoff(kind="constant", base_s=2.5, jitter=False)
FIRST = AttemptPolicy(attempt=1, max_attempts=3, backoff=STEADY, timeout_s=None)
LAST = AttemptPolicy(attempt=3, max_attempts=3, backoff=STEADY, timeout_s=None)
BEYOND = AttemptPolicy(attempt=9, max_attempts=3, backoff=STEADY, timeout_s=None)
"""The policy was made stricter after the job had used up its attempts."""

TRACEPARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


class UnspeakableError(Exception):
    """An exception whose text cannot be read."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Point(msgspec.Struct):
    """A result of a type that the user defined."""

    x: int
    at: datetime


@pytest.mark.parametrize("policy", [FIRST, LAST, BEYOND])
@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, None),
        ("sent", "sent"),
        (b"\x00\xff", b"\x00\xff"),
        (Point(1, datetime(2026, 1, 1, tzinfo=UTC)), {"x": 1, "at": "2026-01-01T00:00:00Z"}),
        ({"a": (1, 2.5, None)}, {"a": [1, 2.5, None]}),
        (2**64 - 1, 2**64 - 1),
    ],
)
def test_a_return_succeeds_whatever_the_attempt(value: Any, stored: Any, policy: AttemptPolicy) -> None:
    """A return succeeds at any attempt, and its result is stored as plain data that any language reads."""
    outcome = decide(Returned(value), policy)
    assert isinstance(outcome, Succeeded)
    assert msgspec.msgpack.decode(outcome.result) == stored


def _ring() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {"deep": [object()]},
        2**64,
        -(2**63) - 1,
        "\ud800",
        {None: 1},
        {True: 1},
        {(1, 2): 3},
        lambda: None,
        _ring(),
    ],
    ids=["object", "nested", "2**64", "negative", "surrogate", "None key", "bool key", "tuple key", "function", "ring"],
)
@pytest.mark.parametrize("policy", [FIRST, LAST])
def test_a_result_that_cannot_be_stored_buries_the_job_at_once(value: Any, policy: AttemptPolicy) -> None:
    """A result that JSON cannot express buries the job at once. Another run would repeat what the handler did."""
    outcome = decide(Returned(value), policy)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "invalid_result"
    assert outcome.error.attempt == policy.attempt


def test_a_result_that_is_too_large_buries_the_job_and_says_by_how_much() -> None:
    """A result of the documented limit is stored; one more byte buries the job with an error that names the size."""
    overhead = len(msgspec.msgpack.encode("x" * (1 << 17))) - (1 << 17)
    fits = "x" * (limits.MAX_RESULT_BYTES - overhead)
    assert isinstance(decide(Returned(fits), FIRST), Succeeded)
    outcome = decide(Returned(fits + "x"), FIRST)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "invalid_result"
    assert str(limits.MAX_RESULT_BYTES + 1) in outcome.error.message


def test_an_error_is_tried_again_after_the_backoff_while_attempts_are_left() -> None:
    """A failed attempt is retried after the backoff in milliseconds, and the failure names its attempt and its span."""
    outcome = decide(Raised(ValueError("no such address")), FIRST, TRACEPARENT)
    assert isinstance(outcome, RetryAt)
    assert outcome.after_ms == 2500
    assert (outcome.error.type, outcome.error.message) == ("ValueError", "no such address")
    assert (outcome.error.attempt, outcome.error.traceparent) == (1, TRACEPARENT)


@pytest.mark.parametrize("policy", [LAST, BEYOND])
def test_an_error_of_the_last_attempt_buries_the_job(policy: AttemptPolicy) -> None:
    """An error at the last attempt buries the job with a reason that operators can search for."""
    outcome = decide(Raised(ValueError("no")), policy)
    assert isinstance(outcome, Dead)
    assert (outcome.reason, outcome.error.type) == ("attempts", "ValueError")


def test_the_backoff_grows_with_the_attempts() -> None:
    """The backoff is computed from the number of the attempt."""
    growing = Backoff(kind="exponential", base_s=1.0, cap_s=5.0, jitter=False)
    delays = []
    for attempt in (1, 2, 3, 4):
        outcome = decide(Raised(ValueError()), AttemptPolicy(attempt, 9, growing, None))
        assert isinstance(outcome, RetryAt)
        delays.append(outcome.after_ms)
    assert delays == [1000, 2000, 4000, 5000]


def test_a_timeout_is_an_attempt_that_failed() -> None:
    """A timeout is a failed attempt with a type and a fingerprint of its own and without a traceback."""
    outcome = decide(TimedOut(1.5), FIRST)
    assert isinstance(outcome, RetryAt)
    assert outcome.error.type == "timeout"
    assert outcome.error.fingerprint == "timeout"
    assert "1.5 s" in outcome.error.message
    last = decide(TimedOut(1.5), LAST)
    assert isinstance(last, Dead)
    assert last.reason == "attempts"


@pytest.mark.parametrize("policy", [FIRST, LAST])
def test_an_unreadable_payload_buries_the_job_at_once(policy: AttemptPolicy) -> None:
    """A payload that cannot be read buries the job at once, because no other attempt would read it."""
    outcome = decide(Unreadable(msgspec.ValidationError("Expected `int` - at `$.n`")), policy)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "invalid_payload"
    assert "$.n" in outcome.error.message


@pytest.mark.parametrize("policy", [FIRST, LAST, BEYOND])
def test_an_unreadable_payload_that_another_release_may_read_waits_at_no_cost(policy: AttemptPolicy) -> None:
    """A payload that another release may read sends the job back without an attempt, because no handler ran."""
    assert decide(Unreadable(ValueError("old"), 1.5), policy) == Snoozed(1500)


@pytest.mark.parametrize("policy", [FIRST, LAST, BEYOND])
@pytest.mark.parametrize(
    ("why", "outcome"),
    [
        (Interruption.CANCELLED, Cancelled("cancelled")),
        (Interruption.DRAINING, HandedBack()),
        (Interruption.LEASE_LOST, None),
    ],
)
def test_an_interruption_costs_no_attempt(why: Interruption, outcome: Any, policy: AttemptPolicy) -> None:
    """An interruption costs no attempt, not even the last one; a lost delivery gets no outcome at all."""
    assert decide(Interrupted(why), policy) == outcome


def test_every_interruption_has_an_outcome() -> None:
    """Every reason to interrupt a handler has an outcome."""
    for why in Interruption:
        decide(Interrupted(why), FIRST)


@pytest.mark.parametrize("policy", [FIRST, LAST, BEYOND])
def test_a_snooze_costs_no_attempt(policy: AttemptPolicy) -> None:
    """A snooze costs no attempt, also when a handler asks for it at the last one."""
    assert decide(Raised(Snooze(30)), policy) == Snoozed(30_000)


@pytest.mark.parametrize("gate", ["type", "key"])
def test_a_snooze_says_what_it_holds_back(gate: SnoozeGate) -> None:
    """What a handler holds back is kept, raised or decided upon, also by a handler in a process of its own."""
    error, retry = Snooze(30, gate=gate), Retry(decide=lambda _, __: Snooze(30, gate=gate))
    assert decide(Raised(error), FIRST) == Snoozed(30_000, gate)
    assert decide(Raised(ConnectionError()), FIRST, retry=retry) == Snoozed(30_000, gate)
    report = msgspec.msgpack.encode(report_raise(1, error, 1, None))
    with pytest.raises(Snooze) as raised:
        result_of(msgspec.msgpack.decode(report, type=EndReport))
    assert decide(Raised(raised.value), FIRST) == Snoozed(30_000, gate)


def test_a_snooze_of_a_subclass_holds_back_what_can_be_read() -> None:
    """A subclass without a call to its base holds nothing back, and one with an odd gate neither."""

    class Bare(Snooze):
        def __init__(self) -> None:
            self.delay_s = 5.0

    class Odd(Bare):
        @property
        def gate(self) -> Any:
            raise OSError("no")

    assert decide(Raised(Bare()), FIRST) == decide(Raised(Odd()), FIRST) == Snoozed(5_000)
    with pytest.raises(ValueError, match="`gate` is"):
        Snooze(5, gate="queue")  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", [FIRST, LAST])
def test_a_discard_ends_the_job_without_a_dead_letter(policy: AttemptPolicy) -> None:
    """A discard ends the job without a dead letter, and the handler's reason is kept."""
    assert decide(Raised(Discard("no longer wanted")), policy) == Cancelled("discarded: no longer wanted")


@pytest.mark.parametrize("policy", [FIRST, LAST])
def test_a_wish_to_die_buries_the_job_with_the_reason_of_the_handler(policy: AttemptPolicy) -> None:
    """`Dead` buries the job with the handler's reason, however many attempts are left."""
    outcome = decide(Raised(DeadRequest("no such account")), policy)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "no such account"


def test_retry_after_takes_the_delay_of_the_handler_and_costs_an_attempt() -> None:
    """`RetryAfter` is a failed attempt whose retry comes after the handler's delay instead of the backoff."""
    outcome = decide(Raised(Retry.after(0.25)), FIRST)
    assert isinstance(outcome, RetryAt)
    assert outcome.after_ms == 250
    last = decide(Raised(Retry.after(0.25)), LAST)
    assert isinstance(last, Dead)
    assert last.reason == "attempts"


def test_a_subclass_of_a_wish_is_that_wish() -> None:
    """A user's subclass of an outcome request has the effect of its base class."""

    class AccountClosed(DeadRequest):
        pass

    outcome = decide(Raised(AccountClosed("closed")), FIRST)
    assert isinstance(outcome, Dead)
    assert outcome.reason == "closed"


@pytest.mark.parametrize("delay_s", [-5.0, 0.0, math.nan, 1e300, math.inf, -math.inf])
@pytest.mark.parametrize("make", [Snooze, Retry.after])
def test_an_absurd_delay_is_bounded(make: Callable[[float], Exception], delay_s: float) -> None:
    """A handler's delay is bounded to between now and ten years, and no number raises an error in the worker."""
    outcome = decide(Raised(make(delay_s)), FIRST)
    assert isinstance(outcome, Snoozed | RetryAt)
    assert 0 <= outcome.after_ms <= limits.MAX_DELAY_S * 1000


@pytest.mark.parametrize("reason", ["\ud800", ValueError("an object"), None, 7, "a\0b"])
@pytest.mark.parametrize("make", [DeadRequest, Discard])
def test_an_odd_reason_is_stored_as_text(make: Callable[[Any], Exception], reason: Any) -> None:
    """A reason of any type, as in `raise Dead(error)`, is stored as text that Redis and PostgreSQL accept."""
    outcome = decide(Raised(make(reason)), FIRST)
    assert isinstance(outcome, Dead | Cancelled)
    assert isinstance(outcome.reason, str)
    assert "\0" not in outcome.reason
    outcome.reason.encode()


@pytest.mark.parametrize("make", [DeadRequest, Discard])
def test_an_endless_reason_is_cut(make: Callable[[Any], Exception]) -> None:
    """A very long reason is cut, because every list of dead letters and an event carry it."""
    outcome = decide(Raised(make("x" * 10_000_000)), FIRST)
    assert isinstance(outcome, Dead | Cancelled)
    assert len(outcome.reason) <= limits.MAX_ERROR_CHARS + 20


def test_an_error_that_cannot_be_put_into_words_is_still_a_failed_attempt() -> None:
    """An error whose `__str__` raises is still a failed attempt."""
    outcome = decide(Raised(UnspeakableError()), FIRST)
    assert isinstance(outcome, RetryAt)
    assert outcome.error.type.endswith("UnspeakableError")


@given(st.integers(0, 50), st.none() | st.integers(1, 50), st.integers(1, 50))
def test_a_job_is_tried_exactly_as_often_as_it_may_be(earlier: int, asked: int | None, of_type: int) -> None:
    """Another attempt follows if and only if the number of attempts is below `max_attempts`."""
    spec = JobSpec(payload=msgspec.Raw(b"\xc0"), created_at_ms=0, max_attempts=asked)
    policy = AttemptPolicy.of(spec, TypePolicy(max_attempts=of_type), earlier)
    outcome = decide(Raised(ValueError()), policy)
    assert isinstance(outcome, RetryAt) == (earlier + 1 < (asked or of_type))


def test_the_submission_has_its_way_over_the_policy() -> None:
    """A field of the submission wins over the policy of the type, and a field that it lacks follows the type."""
    policy = TypePolicy(max_attempts=5, timeout_s=60.0, backoff=Backoff(base_s=1.0))
    bare = JobSpec(payload=msgspec.Raw(b"\xc0"), created_at_ms=0)
    assert AttemptPolicy.of(bare, policy, 2) == AttemptPolicy(3, 5, Backoff(base_s=1.0), 60.0)
    picky = msgspec.structs.replace(bare, max_attempts=1, timeout_s=0.5, backoff=STEADY)
    assert AttemptPolicy.of(picky, policy, 0) == AttemptPolicy(1, 1, STEADY, 0.5)
    assert AttemptPolicy.of(bare, TypePolicy(), 0).timeout_s is None
