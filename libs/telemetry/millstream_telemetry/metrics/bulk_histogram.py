"""A histogram that takes observations by the hundred: one by one they were a tenth of what a no-op job costs."""

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence

from prometheus_client import Histogram

FULL = 100


class BulkHistogram(Histogram):
    """A histogram of the client library that can be told many observations at once."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        """Observe each of the amounts."""
        self._sum.inc(sum(amounts))
        for place, count in Counter(bisect_left(self._upper_bounds, amount) for amount in amounts).items():
            self._buckets[place].inc(count)


class Tally:
    """Collects observations by job type. `flush` is called before anybody looks at the histogram."""

    def __init__(self, histogram_of: Callable[[str], BulkHistogram]) -> None:
        self._histogram_of = histogram_of
        # One thread appends while another, of a scrape, takes away: with a deque each is one step.
        self._waiting: defaultdict[str, deque[float]] = defaultdict(deque)

    def add(self, job_type: str, amount: float, exemplar: str = "") -> None:
        """Take an observation; `exemplar` is the id of its trace, when that is recorded."""
        if exemplar:
            self._histogram_of(job_type).observe(amount, {"trace_id": exemplar})
            return
        waiting = self._waiting[job_type]
        waiting.append(amount)
        if len(waiting) >= FULL:
            self._put(job_type, waiting)

    def flush(self) -> None:
        """Observe all that has come. Any thread may call it."""
        for job_type, waiting in list(self._waiting.items()):
            self._put(job_type, waiting)

    def _put(self, job_type: str, waiting: deque[float]) -> None:
        amounts: list[float] = []
        try:
            while True:
                amounts.append(waiting.popleft())
        except IndexError:
            pass
        if amounts:
            self._histogram_of(job_type).observe_all(amounts)
