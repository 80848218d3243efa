"""When a duty is to look at which queue: when something falls due there, and when nobody has looked for too long."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from millstream_contracts import Queue
from millstream_runtime import Wake
from millstream_streams import Registry, StoreError

AHEAD = 0.1
"""Share of the interval by which a queue may be looked at early, so that such looks come together."""


class Agenda:
    """Holds one duty's next looks, on the monotonic clock.

    Whoever else has asked a queue notes the answer here, which spares the duty a look. But the duty relies on nobody:
    what was not noted for an interval it looks at itself.
    """

    def __init__(self, registry: Registry, interval_s: float) -> None:
        """`interval_s` is the longest time between two looks at a queue, whoever made the first."""
        self.wake = Wake()
        """Rings when a look is due before the duty comes back."""
        self._registry = registry
        self._interval_s = interval_s
        self._due_at: dict[Queue, float] = {}
        """When something falls due in a queue; absent when nothing is known to."""
        self._asked_at: dict[Queue, float] = {}
        """When a queue was last asked; absent when it was not since we know it."""
        self._asked_from = -math.inf
        """What was asked earlier does not count."""
        self._survey_at = 0.0
        """When to search all queues for those that nobody has asked for too long."""
        self._back_at = 0.0
        """When the duty comes back by itself."""

    def look_at(self, queue: Queue) -> None:
        """Have this queue looked at now."""
        self._due_at[queue] = 0.0
        self.wake.set()

    def look_at_all(self) -> None:
        """Have every queue looked at now: hints may have been missed."""
        self._asked_from = time.monotonic()
        self._survey_at = 0.0
        self.wake.set()

    async def due(self) -> list[Queue]:
        """Return the queues to look at now. Raises: StoreUnavailableError."""
        now = time.monotonic()
        due = {queue for queue, at in self._due_at.items() if at <= now}
        if now >= self._survey_at:
            due |= await self._survey(now)
        return sorted(due)

    @contextmanager
    def look(self, queue: Queue) -> Iterator[float]:
        """Take a queue off while it is looked at; put it back when that fails. Yields: the time."""
        # Before the call: a hint that comes while it is under way stays for the next look.
        self._due_at.pop(queue, None)
        try:
            yield time.monotonic()
        except StoreError:
            self._due_at[queue] = 0.0
            raise

    def note(self, queue: Queue, *, asked_at: float, next_in_ms: int | None) -> None:
        """Note what a queue has answered: in how many ms something falls due, None when nothing waits."""
        self._asked_at[queue] = max(asked_at, self._asked_at.get(queue, asked_at))
        if next_in_ms is not None:
            # Only ever sooner: the answer knows nothing of a hint that has overtaken it.
            due_at = time.monotonic() + next_in_ms / 1000
            self._due_at[queue] = min(due_at, self._due_at.get(queue, due_at))
            if due_at < self._back_at:
                self.wake.set()

    def sleep_s(self) -> float:
        """Return for how long there is nothing to look at."""
        now = time.monotonic()
        if now >= self._survey_at:
            stale_at = min(map(self._stale_at, self._asked_at), default=now + self._interval_s)
            # At once, where a gap came while the duty looked.
            self._survey_at = max(stale_at, now + AHEAD * self._interval_s) if stale_at > -math.inf else now
        self._back_at = min([self._survey_at, *self._due_at.values()])
        return max(0.0, self._back_at - now)

    async def _survey(self, now: float) -> set[Queue]:
        """Return the known queues that nobody has asked for too long; forget those that are known no more."""
        known = await self._registry.queues()
        self._asked_at = {queue: self._asked_at[queue] for queue in known if queue in self._asked_at}
        return {queue for queue in known if self._stale_at(queue) <= now + AHEAD * self._interval_s}

    def _stale_at(self, queue: Queue) -> float:
        asked_at = self._asked_at.get(queue, -math.inf)
        return asked_at + self._interval_s if asked_at >= self._asked_from else -math.inf
