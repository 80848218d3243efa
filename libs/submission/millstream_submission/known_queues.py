"""Registers the queues that jobs are put into, so that the other services check them."""

import time
from collections.abc import Callable, Iterable

from millstream_contracts import Queue
from millstream_streams import Registry

REMEMBER_QUEUE_S = 60.0
"""How often a queue in use is registered again, so that a lost registry heals."""


class KnownQueues:
    """The queues that one process has registered lately."""

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._known_until: dict[Queue, float] = {}
        self._noted_until: dict[Queue, float] = {}

    async def make_known(self, queues: Iterable[Queue]) -> None:
        """Register queues; call it before a job is put into one. Raises: StoreUnavailableError."""
        now = self._clock()
        new = [queue for queue in queues if self._known_until.get(queue, 0.0) <= now]
        if not new:
            return
        # Noted afterwards: what could not be made known has to be tried again.
        await self._registry.add_queues(new)
        self._known_until = {known: until for known, until in self._known_until.items() if until > now}
        self._known_until.update(dict.fromkeys(new, now + REMEMBER_QUEUE_S))

    async def note_callbacks(self, queues: Iterable[Queue]) -> None:
        """Note queues before a job with a callback is put into one. Raises: StoreUnavailableError."""
        now = self._clock()
        new = [queue for queue in queues if self._noted_until.get(queue, 0.0) <= now]
        if new:
            await self._registry.note_callbacks(new)
            self._noted_until.update(dict.fromkeys(new, now + REMEMBER_QUEUE_S))
