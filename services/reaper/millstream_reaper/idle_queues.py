"""The queues that a duty may skip for a while, because its last pass found nothing to do there.

They are kept in memory: a new reaper checks every queue.
"""

import time
from collections.abc import Sequence

from millstream_contracts import Queue


class IdleQueues:
    """The time until which each queue may be skipped, in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._skipped_until: dict[Queue, float] = {}

    def skip_until(self, queue: Queue, until: float) -> None:
        """Skip a queue until then."""
        self._skipped_until[queue] = until

    def others(self, known: Sequence[Queue]) -> list[Queue]:
        """Return the known queues that are not skipped now, and forget queues that are known no more."""
        now = time.monotonic()
        self._skipped_until = {
            queue: self._skipped_until[queue] for queue in known if self._skipped_until.get(queue, now) > now
        }
        return [queue for queue in known if queue not in self._skipped_until]
