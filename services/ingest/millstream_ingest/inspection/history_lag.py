"""Says how old what the history does not have yet is. Searches answer with it, and share one look."""

import asyncio
import time
from collections.abc import Awaitable
from typing import TypeVar

from millstream_contracts import Queue
from millstream_streams import HISTORY_GROUP, Broker, StoreError
from millstream_submission.deadline import Deadline

LOOK_EVERY_S = 1.0
LOOK_WITHIN_S = 0.2

T = TypeVar("T")


class HistoryLag:
    """The lag of the history. Redis may be away; then it is not known."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._looked_at = float("-inf")
        self._lag_s: float | None = None

    async def seconds(self) -> float | None:
        """Return the age of the oldest event that is not stored; 0 without one, None where that is not known."""
        if time.monotonic() >= self._looked_at + LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            self._lag_s = await self._look()
        return self._lag_s

    async def beside(self, work: Awaitable[T]) -> tuple[T, float | None]:
        """Return what `work` returns, and the lag: Redis is asked for the one while PostgreSQL does the other.

        Raises: what `work` raises.
        """
        looking = asyncio.get_running_loop().create_task(self.seconds())
        try:
            return await work, await looking
        finally:
            looking.cancel()

    async def _look(self) -> float | None:
        try:
            async with Deadline(asyncio.get_running_loop(), LOOK_WITHIN_S):
                queues: list[Queue] = await self._broker.registry.queues()
                lag = await self._broker.event_lag.of(HISTORY_GROUP, queues)
        except (StoreError, TimeoutError):
            return None
        if lag is None:
            return None
        if lag.oldest_ms is None:
            return 0.0
        return max(0.0, round(self._broker.clock.now_s() - lag.oldest_ms / 1000, 3))
