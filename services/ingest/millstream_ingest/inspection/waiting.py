"""Holds answers back until a job has ended: one listener for all requests, a hint for each.

Hints may get lost, so whoever waits also looks every two seconds.
"""

import random
import time
from collections import defaultdict
from typing import NoReturn

import anyio

from millstream_contracts import Job, JobId, Queue
from millstream_streams import ActionCode, Broker

LOOK_EVERY_S = 2.0
"""The longest; drawn from its last fifth, so that those who came together do not look together."""

MAX_WAITERS = 2_000
"""Whoever comes above it is answered at once: to wait is a wish, and each one costs a read every two seconds."""


class SettledWaiter:
    """Knows which requests wait for which jobs."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._bells: defaultdict[str, set[anyio.Event]] = defaultdict(set)
        self._is_closing = False
        self.waiting = 0
        """Requests that wait now."""

    async def run(self) -> NoReturn:
        """Listen until cancelled."""
        await self._broker.listen_settled(self._ring, self._ring_all)

    def close(self) -> None:
        """Let everybody go who waits, now and from now on: the service is leaving."""
        self._is_closing = True
        self._ring_all()

    async def wait(self, queue: Queue, job_id: JobId, wait_s: float, *, is_watched: bool = False) -> Job | None:
        """Return a job once it has ended or is dead, or as it is after `wait_s`; None when there is no such job.

        `is_watched` says that the job was stored with `waited`. Raises: StoreUnavailableError.
        """
        if self.waiting >= MAX_WAITERS:
            return await self._broker.views.job(queue, job_id)
        deadline = time.monotonic() + wait_s
        bell = anyio.Event()
        self.waiting += 1
        self._bells[job_id].add(bell)
        try:
            if not is_watched and await self._broker.store.watch(queue, job_id) is ActionCode.UNKNOWN_JOB:
                return None
            while not await self._broker.views.is_settled(queue, job_id):
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self._is_closing:
                    break
                bell = await self._next_ring(job_id, bell, min(left_s, LOOK_EVERY_S * random.uniform(0.8, 1.0)))
            return await self._broker.views.job(queue, job_id)
        finally:
            self.waiting -= 1
            self._forget(job_id, bell)

    async def _next_ring(self, job_id: JobId, bell: anyio.Event, within_s: float) -> anyio.Event:
        """Return, with a bell for the next time, when it has rung or the time is over."""
        with anyio.move_on_after(within_s):
            await bell.wait()
        if not bell.is_set():
            return bell
        self._bells[job_id].discard(bell)
        fresh = anyio.Event()
        self._bells[job_id].add(fresh)
        return fresh

    def _forget(self, job_id: JobId, bell: anyio.Event) -> None:
        bells = self._bells[job_id]
        bells.discard(bell)
        if not bells:
            del self._bells[job_id]

    def _ring(self, job_id: str) -> None:
        for bell in self._bells.get(job_id, ()):
            bell.set()

    def _ring_all(self) -> None:
        for bells in self._bells.values():
            for bell in bells:
                bell.set()
