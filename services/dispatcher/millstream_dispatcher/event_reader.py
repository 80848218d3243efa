"""Reads the events of a consumer group for a duty: first those that another dispatcher has left."""

import time
from collections.abc import Sequence

from millstream_contracts import Queue, QueueEvents
from millstream_streams import EventFeed

ABANDONED_S = 60.0
"""Idle time after which another dispatcher takes over events that were read and not acknowledged."""
TAKE_OVER_EVERY_S = 30.0


class EventReader:
    """Reads events. Every method may raise StoreUnavailableError and StoreError."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed
        self._taken_at = float("-inf")

    async def read(self, queues: Sequence[Queue], *, entries: int) -> list[QueueEvents]:
        """Return abandoned events, if it is time to look for some and there are any; else those of `feed.read`."""
        now = time.monotonic()
        if queues and now >= self._taken_at + TAKE_OVER_EVERY_S:
            abandoned = await self._feed.take_over(queues, idle_ms=round(ABANDONED_S * 1000))
            self._taken_at = now
            if abandoned:
                return abandoned
        return await self._feed.read(queues, entries=entries)
