"""When a duty checks which queue: when a job falls due there, and when the last check is an interval old."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from millstream_contracts import Queue
from millstream_runtime import Wake
from millstream_streams import Registry, StoreError

AHEAD = 0.1
"""Share of the interval by which a queue may be checked early, so that such checks come together."""


class CheckSchedule:
    """Holds the next checks of one duty, on the monotonic clock.

    Other duties record what they learned about a queue here, so this duty can skip its own check. It does not rely on
    them: a queue of which nothing was recorded for one interval is checked anyway.
    """

    def __init__(self, registry: Registry, interval_s: float) -> None:
        """Take the longest time between two checks of a queue, whichever duty made the first."""
        self.wake = Wake()
        """Set when a check is due before the duty comes back."""
        self._registry = registry
        self._interval_s = interval_s
        self._due_at: dict[Queue, float] = {}
        """The time at which something falls due in a queue; absent when nothing is known."""
        self._checked_at: dict[Queue, float] = {}
        """The time of the last check of a queue; absent when there was none since the queue is known."""
        self._checked_from = -math.inf
        """The time before which checks do not count."""
        self._survey_at = 0.0
        """The time to search all queues for those whose last check is too old."""
        self._back_at = 0.0
        """The time at which the duty returns by itself."""

    def check_now(self, queue: Queue) -> None:
        """Have this queue checked now."""
        self._due_at[queue] = 0.0
        self.wake.set()

    def check_all_now(self) -> None:
        """Have every queue checked now: hints may have been missed."""
        self._checked_from = time.monotonic()
        self._survey_at = 0.0
        self.wake.set()

    async def due(self) -> list[Queue]:
        """Return the queues to check now. Raises: StoreUnavailableError."""
        now = time.monotonic()
        due = {queue for queue, at in self._due_at.items() if at <= now}
        if now >= self._survey_at:
            due |= await self._survey(now)
        return sorted(due)

    @contextmanager
    def checking(self, queue: Queue) -> Iterator[float]:
        """Take a queue off while it is checked; put it back when the check fails. Yields: when the check began."""
        # Before the call: a hint that comes during the call stays for the next check.
        self._due_at.pop(queue, None)
        try:
            yield time.monotonic()
        except StoreError:
            self._due_at[queue] = 0.0
            raise

    def record(self, queue: Queue, *, checked_at: float, next_in_ms: int | None) -> None:
        """Record what a queue answered: in how many ms something falls due, None when nothing waits."""
        self._checked_at[queue] = max(checked_at, self._checked_at.get(queue, checked_at))
        if next_in_ms is not None:
            # Only ever sooner: a hint may have arrived after the script of this answer ran.
            due_at = time.monotonic() + next_in_ms / 1000
            self._due_at[queue] = min(due_at, self._due_at.get(queue, due_at))
            if due_at < self._back_at:
                self.wake.set()

    def sleep_s(self) -> float:
        """Return for how long there is nothing to check."""
        now = time.monotonic()
        if now >= self._survey_at:
            stale_at = min(map(self._stale_at, self._checked_at), default=now + self._interval_s)
            # At once, if a gap in the hints came while the duty checked.
            self._survey_at = max(stale_at, now + AHEAD * self._interval_s) if stale_at > -math.inf else now
        self._back_at = min([self._survey_at, *self._due_at.values()])
        return max(0.0, self._back_at - now)

    async def _survey(self, now: float) -> set[Queue]:
        """Return the known queues whose last check is too old; forget queues that are known no more."""
        known = await self._registry.queues()
        self._checked_at = {queue: self._checked_at[queue] for queue in known if queue in self._checked_at}
        return {queue for queue in known if self._stale_at(queue) <= now + AHEAD * self._interval_s}

    def _stale_at(self, queue: Queue) -> float:
        checked_at = self._checked_at.get(queue, -math.inf)
        return checked_at + self._interval_s if checked_at >= self._checked_from else -math.inf
