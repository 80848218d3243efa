"""The header fields `RateLimit-Policy` and `RateLimit`, as draft-ietf-httpapi-ratelimit-headers-11 has them.

Both are lists of structured fields (RFC 9651). A policy is what a limit holds, and the seconds in which it fills again.
"""

import math
from collections.abc import Sequence

from millstream_ingest.limiting.bucket import Bucket, Rate

POLICY = b"ratelimit-policy"
LIMIT = b"ratelimit"


def policy_item(name: str, rate: Rate) -> str:
    """Return the item of a limit in `RateLimit-Policy`."""
    return f'"{name}";q={rate.burst};w={max(1, math.ceil(rate.burst / rate.per_s))}'


def limit_items(buckets: Sequence[Bucket], now: float) -> bytes:
    """Return the value of `RateLimit`: about how much is left of each limit, and for how long that has to last."""
    # Most have one limit, and a join costs as much as the item.
    items = [b'"%b";r=%d;t=%d' % (one.policy_bytes, one.left(now), one.wait_s(now)) for one in buckets]
    return items[0] if len(items) == 1 else b", ".join(items)
