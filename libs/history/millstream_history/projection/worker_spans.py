"""Keeps when each worker was seen, and its release: an index of workers would cost more than the time window saves.

A worker is written once a minute at most, with an end that lies a minute ahead. So no transition of it is ever later
than the end that is stored.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from millstream_contracts import QueueEvents, moment
from millstream_history.projection.columns import write_text
from millstream_history.projection.loading import Loader
from millstream_history.tables import WORKER_SPANS

AHEAD = timedelta(minutes=1)
_MOST_KNOWN = 10_000

Span = tuple[str, str, datetime, datetime, str | None]
"""Tenant, worker, first and last transition, and its release, as far as that is known."""

SPAN_LOADER = Loader(
    WORKER_SPANS,
    WORKER_SPANS.columns.keys(),
    staging="new_worker_spans",
    on_conflict=(
        "(tenant, worker) DO UPDATE SET first_at = least(worker_spans.first_at, excluded.first_at), "
        "last_at = greatest(worker_spans.last_at, excluded.last_at), "
        "release = coalesce(excluded.release, worker_spans.release)"
    ),
)


def spans_of(batches: Iterable[QueueEvents]) -> list[Span]:
    """Return when the workers of these events were seen in them, in the order of the primary key."""
    seen: dict[tuple[str, str], list[int]] = {}
    for batch in batches:
        for event in batch.events:
            if event.worker:
                seen.setdefault((batch.queue.tenant, write_text(event.worker)), []).append(event.at_ms)
    return [(*who, moment(min(times)), moment(max(times)), None) for who, times in sorted(seen.items())]


def with_releases(spans: Iterable[Span], releases: Mapping[str, str]) -> list[Span]:
    """Return spans with the releases of their workers, by name."""
    known = {write_text(name): write_text(release) for name, release in releases.items()}
    return [(tenant, worker, first, last, known.get(worker)) for tenant, worker, first, last, _ in spans]


class StoredSpans:
    """Knows which spans are stored already, in this process."""

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str], tuple[datetime, datetime]] = {}

    def missing(self, spans: Sequence[Span]) -> list[Span]:
        """Return the spans to store, each with its end a minute ahead."""
        return [
            (tenant, worker, first, last + AHEAD, release)
            for tenant, worker, first, last, release in spans
            if not self._covers((tenant, worker), first, last)
        ]

    def add(self, spans: Sequence[Span]) -> None:
        """Take these spans as stored."""
        if len(self._stored) > _MOST_KNOWN:
            self._stored.clear()
        for tenant, worker, first, last, _ in spans:
            known = self._stored.get((tenant, worker), (first, last))
            self._stored[tenant, worker] = min(known[0], first), max(known[1], last)

    def _covers(self, who: tuple[str, str], first: datetime, last: datetime) -> bool:
        known = self._stored.get(who)
        return known is not None and known[0] <= first and last <= known[1]
