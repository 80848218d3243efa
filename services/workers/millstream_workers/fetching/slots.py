"""How many more jobs this worker may take.

While jobs end quickly it may take some before there is a slot for them: a slot would otherwise stand idle from the end
of one job until a claim has brought the next, a quarter of the time of jobs of 10 ms. How many is reckoned from how
many have just ended, so that each of them begins within milliseconds, and beside long jobs none is taken.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

AHEAD_S = 0.005
"""How soon a job that is taken ahead must be expected to begin: about what a claim takes."""

RECKON_EVERY_S = 0.02
"""Over how long the jobs that end are counted, to reckon what is expected."""


class Slots:
    """Counts jobs taken against a limit of running handlers. Not safe for threads: it lives on the event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """How many handlers run at most."""
        self.busy = 0
        """Jobs that are here: those that run, and those that were taken ahead."""
        self._ahead = 0
        self._ended = 0
        self._counted_since = time.monotonic()
        self.claims = 0
        """Claims under way: what they bring is this worker's already, though nothing of it runs yet."""
        self._closures = 0
        self._changed = anyio.Event()
        self._enough = anyio.Event()
        """Set when as many are free as somebody wants, who then need not hear of each."""
        self._wanted = 1

    @property
    def free(self) -> int:
        """How many jobs may be taken now."""
        return 0 if self._closures else self.limit + self._ahead - self.busy

    @property
    def is_full(self) -> bool:
        """Whether no further handler may start now."""
        return self._closures > 0 or self.busy >= self.limit

    def look_ahead(self) -> None:
        """Reckon anew how many jobs may be taken ahead. To be called before jobs are asked for."""
        now = time.monotonic()
        passed_s = now - self._counted_since
        if passed_s >= RECKON_EVERY_S:
            self._ahead = min(self.limit - 1, int(self._ended / passed_s * AHEAD_S))
            self._ended, self._counted_since = 0, now

    def take(self) -> None:
        """Note that a job is here."""
        self.busy += 1

    def give_back(self) -> None:
        """Note that a handler has ended."""
        self._ended += 1
        self.put_back()

    def put_back(self) -> None:
        """Note that a job leaves unrun."""
        self.busy -= 1
        self.tell()

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Note that a claim is under way, until what it brought has been started or declined."""
        self.claims += 1
        try:
            yield
        finally:
            self.claims -= 1
            self.tell()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Let no further job be taken for as long as the block lasts."""
        self._closures += 1
        try:
            yield
        finally:
            self._closures -= 1
            self.tell()

    def tell(self) -> None:
        """Wake whoever waits for a change, to look at something else that has changed."""
        self._changed.set()
        if self.free >= self._wanted:
            self._enough.set()

    async def wait_free(self, at_least: int = 1) -> int:
        """Wait until so many jobs may be taken. Returns: how many may."""
        while self.free < at_least:
            if self._enough.is_set():
                self._enough, self._wanted = anyio.Event(), at_least
            self._wanted = min(self._wanted, at_least)
            await self._enough.wait()
        return self.free

    async def wait_idle(self) -> None:
        """Wait until no job is here."""
        while self.busy:
            await self.wait_change()

    async def wait_change(self) -> None:
        """Wait until the next job leaves. All who wait share one event."""
        if self._changed.is_set():
            self._changed = anyio.Event()
        await self._changed.wait()
