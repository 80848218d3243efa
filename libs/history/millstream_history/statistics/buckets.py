"""Durations in buckets of a quarter of an octave: any percentile is known to nine per cent, of any number of rows."""

import math
from collections.abc import Mapping
from functools import lru_cache

NONE = -1
"""The bucket of what has no duration."""

_PER_OCTAVE = 4


@lru_cache(maxsize=8192)
def bucket_of(milliseconds: int) -> int:
    """Return the bucket of a duration: 0 for less than a millisecond, then four for each doubling."""
    return 1 + math.floor(_PER_OCTAVE * math.log2(milliseconds)) if milliseconds > 0 else 0


def middle_of(bucket: int) -> float:
    """Return the duration in milliseconds that stands for a bucket: nine per cent from its ends at most."""
    return 2 ** ((bucket - 0.5) / _PER_OCTAVE) if bucket > 0 else 0.0


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the duration in milliseconds that this share of the counted ones does not exceed; None without any."""
    total = sum(counts.values())
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= share * total:
            return round(middle_of(bucket), 1)
    return None
