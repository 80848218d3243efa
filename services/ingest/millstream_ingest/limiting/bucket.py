"""One limit as an ingest holds it: tokens that were leased from Redis, and those that were let through on credit.

All methods take the time by the monotonic clock, in seconds.
"""

import math
from collections.abc import Callable

import anyio
from msgspec import Struct

from millstream_streams import TokenGrant, TokenRequest

LEASE_S = 0.1
"""How long a lease lasts at the full rate: how far the sum over all ingest processes may be off."""
BUSY_WITHIN_S = 1.0
"""A bucket that asks Redis again within this time takes a lease ahead."""

ABOUT_NOW_S = 1.0
"""For how long what Redis has said is left counts as it is."""


class Rate(Struct, frozen=True):
    """How often something may happen."""

    per_s: float
    burst: int
    """How often at once."""

    @property
    def lease(self) -> int:
        """Return how many tokens an ingest takes ahead at most."""
        return max(1, min(self.burst, round(self.per_s * LEASE_S)))


class Bucket:
    """One limit of one key or tenant, in one ingest.

    A request waits for Redis only where the limit is nearly spent. A busy bucket asks for the next lease before the
    present one is spent. One that is not busy, whose limit had a whole lease left when Redis was asked last, lets
    requests through on credit, up to a lease, and tells Redis at once. So what is let through is never more than a
    lease above what the limit allows, and an ingest that is asked rarely holds no tokens back from the others.
    """

    __slots__ = (
        "_answered_at",
        "_asked_at",
        "_in_flight",
        "_left",
        "_low",
        "_own_lease_at",
        "_token_s",
        "_wanted",
        "answer",
        "ask",
        "lease",
        "name",
        "owed",
        "policy",
        "policy_bytes",
        "rate",
        "refused_until",
        "tokens",
        "used_at",
        "waiting",
    )

    def __init__(self, name: str, policy: str, rate: Rate, ask: Callable[["Bucket"], None]) -> None:
        self.name = name
        """Name of the limit in Redis."""
        self.policy = policy
        """Name of the limit in `RateLimit-Policy`."""
        self.policy_bytes = policy.encode()
        self.ask = ask
        """Has Redis asked for tokens soon."""
        self.change(rate)
        self.tokens = 0
        self.owed = 0
        """What was let through on credit, and Redis has not confirmed."""
        self.refused_until = 0.0
        self.used_at = 0.0
        self.waiting = 0
        """How many requests wait for the next answer."""
        self.answer: anyio.Event | None = None
        """Is set by the next answer of Redis; None while no request waits."""
        self._left = rate.burst
        self._answered_at = self._asked_at = self._own_lease_at = -math.inf
        self._in_flight = self._wanted = 0

    def change(self, rate: Rate) -> None:
        """Go on with another rate. What was taken under the old one counts: a change is no way to a fresh lease."""
        self.rate = rate
        self.lease = rate.lease
        self._low = self.lease // 2
        self._token_s = max(1, math.ceil(1 / rate.per_s))

    def take(self, now: float) -> bool | None:
        """Take a token. Returns: whether there was one; None where Redis has to answer first."""
        self.used_at = now
        if self.tokens > 0:
            self.tokens -= 1
            if self.tokens < self._low:
                self.ask(self)
            return True
        if now < self.refused_until:
            return False
        if self.owed < self.lease <= self._left:
            self.owed += 1
            self.ask(self)
            return True
        return None

    def hold(self, most: int) -> int:
        """Take up to so many tokens of the lease, and return how many."""
        held = min(most, self.tokens)
        self.tokens -= held
        return held

    def give_back(self, tokens: int) -> None:
        """Put tokens back that were taken for a request that another limit refused."""
        self.tokens += tokens

    def request(self, now: float) -> TokenRequest:
        """Return what to ask Redis for."""
        is_busy = now - self._asked_at < BUSY_WITHIN_S
        ahead = max(0, self.lease - self.tokens) if is_busy else 0
        self._asked_at, self._in_flight, self._wanted = now, self.owed, self.waiting + ahead
        return TokenRequest(
            name=self.name,
            rate_per_s=self.rate.per_s,
            burst=self.rate.burst,
            owed=self.owed,
            fewest=min(1, self._wanted),
            most=self._wanted,
        )

    def granted(self, grant: TokenGrant, now: float) -> None:
        """Take what Redis has granted."""
        self.owed -= self._in_flight
        self.tokens += grant.taken
        self._left, self._answered_at = grant.left, now
        if grant.wait_s > 0:
            self.refused_until = now + grant.wait_s
        self._answer()

    def fall_back(self, now: float) -> None:
        """Take a lease without Redis, which cannot be asked, and no faster than this ingest alone may."""
        self.owed -= self._in_flight
        # Without credit: each failed question would renew it.
        self._left, self._answered_at = 0, now
        if now >= self._own_lease_at:
            self.tokens = max(self.tokens, self.lease)
            self._own_lease_at = now + self.lease / self.rate.per_s
        else:
            self.refused_until = self._own_lease_at
        self._answer()

    def left(self, now: float) -> int:
        """Return about how many tokens are left, here and in Redis."""
        in_redis, since_s = self._left, now - self._answered_at
        if since_s > ABOUT_NOW_S:
            in_redis += int(min(since_s, self.rate.burst / self.rate.per_s) * self.rate.per_s)
        return max(0, min(self.rate.burst, self.tokens + in_redis) - self.owed)

    def wait_s(self, now: float) -> int:
        """Return how many whole seconds it takes until there may be one more than there are; 1 or more."""
        return self._token_s if now >= self.refused_until else max(1, math.ceil(self.refused_until - now))

    def is_idle(self, now: float, since_s: float) -> bool:
        """Return whether nothing was asked of it for so long, and nothing would be forgotten with it but a lease."""
        return now - self.used_at > since_s and now >= self.refused_until and not self.owed and not self.waiting

    def _answer(self) -> None:
        self._in_flight = self._wanted = 0
        answer, self.answer = self.answer, None
        if answer is not None:
            answer.set()
