"""Lets requests in as often as their limits allow, over all ingest processes (ADR 118).

A limit is shared by all keys in a line of successors, and by the sessions that were opened with them; that of a tenant
by all of its keys.
"""

import math
import time
from collections.abc import Callable, Iterable

import anyio

from millstream_contracts import RequestLimits, Tenant
from millstream_ingest.access.principal import Principal
from millstream_ingest.http.errors import IngestError
from millstream_ingest.http.problems import QUOTA_EXCEEDED, TOO_LARGE
from millstream_ingest.limiting.bucket import Bucket, Rate
from millstream_ingest.limiting.rate_fields import LIMIT, POLICY, limit_items, policy_item
from millstream_streams import RateTokens, StoreError, TokenRequest
from millstream_telemetry import IngestMetrics

SWEEP_EVERY_S = 10.0
FORGET_AFTER_S = 60.0
"""How long a limit is held that no request has asked for."""
ASKED_AT_ONCE = 500
"""How many limits one call is about: Redis runs nothing else meanwhile."""

SUBMISSIONS = "submissions"
REQUESTS = "requests"
NO_LIMITS = RequestLimits()


class Limited:
    """The limits of one principal for one kind of request."""

    __slots__ = ("buckets", "of_tenant", "own", "policies")

    def __init__(self, own: RequestLimits | None, of_tenant: RequestLimits | None, buckets: tuple[Bucket, ...]) -> None:
        self.own, self.of_tenant = own, of_tenant
        self.buckets = buckets
        self.policies = ", ".join(policy_item(one.policy, one.rate) for one in buckets).encode()

    def fields(self) -> list[tuple[bytes, bytes]]:
        """Return what answers say of the limits."""
        return [(POLICY, self.policies), (LIMIT, limit_items(self.buckets, time.monotonic()))]


class Door:
    """The limits of one ingest process."""

    def __init__(
        self,
        rate_tokens: RateTokens,
        metrics: IngestMetrics,
        default: RequestLimits,
        of_tenant: Callable[[Tenant], RequestLimits | None] = lambda _: None,
    ) -> None:
        """Take the limits of keys that have none of their own, and what tells those of a tenant."""
        self._rate_tokens = rate_tokens
        self._of_tenant = of_tenant
        self._metrics = metrics
        self._default = default
        self._is_open = default == NO_LIMITS
        """Whether a key without limits of its own has none."""
        self._held: dict[str, dict[str, Limited]] = {SUBMISSIONS: {}, REQUESTS: {}}
        self._of_tenants: dict[str, Bucket] = {}
        """The limits of tenants, by their names in Redis."""
        self._asking: set[Bucket] = set()
        self._is_asked = anyio.Event()

    def limits_of(self, principal: Principal, kind: str) -> Limited | None:
        """Return the limits of a principal for submissions or other requests; None where it has none."""
        own, of_tenant = principal.limits, self._of_tenant(principal.tenant)
        if (own is None and of_tenant is None and self._is_open) or not principal.owner:
            return None
        held = self._held[kind].get(principal.owner)
        if held is None or not (_is_same(held.own, own) and _is_same(held.of_tenant, of_tenant)):
            held = self._hold(principal, kind, of_tenant, held)
        return held if held.buckets else None

    async def take(self, limited: Limited) -> None:
        """Take a token of each limit. Raises: IngestError (429)."""
        for at, bucket in enumerate(limited.buckets):
            passed = bucket.take(time.monotonic())
            while passed is None:
                passed = await self._answered(bucket)
            if not passed:
                for earlier in limited.buckets[:at]:
                    earlier.give_back(1)
                raise self._refusal(bucket, bucket.wait_s(time.monotonic()))

    async def take_jobs(self, principal: Principal, jobs: int, counted: int) -> None:
        """Take the tokens of a request with many jobs, of which some were taken before its body was read.

        Raises: IngestError (413, 429), StoreError.
        """
        limited, more = self.limits_of(principal, SUBMISSIONS), jobs - counted
        if limited is None or more <= 0:
            return
        for bucket in limited.buckets:
            if jobs > bucket.rate.burst:
                most = f"the limit `{bucket.policy}` lets {bucket.rate.burst} in at once"
                raise IngestError(TOO_LARGE, f"the request has {jobs} jobs, and {most}")
        for at, bucket in enumerate(limited.buckets):
            held = bucket.hold(more)
            wait_s = await self._take_of_redis(bucket, more - held) if held < more else 0.0
            if wait_s > 0:
                bucket.give_back(held)
                for earlier in limited.buckets[:at]:
                    earlier.give_back(more)
                raise self._refusal(bucket, max(1, math.ceil(wait_s)))

    async def run(self) -> None:
        """Ask Redis for tokens, for all limits that need some at once, until cancelled."""
        swept_at = time.monotonic()
        while True:
            with anyio.move_on_after(SWEEP_EVERY_S):
                await self._is_asked.wait()
            self._is_asked = anyio.Event()
            asking, self._asking = list(self._asking), set()
            for start in range(0, len(asking), ASKED_AT_ONCE):
                await self._ask(asking[start : start + ASKED_AT_ONCE])
            if time.monotonic() - swept_at > SWEEP_EVERY_S:
                swept_at = time.monotonic()
                self._sweep(swept_at)

    async def _ask(self, buckets: list[Bucket]) -> None:
        now = time.monotonic()
        requests = [bucket.request(now) for bucket in buckets]
        try:
            grants = await self._rate_tokens.take_tokens(requests)
        except StoreError:
            # The check of readiness tells why.
            self._metrics.count_tokens_missed(len(buckets))
            for bucket in buckets:
                bucket.fall_back(time.monotonic())
            return
        for bucket, grant in zip(buckets, grants, strict=True):
            bucket.granted(grant, time.monotonic())

    async def _answered(self, bucket: Bucket) -> bool | None:
        """Wait for the next answer of Redis, and take a token then."""
        answer = bucket.answer = bucket.answer or anyio.Event()
        bucket.waiting += 1
        self._want(bucket)
        try:
            await answer.wait()
        finally:
            bucket.waiting -= 1
        return bucket.take(time.monotonic())

    async def _take_of_redis(self, bucket: Bucket, tokens: int) -> float:
        """Take tokens for one request. Returns: the seconds until they are there; 0 where they were taken."""
        asked = TokenRequest(
            name=bucket.name, rate_per_s=bucket.rate.per_s, burst=bucket.rate.burst, fewest=tokens, most=tokens
        )
        [grant] = await self._rate_tokens.take_tokens([asked])
        return grant.wait_s

    def _want(self, bucket: Bucket) -> None:
        self._asking.add(bucket)
        self._is_asked.set()

    def _hold(self, principal: Principal, kind: str, of_tenant: RequestLimits | None, held: Limited | None) -> Limited:
        """Hold the limits of a principal; those that were held go on."""
        earlier = {one.name: one for one in held.buckets} if held else {}
        buckets = []
        if rate := _rate(kind, principal.limits, self._default):
            name = f"key/{principal.owner}/{kind}"
            bucket = earlier.get(name) or Bucket(name, kind, rate, self._want)
            bucket.change(rate)
            buckets.append(bucket)
        if rate := _rate(kind, of_tenant, NO_LIMITS):
            name = f"tenant/{principal.tenant}/{kind}"
            bucket = self._of_tenants.get(name) or Bucket(name, f"tenant-{kind}", rate, self._want)
            self._of_tenants[name] = bucket
            bucket.change(rate)
            buckets.append(bucket)
        limited = self._held[kind][principal.owner] = Limited(principal.limits, of_tenant, tuple(buckets))
        return limited

    def _sweep(self, now: float) -> None:
        """Forget limits that are not in use. What is left of their leases is lost, as with a crash."""
        for kind, held in self._held.items():
            self._held[kind] = {
                owner: one for owner, one in held.items() if not _are_idle(one.buckets, now, FORGET_AFTER_S)
            }
        self._of_tenants = {name: one for name, one in self._of_tenants.items() if not one.is_idle(now, FORGET_AFTER_S)}

    def _refusal(self, bucket: Bucket, wait_s: int) -> IngestError:
        self._metrics.count_limited(bucket.policy)
        rate = bucket.rate
        detail = f"the limit `{bucket.policy}` lets {rate.per_s:g} a second in, and {rate.burst} at once"
        return IngestError(QUOTA_EXCEEDED, detail, retry_after_s=wait_s, violated=[bucket.policy])


def _rate(kind: str, own: RequestLimits | None, default: RequestLimits) -> Rate | None:
    """Return the limit that holds, that of the principal before that of the settings; None where there is none."""
    own = own or NO_LIMITS
    if kind == REQUESTS:
        per_s = own.requests_per_s or default.requests_per_s
        return None if per_s is None else Rate(per_s, burst=max(1, math.ceil(per_s)))
    source = own if own.submissions_per_s else default
    per_s = source.submissions_per_s
    return None if per_s is None else Rate(per_s, burst=source.burst or max(1, math.ceil(per_s)))


def _is_same(held: RequestLimits | None, limits: RequestLimits | None) -> bool:
    # Most are the same object: keys are read anew only when one has changed.
    return held is limits or held == limits


def _are_idle(buckets: Iterable[Bucket], now: float, since_s: float) -> bool:
    return all(bucket.is_idle(now, since_s) for bucket in buckets)
