"""A `Retry` says how often and when a failed job runs again, and which exceptions decide at once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from millstream import App, Dead, Discard, HandlerError, Retry, Snooze
from millstream.steering import Steering
from millstream_contracts import Backoff, TypePolicy


def policy(retry: Retry) -> TypePolicy:
    """Return the policy of a handler with this retry."""
    return App("x").job("a", retry=retry)(lambda: None).policy


def test_delays_are_the_ladder_of_the_policy() -> None:
    """`delays` become the delays of the policy in seconds, with an attempt more than there are, and without jitter."""
    ladder = policy(Retry(delays=[1, timedelta(seconds=10), 60]))
    assert (ladder.delays_s, ladder.max_attempts, ladder.backoff.jitter) == ((1, 10, 60), 4, False)
    longer = policy(Retry(delays=[1], max_attempts=9, jitter=True))
    assert (longer.delays_s, longer.max_attempts, longer.backoff.jitter) == ((1,), 9, True)


def test_times_of_a_retry_may_be_timedeltas() -> None:
    """The base and the cap of a backoff are taken in seconds and as a timedelta, as are the delays of requests."""
    backoff = policy(Retry(base=timedelta(seconds=2), cap=timedelta(minutes=1))).backoff
    assert backoff == Backoff(base_s=2, cap_s=60)
    assert (Snooze(timedelta(minutes=1)).delay_s, Retry.after(timedelta(hours=1)).delay_s) == (60, 3600)
    assert str(Snooze(timedelta(minutes=1))) == "snooze for 60 s"


def test_a_retry_without_options_is_the_default_policy() -> None:
    """A `Retry` without options makes the policy of a handler without one."""
    assert policy(Retry()) == App("x").job("a")(lambda: None).policy
    assert (Retry().max_attempts, Retry().jitter) == (5, True)


async def decide_async(error: Exception, attempt: int) -> None:
    """Decide too late."""


WRONG: dict[str, tuple[Any, str]] = {
    "a number": (3, "`a`: `retry` is a Retry, such as Retry"),
    "a list": (Retry(dead_on=[ValueError]), r"`dead_on` is a tuple of exceptions, such as \(ValueError,\)"),  # type: ignore[arg-type]
    "a class": (Retry(discard_on=ValueError), "`discard_on` is a tuple of exceptions"),  # type: ignore[arg-type]
    "no exception": (Retry(dead_on=(int,)), "`dead_on` has int, which is no exception"),  # type: ignore[arg-type]
    "an exit": (Retry(dead_on=(KeyboardInterrupt,)), "`dead_on` has KeyboardInterrupt"),  # type: ignore[arg-type]
    "an object": (Retry(decide=1), "`decide` is a function"),  # type: ignore[arg-type]
    "a coroutine": (Retry(decide=decide_async), "`decide` is a function of an exception and an attempt, and not async"),  # type: ignore[arg-type]
    "no delays": (Retry(delays=[], max_attempts=2), "delays_s"),
    "a negative delay": (Retry(delays=[1, -1]), r"delays_s\[1\]"),
    "a delay in words": (Retry(delays=[1, "a minute"]), r"delays_s\[1\]"),  # type: ignore[list-item]
}


@pytest.mark.parametrize("name", WRONG)
def test_job_raises_when_its_retry_is_wrong(name: str) -> None:
    """A `Retry` that would fail only when an attempt has failed is refused when the handler is registered."""
    retry, message = WRONG[name]
    with pytest.raises(HandlerError, match=message):
        App("x").job("a", retry=retry)(lambda: None)


@pytest.mark.parametrize(
    "make",
    [lambda: Discard("no"), lambda: Dead("no"), lambda: Snooze(1), lambda: Retry.after(1)],
    ids=["discard", "dead", "snooze", "after"],
)
def test_requests_are_exceptions_of_one_kind(make: Callable[[], Exception]) -> None:
    """Every outcome request is a `Steering`, so that code around a handler can let all of them pass."""
    assert isinstance(make(), Steering)
