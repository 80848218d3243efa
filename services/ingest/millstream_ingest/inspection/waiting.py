"""Holds responses back until a job has ended: one listener for all requests, a hint for each.

Hints may get lost, so a wait also reads the job every LOOK_EVERY_S.
"""

import random
import time
from collections import defaultdict
from typing import NoReturn

import anyio

from millstream_contracts import Job, JobId, Queue
from millstream_streams import ActionCode, Broker

LOOK_EVERY_S = 2.0
"""The longest time between two reads of a wait; drawn from its last fifth, so that waits that begin together are
spread.
"""

MAX_WAITERS = 2_000
"""The number of waits; requests beyond it are answered at once, because each wait costs a read every LOOK_EVERY_S."""


class SettledWaiter:
    """Holds the requests that wait, by job."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._events: defaultdict[str, set[anyio.Event]] = defaultdict(set)
        self._is_closing = False
        self.waiting = 0
        """Requests that wait now."""

    async def run(self) -> NoReturn:
        """Listen until cancelled."""
        await self._broker.listen_settled(self._wake, self._wake_all)

    def close(self) -> None:
        """End every wait, now and from now on, because the service is leaving."""
        self._is_closing = True
        self._wake_all()

    async def wait(self, queue: Queue, job_id: JobId, wait_s: float, *, is_watched: bool = False) -> Job | None:
        """Return a job once it has settled, or as it is after `wait_s`; None when there is no such job.

        `is_watched` says that the job was stored with `waited`. Raises: StoreUnavailableError.
        """
        if self.waiting >= MAX_WAITERS:
            return await self._broker.views.job(queue, job_id)
        deadline = time.monotonic() + wait_s
        event = anyio.Event()
        self.waiting += 1
        self._events[job_id].add(event)
        try:
            if not is_watched and await self._broker.store.watch(queue, job_id) is ActionCode.UNKNOWN_JOB:
                return None
            while not await self._broker.views.is_settled(queue, job_id):
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self._is_closing:
                    break
                event = await self._next_hint(job_id, event, min(left_s, LOOK_EVERY_S * random.uniform(0.8, 1.0)))
            return await self._broker.views.job(queue, job_id)
        finally:
            self.waiting -= 1
            self._forget(job_id, event)

    async def _next_hint(self, job_id: JobId, event: anyio.Event, within_s: float) -> anyio.Event:
        """Return, with an event for the next time, when the event is set or the time is over."""
        with anyio.move_on_after(within_s):
            await event.wait()
        if not event.is_set():
            return event
        self._events[job_id].discard(event)
        fresh = anyio.Event()
        self._events[job_id].add(fresh)
        return fresh

    def _forget(self, job_id: JobId, event: anyio.Event) -> None:
        events = self._events[job_id]
        events.discard(event)
        if not events:
            del self._events[job_id]

    def _wake(self, job_id: str) -> None:
        for event in self._events.get(job_id, ()):
            event.set()

    def _wake_all(self) -> None:
        for events in self._events.values():
            for event in events:
                event.set()
