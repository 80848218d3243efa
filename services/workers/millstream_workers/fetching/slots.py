"""The slots of a worker, which bound how many jobs it may take.

While jobs end quickly the worker takes some ahead, before there is a slot for them. Otherwise a slot would be idle from
the end of one job until a claim has returned the next: a quarter of the time, with jobs of 10 ms. The number follows
from the jobs that have just ended, so that each job taken ahead begins within AHEAD_S. Beside long jobs it is 0.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

AHEAD_S = 0.005
"""A job is taken ahead when it is expected to begin within this time, about what a claim takes."""

RECKON_EVERY_S = 0.02
"""The number of jobs to take ahead is estimated from those that have ended in this time."""


class Slots:
    """Counts jobs taken against a limit of running handlers. Not safe for threads: it lives on the event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """The most handlers that run at once."""
        self.busy = 0
        """The jobs of the worker: those that run, and those that were taken ahead."""
        self.ahead = 0
        """Jobs that may be taken before there is a slot for them."""
        self._ended = 0
        self._counted_since = time.monotonic()
        self.claims = 0
        """Claims under way. In Redis their jobs belong to this worker already."""
        self._closures = 0
        self._changed = anyio.Event()
        self._enough = anyio.Event()
        """Set when `_wanted` jobs may be taken: a waiter for many is not woken by each."""
        self._wanted = 1

    @property
    def free(self) -> int:
        """How many jobs may be taken now."""
        return 0 if self._closures else self.limit + self.ahead - self.busy

    @property
    def is_full(self) -> bool:
        """Whether no further handler may start now."""
        return self._closures > 0 or self.busy >= self.limit

    def look_ahead(self) -> None:
        """Estimate how many jobs may be taken ahead. Call it before asking for jobs."""
        now = time.monotonic()
        passed_s = now - self._counted_since
        if passed_s >= RECKON_EVERY_S:
            self.ahead = min(self.limit - 1, int(self._ended / passed_s * AHEAD_S))
            self._ended, self._counted_since = 0, now

    def take(self) -> None:
        """Count a job as taken."""
        self.busy += 1

    def release(self) -> None:
        """Free the slot of a job whose handler has ended."""
        self._ended += 1
        self.release_unrun()

    def release_unrun(self) -> None:
        """Free the slot of a job that leaves without having run."""
        self.busy -= 1
        self.tell()

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Count a claim as under way, until its jobs have been accepted or declined."""
        self.claims += 1
        try:
            yield
        finally:
            self.claims -= 1
            self.tell()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Take no further job while the block lasts."""
        self._closures += 1
        try:
            yield
        finally:
            self._closures -= 1
            self.tell()

    def tell(self) -> None:
        """Wake all waiters after a change that they wait for."""
        self._changed.set()
        if self.free >= self._wanted:
            self._enough.set()

    async def wait_free(self, at_least: int = 1) -> int:
        """Wait until `at_least` jobs may be taken. Returns: how many may."""
        while self.free < at_least:
            if self._enough.is_set():
                self._enough, self._wanted = anyio.Event(), at_least
            self._wanted = min(self._wanted, at_least)
            await self._enough.wait()
        return self.free

    async def wait_idle(self) -> None:
        """Wait until the worker has no job."""
        while self.busy:
            await self.wait_change()

    async def wait_change(self) -> None:
        """Wait until the next job leaves. All waiters share one event."""
        if self._changed.is_set():
            self._changed = anyio.Event()
        await self._changed.wait()
