"""A bucket lets requests through without a wait, and never more than a lease above what Redis has granted."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from millstream_ingest.limiting.bucket import BUSY_WITHIN_S, Bucket, Rate
from millstream_ingest.limiting.rate_fields import limit_items, policy_item
from millstream_streams import TokenGrant, TokenRequest

RATE = Rate(100.0, burst=200)


def bucket(rate: Rate = RATE) -> Bucket:
    """Return a bucket that was never used."""
    return Bucket("key/a/submissions", "submissions", rate, lambda _: None)


class Store:
    """Grants tokens as scripts/access/take_tokens.lua does."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.spent_s = 0.0

    def grant(self, asked: TokenRequest, now: float) -> TokenGrant:
        """Return what is granted at a time."""
        token_s, whole_s = 1 / self.rate.per_s, self.rate.burst / self.rate.per_s
        spent = max(self.spent_s, now) + asked.owed * token_s
        free = math.floor((now + whole_s - spent) * self.rate.per_s + 1e-6)
        taken = max(0, min(free, asked.most)) if free >= asked.fewest else 0
        self.spent_s = spent + taken * token_s
        wait_s = 0.0 if taken or not asked.fewest else self.spent_s + asked.fewest * token_s - now - whole_s
        return TokenGrant(taken, max(0, free - taken), max(0.0, wait_s))


def test_first_requests_are_let_through_on_credit_and_no_further_than_a_lease() -> None:
    """A bucket of which nothing is known lets a lease of requests through, and has the next wait for Redis."""
    one = bucket()
    assert [one.take(1.0) for _ in range(RATE.lease)] == [True] * RATE.lease
    assert one.take(1.0) is None


def test_bucket_that_is_asked_rarely_holds_no_tokens() -> None:
    """What was let through on credit is paid, and nothing is leased ahead, unless it is asked again soon."""
    one, store = bucket(), Store(RATE)
    for now in (10.0, 11.0 + BUSY_WITHIN_S):
        assert one.take(now)
        asked = one.request(now)
        assert (asked.owed, asked.most) == (1, 0)
        one.granted(store.grant(asked, now), now)
        assert one.tokens == one.owed == 0
    assert one.take(now)
    assert one.request(now).most == RATE.lease


def test_spent_limit_refuses_without_asking_until_a_token_is_back() -> None:
    """Once Redis has nothing left, requests are refused here until it says that there is something."""
    one = bucket()
    one.granted(TokenGrant(0, 0, 0.5), 1.0)
    assert one.take(1.4) is False
    assert one.wait_s(1.4) == 1
    assert one.take(1.6) is None


def test_change_of_the_rate_gives_no_fresh_lease() -> None:
    """Two keys of one line with different limits get no more than one of them, however often they take turns."""
    one, other, passed = bucket(), Rate(150.0, burst=300), 0
    for turn in range(100):
        one.change(RATE if turn % 2 else other)
        passed += bool(one.take(1.0))
    assert passed <= other.lease


def test_without_redis_an_ingest_limits_by_itself() -> None:
    """Where Redis cannot be asked, requests pass at the rate of the limit, as if this ingest were the only one."""
    one, passed, now = bucket(), 0, 100.0
    steps = 400
    for step in range(steps):
        now = 100.0 + step / 100
        for _ in range(3):
            result = one.take(now)
            if result is None:
                one.request(now)
                one.fall_back(now)
                result = one.take(now)
            passed += bool(result)
    allowed = RATE.per_s * steps / 100
    assert allowed - RATE.lease <= passed <= allowed + 2 * RATE.lease


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0.0, 0.05), st.booleans()), min_size=1, max_size=300),
    st.sampled_from([RATE, Rate(5.0, 1), Rate(0.5, 3), Rate(1000.0, 50)]),
)
def test_sum_over_ingests_is_off_by_a_lease_each_at_most(steps: list[tuple[int, float, bool]], rate: Rate) -> None:
    """Whichever of three ingests is asked, and whenever each gets its answer, the limit holds within their leases."""
    store, ingests, now = Store(rate), [bucket(rate) for _ in range(3)], 50.0
    passed: list[float] = []
    for which, pause_s, answers in steps:
        now += pause_s
        one = ingests[which]
        result = one.take(now)
        if result is None or answers:
            one.waiting = int(result is None)
            one.granted(store.grant(one.request(now), now), now)
            one.waiting = 0
        if result is None:
            result = one.take(now)
        passed += [now] if result else []
    for at, begun in enumerate(passed):
        most = rate.burst + rate.per_s * (passed[-1] - begun) + len(ingests) * rate.lease
        assert len(passed) - at <= most + 1e-6


def test_fields_are_structured_fields() -> None:
    """A policy is what a limit holds and how long it takes to fill; a limit says what is left, and never more."""
    assert policy_item("submissions", RATE) == '"submissions";q=200;w=2'
    assert policy_item("requests", Rate(0.4, 1)) == '"requests";q=1;w=3'
    one, store = bucket(), Store(RATE)
    seen = []
    for now in (10.0, 10.0, 10.01):
        assert one.take(now)
        one.granted(store.grant(one.request(now), now), now)
        seen.append(limit_items([one], now))
    assert seen[0] == b'"submissions";r=199;t=1'
    left = [int(text.split(b"=")[1].split(b";")[0]) for text in seen]
    assert all(later <= earlier for earlier, later in pairwise(left))
    one.granted(TokenGrant(0, 0, 7.2), 20.0)
    one.tokens = 0
    assert limit_items([one], 20.0) == b'"submissions";r=0;t=8'
