"""Counts without a lock what one thread counts and any may look at: increments were a hundredth of a submission."""

from collections import defaultdict
from threading import Lock

from prometheus_client import Counter


class CounterTally:
    """Counts for children of a counter. `flush` is called before anybody looks at them.

    Only one thread adds; any may flush.
    """

    def __init__(self) -> None:
        # Only ever grown, and that by one thread: another cannot lose a count by reading.
        self._counted: defaultdict[Counter, int] = defaultdict(int)
        self._told: defaultdict[Counter, int] = defaultdict(int)
        self._telling = Lock()

    def add(self, child: Counter, n: int) -> None:
        """Count n more."""
        self._counted[child] += n

    def flush(self) -> None:
        """Tell the counter what has come since the last time."""
        with self._telling:
            for child, counted in list(self._counted.items()):
                child.inc(counted - self._told[child])
                self._told[child] = counted
