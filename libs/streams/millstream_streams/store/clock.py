"""What time it is on Redis, without asking for it each time.

Every decision by time is made by the clock of Redis. What is worked out beside it, such as when a job was created, has
to be by the same clock, or two machines would disagree about one job.
"""

import time
from collections.abc import Callable

_SCRIPT_STEP_S = 0.001
"""Scripts tell the time in whole milliseconds."""


class RedisClock:
    """The clock of Redis as its answers showed it; this machine's own until the first answer.

    It runs by the monotonic clock, so a change of this machine's time changes nothing. Any thread may read it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._offset_s = wall() - monotonic()
        """What is added to the monotonic clock."""

    def now_s(self) -> float:
        """Return Unix seconds."""
        return self._monotonic() + self._offset_s

    def now_ms(self) -> int:
        """Return Unix ms."""
        return int((self._monotonic() + self._offset_s) * 1000)

    def asking(self) -> float:
        """Return what :meth:`heard` has to know of a question; to be called before it is asked."""
        return self._monotonic()

    def heard(self, told_s: float, asked_at: float, *, step_s: float = _SCRIPT_STEP_S) -> None:
        """Learn from an answer that has just come: it was that time when Redis answered.

        That was between question and answer, so a slow answer says little, and only what contradicts it is changed.
        """
        least_s = told_s - self._monotonic()
        most_s = told_s + step_s - asked_at
        if not least_s <= self._offset_s <= most_s:
            self._offset_s = (least_s + most_s) / 2
