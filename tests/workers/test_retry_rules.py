"""A `Retry` decides by the exception of a handler, and names the delays before its next attempts."""

import asyncio
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from workers.floor import Floor
from workers.plant import python_path
from workers.raisers import app

from millstream import Dead as DeadRequest
from millstream import Discard, Retry, RetryAfter, Snooze
from millstream.steering import Steering
from millstream_contracts import Backoff, Cancelled, Dead, JobSpec, JobState, RetryAt, Snoozed, TypePolicy
from millstream_workers.attempt.attempt_result import Raised
from millstream_workers.errors import ProcessDiedError
from millstream_workers.running.decision import AttemptPolicy, decide

FIRST = AttemptPolicy(attempt=1, max_attempts=3, backoff=Backoff(jitter=False), timeout_s=None)


class NoStockError(LookupError):
    """An exception of a user."""


def never(error: Exception, attempt: int) -> Steering | None:
    """Fail the test."""
    raise AssertionError(f"asked about {error}")


RULES = Retry(
    dead_on=(ValueError,), discard_on=(LookupError,), decide=lambda error, attempt: Snooze(7) if attempt > 1 else None
)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("no"), Dead),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "no"), Dead),
        (ExceptionGroup("one", [ValueError("no")]), Dead),
        (ExceptionGroup("two", [ValueError("no"), KeyError()]), Snoozed),
        (NoStockError("no"), Cancelled),
        (OSError("no"), Snoozed),
        (KeyboardInterrupt(), RetryAt),
        (asyncio.CancelledError(), RetryAt),
        (ProcessDiedError("by SIGKILL"), RetryAt),
        (DeadRequest("asked for"), Dead),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_a_retry_decides_by_the_exception(error: BaseException, outcome: type) -> None:
    """`dead_on` buries, `discard_on` discards, `decide` is asked about the rest, and requests are not asked about."""
    second = AttemptPolicy(2, 9, Backoff(), None)
    assert type(decide(Raised(error), second, retry=RULES)) is outcome


def test_a_retry_says_why_a_job_ended() -> None:
    """A job that a rule has ended has the rule and the exception as its reason, and a dead one also its error."""
    dead = decide(Raised(ValueError("no")), FIRST, retry=RULES)
    assert isinstance(dead, Dead)
    assert (dead.reason, dead.error.type, dead.error.message) == ("dead_on ValueError", "ValueError", "no")
    gone = decide(Raised(NoStockError("tea")), FIRST, retry=RULES)
    assert isinstance(gone, Cancelled)
    assert gone.reason.startswith("discarded: discard_on ")
    assert gone.reason.endswith("NoStockError: tea")


def test_rules_of_classes_are_looked_at_before_the_function() -> None:
    """`decide` is asked neither about exceptions that a rule names nor about outcome requests."""
    rules = Retry(dead_on=(ValueError,), discard_on=(LookupError,), decide=never)
    for error in (ValueError(), KeyError(), Snooze(1), Discard("no"), SystemExit(1)):
        outcome = decide(Raised(error), FIRST, retry=rules)
        assert not isinstance(outcome, RetryAt) or "asked about" not in outcome.error.message


@pytest.mark.parametrize(
    ("decided", "outcome"),
    [
        (None, RetryAt),
        (Snooze(3), Snoozed(3000)),
        (Discard("no longer wanted"), Cancelled("discarded: no longer wanted")),
        (DeadRequest("hopeless"), Dead),
    ],
)
def test_the_function_of_a_retry_decides_as_a_handler_does(decided: Any, outcome: Any) -> None:
    """An outcome request that `decide` returns is treated as if the handler had raised it."""
    found = decide(Raised(OSError("no")), FIRST, retry=Retry(decide=lambda *_: decided))
    assert type(found) is outcome if isinstance(outcome, type) else found == outcome


def test_the_function_of_a_retry_gets_the_exception_and_the_attempt() -> None:
    """`decide` gets the handler's exception, out of its group of one, and the number of its attempt."""
    seen: list[Any] = []
    error = OSError("busy")
    policy = AttemptPolicy(3, 9, Backoff(), None)
    retry = Retry(decide=lambda *given: seen.append(given) or Retry.after(timedelta(seconds=5)))
    outcome = decide(Raised(ExceptionGroup("one", [error])), policy, retry=retry)
    assert seen == [(error, 3)]
    assert isinstance(outcome, RetryAt)
    assert (outcome.after_ms, outcome.error.type, outcome.error.message) == (5000, "OSError", "busy")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda *_: "soon", "`decide` returned a str, which is no outcome request"),
        (lambda *_: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda *_: sys.exit(3), "SystemExit: 3"),
        (lambda: None, "TypeError"),
    ],
)
def test_a_function_that_cannot_decide_leaves_a_failed_attempt(function: Any, why: str) -> None:
    """A `decide` that raises, or returns something else, leaves a failed attempt whose error says both."""
    outcome = decide(Raised(OSError("busy")), FIRST, retry=Retry(decide=function))
    assert isinstance(outcome, RetryAt)
    assert outcome.error.type == "OSError"
    assert outcome.error.message.startswith("busy (its `Retry` cannot decide about it: ")
    assert why in outcome.error.message


@pytest.mark.parametrize(("attempt", "after_ms"), [(1, 1000), (2, 10_000), (3, 60_000), (4, 60_000), (9, 60_000)])
def test_delays_of_a_ladder_follow_one_another(attempt: int, after_ms: int) -> None:
    """A failed attempt waits for the delay of its number, and the last delay repeats."""
    ladder = TypePolicy(max_attempts=50, delays_s=(1, 10, 60), backoff=Backoff(jitter=False))
    policy = AttemptPolicy.of(JobSpec(payload=msgspec.Raw(b"\xc0"), created_at_ms=0), ladder, attempt - 1)
    outcome = decide(Raised(ValueError()), policy)
    assert isinstance(outcome, RetryAt)
    assert outcome.after_ms == after_ms


def test_a_ladder_has_jitter_when_it_is_asked_for() -> None:
    """With jitter a delay of a ladder is drawn between zero and itself."""
    policy = AttemptPolicy(1, 9, Backoff(jitter=True), None, (10.0,))
    drawn = {policy.delay_s() for _ in range(20)}
    assert len(drawn) > 1
    assert all(0 <= delay_s <= 10 for delay_s in drawn)


def test_a_backoff_of_the_submission_goes_before_a_ladder() -> None:
    """A submission that asks for a backoff gets it, although its type has a ladder."""
    ladder = TypePolicy(delays_s=(60,), backoff=Backoff(jitter=False))
    spec = JobSpec(payload=msgspec.Raw(b"\xc0"), created_at_ms=0, backoff=Backoff(base_s=2, jitter=False))
    assert AttemptPolicy.of(spec, ladder, 0).delay_s() == 2


class Declined(DeadRequest):
    """A request with data of its own, and the text of its base."""

    def __init__(self, code: int) -> None:
        super().__init__(f"declined with {code}")
        self.code = code


class Silent(Discard):
    """A request that does not call its base."""

    def __init__(self, code: int) -> None:
        self.code = code


@dataclass
class Listed(DeadRequest):
    """A request as a dataclass, with a default for the reason."""

    code: int
    reason: str = "listed"


class Later(RetryAfter):
    """A request that reads its delay from what was answered."""

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(timedelta(seconds=int(headers["retry-after"])))
        self.headers = headers


class Tomorrow(Snooze):
    """A request whose delay is a property."""

    def __init__(self) -> None:
        """Know no delay yet."""

    @property
    def delay_s(self) -> float:  # type: ignore[override]
        """Say when."""
        return 86_400.0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Declined(5), "declined with 5"),
        (Silent(7), "discarded: 7"),
        (Listed(5), "listed"),
        (Later({"retry-after": "30"}), 30_000),
        (Tomorrow(), 86_400_000),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("way", ["raised", "decided"])
def test_a_request_with_data_of_its_own_is_that_request(error: Steering, outcome: Any, way: str) -> None:
    """A subclass of a request may have data, a constructor or properties of its own, raised or returned by `decide`."""
    rules = Retry(decide=lambda *_: error)
    found = decide(Raised(error if way == "raised" else OSError()), FIRST, retry=rules)
    assert getattr(found, "reason", None) == outcome or getattr(found, "after_ms", None) == outcome


@pytest.fixture
async def raisers(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> Floor:
    """Return a floor with a worker for handlers that raise whatever is asked for."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    await floor.hire(app, apps=("workers.raisers:app",))
    return floor


@pytest.mark.parametrize("kind", ["loop", "process"])
@pytest.mark.parametrize(
    ("name", "state", "reason", "attempts"),
    [
        ("value", JobState.DEAD, "dead_on ValueError", 1),
        ("group", JobState.DEAD, "dead_on ValueError", 1),
        ("key", JobState.CANCELLED, "discarded: discard_on KeyError: 'oslo'", 0),
        ("busy", JobState.DEAD, "attempts", 3),
        ("declined", JobState.DEAD, "declined with 5", 1),
        ("type", JobState.DEAD, "attempts", 3),
        ("os", JobState.DEAD, "attempts", 3),
    ],
)
async def test_rules_hold_where_a_handler_runs(
    raisers: Floor, kind: str, name: str, state: JobState, reason: str, attempts: int
) -> None:
    """The rules of a `Retry` hold for a handler on the loop and for one in a process, with the exception itself."""
    job = await raisers.run(kind, name, backoff=None)
    assert (job.state, job.reason, job.attempts) == (state, reason, attempts)
    if name == "busy":
        assert job.deliveries == 4  # one was snoozed
    if name == "type":
        assert job.error is not None
        assert "undecidable (its `Retry` cannot decide about it: LookupError: undecided)" in job.error.message
