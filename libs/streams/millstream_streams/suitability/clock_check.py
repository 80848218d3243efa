"""Measures the round trip to Redis, and the difference of its clock to that of this machine."""

import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

ASKED = 5


class ClockReading(Struct, frozen=True):
    """The fastest of several responses to TIME."""

    round_trip_ms: float
    ahead_ms: float
    """By how much the clock of Redis is ahead of this machine's, give or take half a round trip."""

    @property
    def differs_by_ms(self) -> float:
        """The part of the difference that the round trip cannot explain."""
        return max(0.0, abs(self.ahead_ms) - self.round_trip_ms / 2)


async def read_clock(ask: Callable[[], Awaitable[tuple[int, int]]]) -> ClockReading:
    """Read the time of a server, in Unix seconds and microseconds. The fastest response is the most exact."""
    readings = []
    for _ in range(ASKED):
        begun_at, wall_s = time.monotonic(), time.time()
        seconds, microseconds = await ask()
        round_trip_s = time.monotonic() - begun_at
        ahead_s = seconds + microseconds / 1e6 - (wall_s + round_trip_s / 2)
        readings.append(ClockReading(round_trip_s * 1000, ahead_s * 1000))
    return min(readings, key=lambda one: one.round_trip_ms)
