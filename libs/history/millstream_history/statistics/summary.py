"""Sums up transitions: how many of each kind, and percentiles of the waits and the runs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from millstream_contracts import EventKind
from millstream_history.statistics.buckets import NONE, percentile

_RUNS = (EventKind.SUCCEEDED, EventKind.RETRYING, EventKind.DEAD)
_HALF, _MOST = 0.5, 0.95

Counts = dict[tuple[str, int], int]
"""By kind and bucket the number of transitions."""


def summary_of(counts: Counts) -> Mapping[str, Any]:
    """Return the fields of `Happened`."""
    kinds: Counter[str] = Counter()
    for (kind, _), n in counts.items():
        kinds[kind] += int(n)
    waits, runs = _durations(counts, (EventKind.STARTED,)), _durations(counts, _RUNS)
    return {
        "submitted": kinds[EventKind.SUBMITTED],
        "started": kinds[EventKind.STARTED],
        "succeeded": kinds[EventKind.SUCCEEDED],
        "retried": kinds[EventKind.RETRYING],
        "dead": kinds[EventKind.DEAD],
        "cancelled": kinds[EventKind.CANCELLED],
        "expired": kinds[EventKind.EXPIRED],
        "wait_p50_ms": percentile(waits, _HALF),
        "wait_p95_ms": percentile(waits, _MOST),
        "run_p50_ms": percentile(runs, _HALF),
        "run_p95_ms": percentile(runs, _MOST),
    }


def _durations(counts: Counts, kinds: Iterable[EventKind]) -> dict[int, int]:
    found: Counter[int] = Counter()
    wanted = {str(kind) for kind in kinds}
    for (kind, bucket), n in counts.items():
        if kind in wanted and bucket != NONE:
            found[bucket] += int(n)
    return found
