"""Counts failed attempts by address in the present second, and what was looked up, so that guessing costs Redis little.

Both are forgotten with each second: what is kept is bounded by the requests of one.
"""

import time
from collections import Counter
from collections.abc import Callable

MAX_FAILURES_PER_S = 10
"""Failed attempts of one address in a second; further ones are refused without a look."""


class FailedAttempts:
    """The failed attempts of the present second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._second = 0
        self._failures: Counter[str] = Counter()
        self._looked_up: set[tuple[str, str]] = set()

    def note(self, address: str) -> None:
        """Count a failed attempt."""
        self._turn()
        self._failures[address] += 1

    def are_too_many(self, address: str) -> bool:
        """Return whether an address may try no more in this second."""
        self._turn()
        return self._failures[address] >= MAX_FAILURES_PER_S

    def may_look_up(self, address: str, key_id: str) -> bool:
        """Return whether an unknown key may be looked up; true once a second for an address and a key."""
        self._turn()
        if (address, key_id) in self._looked_up:
            return False
        self._looked_up.add((address, key_id))
        return True

    def forget_look_up(self, address: str, key_id: str) -> None:
        """Let a key be looked up again, where the look has told nothing."""
        self._looked_up.discard((address, key_id))

    def _turn(self) -> None:
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._failures.clear()
            self._looked_up.clear()
