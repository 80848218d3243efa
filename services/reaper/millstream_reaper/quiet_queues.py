"""Which queues need no look for a while, because the last one said so. Kept in memory: a new reaper looks at all."""

import time
from collections.abc import Sequence

from millstream_contracts import Queue


class QuietQueues:
    """Until when each queue is left alone, in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._until: dict[Queue, float] = {}

    def leave_alone(self, queue: Queue, until: float) -> None:
        """Let a queue be until then."""
        self._until[queue] = until

    def disturb_one(self) -> list[Queue]:
        """Leave the one alone no longer whose time is over first, and return it; none when there is none."""
        first = min(self._until, key=self._until.__getitem__, default=None)
        if first is None:
            return []
        del self._until[first]
        return [first]

    def disturb_all(self) -> None:
        """Leave none alone any longer."""
        self._until.clear()

    def others(self, known: Sequence[Queue]) -> list[Queue]:
        """Return the known queues that are to be looked at now. What is known no more is forgotten."""
        now = time.monotonic()
        self._until = {queue: self._until[queue] for queue in known if self._until.get(queue, now) > now}
        return [queue for queue in known if queue not in self._until]
