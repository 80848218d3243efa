"""What the gauger has measured last, for duties that need not measure again."""

import math
import time
from collections.abc import Iterable, Sequence

from millstream_contracts import QueueStatus, WorkerInfo

FRESH_FOR_S = 60.0
"""How long a measurement counts: longer than the longest usual time between two."""


class QueueBoard:
    """The queues by type, and the live workers."""

    def __init__(self) -> None:
        self.queues: Sequence[QueueStatus] = ()
        self.workers: Sequence[WorkerInfo] = ()
        self._at = -math.inf

    def put(self, queues: Iterable[QueueStatus], workers: Iterable[WorkerInfo]) -> None:
        """Replace the last measurement by this one, which is whole."""
        self.queues, self.workers, self._at = tuple(queues), tuple(workers), time.monotonic()

    @property
    def is_fresh(self) -> bool:
        """Whether the last measurement still counts."""
        return time.monotonic() - self._at < FRESH_FOR_S
