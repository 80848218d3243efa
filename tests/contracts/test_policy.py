"""Backoffs and policies have bounds."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_contracts import Backoff, BackoffOptions, TypePolicy, limits

seconds = st.floats(min_value=0.0, max_value=limits.MAX_DELAY_S)
backoffs = st.builds(
    Backoff, st.sampled_from(["exponential", "linear", "constant"]), seconds, seconds, jitter=st.booleans()
)
failures = st.one_of(st.integers(1, 50), st.integers(1, limits.MAX_ATTEMPTS), st.integers(1, 2**63))


@given(backoffs, failures)
def test_delay_is_never_more_than_the_cap(backoff: Backoff, count: int) -> None:
    """A delay is finite, at least zero and at most the cap, after any number of failures."""
    delay = backoff.delay_s(count)
    assert 0.0 <= delay <= backoff.bound_s(count) <= backoff.cap_s
    assert math.isfinite(delay)


@given(backoffs, failures, st.integers(0, 100))
def test_bound_never_shrinks(backoff: Backoff, count: int, more: int) -> None:
    """A further failure never shortens the bound of the delay."""
    assert backoff.bound_s(count) <= backoff.bound_s(count + more)


@given(backoffs, failures)
def test_delay_is_the_bound_without_jitter(backoff: Backoff, count: int) -> None:
    """Without jitter the delay is its bound."""
    steady = msgspec.structs.replace(backoff, jitter=False)
    assert steady.delay_s(count) == steady.bound_s(count)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("exponential", [2.0, 4.0, 8.0, 16.0, 20.0]), ("linear", [2.0, 4.0, 6.0, 8.0, 10.0]), ("constant", [2.0] * 5)],
)
def test_bound_grows_by_its_kind(kind: str, wanted: list[float]) -> None:
    """The bound grows from the base by its kind, up to the cap."""
    backoff = Backoff(kind=kind, base_s=2.0, cap_s=20.0)
    assert [backoff.bound_s(count) for count in range(1, 6)] == wanted


def test_jitter_spreads_delays_over_the_whole_bound() -> None:
    """Jitter spreads the delays over the whole bound."""
    delays = [Backoff(base_s=100.0, kind="constant").delay_s(1) for _ in range(1000)]
    assert min(delays) < 25.0
    assert max(delays) > 75.0
    assert len(set(delays)) > 900


def test_a_stored_backoff_may_hold_more_than_this_release_knows() -> None:
    """A stored backoff with unknown fields is read, because two releases read each other's jobs."""
    newer = {"kind": "linear", "base_s": 2.0, "factor": 3.0}
    assert msgspec.convert(newer, Backoff) == Backoff(kind="linear", base_s=2.0)


def test_a_backoff_in_a_request_is_strict() -> None:
    """A backoff in a request with an unknown field is refused."""
    with pytest.raises(msgspec.ValidationError, match="factor"):
        msgspec.convert({"factor": 3.0}, BackoffOptions)


@pytest.mark.parametrize(
    "field",
    [
        {"max_attempts": 0},
        {"max_attempts": limits.MAX_ATTEMPTS + 1},
        {"max_attempts": 1.5},
        {"timeout_s": 0},
        {"timeout_s": -1},
        {"timeout_s": limits.MAX_TIMEOUT_S + 1},
        {"result_ttl_s": 0},
        {"result_ttl_s": limits.MIN_RESULT_TTL_S / 2},
        {"partitions": 0},
        {"keeps": "some"},
        {"partitions": limits.MAX_PARTITIONS + 1},
        {"backoff": {"kind": "quadratic"}},
        {"backoff": {"base_s": -1}},
        {"backoff": {"cap_s": limits.MAX_DELAY_S + 1}},
    ],
    ids=str,
)
def test_policy_refuses_what_is_out_of_bounds(field: dict) -> None:
    """A policy with a number out of its bounds is refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(field, TypePolicy)
