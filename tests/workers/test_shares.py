"""A claim is split between the priorities high, normal and low."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millstream_workers.fetching.shares import STRICT, share_out

weights_of_three = st.tuples(*[st.integers(0, 1000)] * 3).filter(any)


@given(st.integers(0, 200), weights_of_three, st.integers())
def test_shares_sum_to_the_limit(limit: int, weights: tuple[int, int, int], seed: int) -> None:
    """The shares sum to the limit of the claim, and none is negative."""
    random.seed(seed)
    shares = share_out(limit, weights)
    assert sum(shares) == limit
    assert min(shares) >= 0


@given(st.integers(0, 200), weights_of_three, st.integers())
def test_each_priority_gets_its_whole_part(limit: int, weights: tuple[int, int, int], seed: int) -> None:
    """Each priority gets the whole part of its share, at most two jobs more by chance, and none at weight 0."""
    random.seed(seed)
    shares = share_out(limit, weights)
    for share, weight in zip(shares, weights, strict=True):
        whole = limit * weight // sum(weights)
        assert whole <= share <= whole + 2
        assert weight or not share


def test_shares_that_divide_evenly_are_exact() -> None:
    """Shares that divide evenly are exact."""
    assert share_out(100, (70, 20, 10)) == (70, 20, 10)
    assert share_out(10, (70, 20, 10)) == (7, 2, 1)


def test_claims_of_one_job_serve_low_by_its_weight() -> None:
    """Over many claims of one job each priority gets its share, so that a single slot does not starve `low`."""
    random.seed(20260101)
    drawn = [share_out(1, (70, 20, 10)) for _ in range(10_000)]
    high, normal, low = (sum(column) for column in zip(*drawn, strict=True))
    assert high + normal + low == 10_000
    # Five standard deviations around 7,000, 2,000 and 1,000; the seed is fixed.
    assert abs(high - 7000) < 230
    assert abs(normal - 2000) < 200
    assert abs(low - 1000) < 150


@pytest.mark.parametrize("limit", [0, 1, 100])
def test_strict_order_reserves_nothing(limit: int) -> None:
    """Strict order reserves no share, and the claim fills up from high to low."""
    assert share_out(limit, None) == STRICT == (0, 0, 0)
