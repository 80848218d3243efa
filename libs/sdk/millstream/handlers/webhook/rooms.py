"""Bounds how many calls go to one receiver at once, so that a silent one does not hold all slots of a worker."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from millstream.steering import Snooze

AT_ONCE = 20
"""The most calls of one worker process to one receiver at once."""

_COME_BACK_S = (1.0, 5.0)


class ReceiverRooms:
    """Counts the calls that are under way, by receiver. It belongs to one event loop."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()

    @contextmanager
    def entered(self, receiver: str) -> Iterator[None]:
        """Count a call while the block lasts. Raises: Snooze, when the receiver has its most."""
        if self._calls[receiver] >= AT_ONCE:
            raise Snooze(random.uniform(*_COME_BACK_S))
        self._calls[receiver] += 1
        try:
            yield
        finally:
            self._calls[receiver] -= 1
            if not self._calls[receiver]:
                del self._calls[receiver]
