"""Estimates the clock of Redis without a request for each reading.

Every decision by time is made by the clock of Redis. Times that a process computes itself, such as the creation time of
a job, have to be by the same clock, or two machines would disagree about one job.
"""

import time
from collections.abc import Callable

_SCRIPT_STEP_S = 0.001
"""The step of times in scripts, which are whole milliseconds."""


class RedisClock:
    """An estimate of the clock of Redis; before the first response, this machine's own clock.

    It runs by the monotonic clock, so a change of this machine's time changes nothing. Any thread may read it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._offset_s = wall() - monotonic()
        """The difference to the monotonic clock."""

    def now_s(self) -> float:
        """Return Unix seconds."""
        return self._monotonic() + self._offset_s

    def now_ms(self) -> int:
        """Return Unix ms."""
        return int((self._monotonic() + self._offset_s) * 1000)

    def asking(self) -> float:
        """Return the start of a request, which :meth:`heard` needs; call it before the request."""
        return self._monotonic()

    def heard(self, told_s: float, asked_at: float, *, step_s: float = _SCRIPT_STEP_S) -> None:
        """Learn from a response that has just arrived, which has the time of Redis.

        That was the time at some moment of the request, so a slow response says little, and changes only what it
        contradicts.
        """
        least_s = told_s - self._monotonic()
        most_s = told_s + step_s - asked_at
        if not least_s <= self._offset_s <= most_s:
            self._offset_s = (least_s + most_s) / 2
