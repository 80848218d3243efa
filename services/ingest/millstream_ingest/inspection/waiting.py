"""Holds responses back until a job or a workflow has ended: one listener for all requests, a hint for each.

Hints may get lost, so a wait also looks every LOOK_EVERY_S.
"""

import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import NoReturn

import anyio

from millstream_contracts import Job, JobId, Queue, Tenant, WorkflowId
from millstream_streams import ActionCode, Broker

LOOK_EVERY_S = 2.0
"""The longest time between two reads of a wait; drawn from its last fifth, so that waits that begin together are
spread.
"""

MAX_WAITERS = 2_000
"""The number of waits; requests beyond it are answered at once, because each wait costs a read every LOOK_EVERY_S."""


Look = Callable[[], Awaitable[bool]]


class SettledWaiter:
    """Holds the requests that wait, by job or workflow."""

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

        async def is_there() -> bool:
            return is_watched or await self._broker.store.watch(queue, job_id) is not ActionCode.UNKNOWN_JOB

        async def is_over() -> bool:
            return await self._broker.views.is_settled(queue, job_id)

        if not await self._hold(job_id, wait_s, is_there, is_over):
            return None
        return await self._broker.views.job(queue, job_id)

    async def wait_for_workflow(self, tenant: Tenant, workflow_id: WorkflowId, wait_s: float) -> None:
        """Return once a workflow has ended, is stalled or is not there, or after `wait_s`.

        Raises: StoreUnavailableError.
        """

        async def is_there() -> bool:
            return True

        async def is_over() -> bool:
            found = (await self._broker.workflows.read(tenant, [workflow_id])).get(workflow_id)
            return found is None or found.state.is_settled

        await self._hold(workflow_id, wait_s, is_there, is_over)

    async def _hold(self, key: str, wait_s: float, is_there: Look, is_over: Look) -> bool:
        """Return once it is over, after `wait_s` or with too many waits. Returns: whether it was there."""
        if self.waiting >= MAX_WAITERS:
            return True
        deadline = time.monotonic() + wait_s
        event = anyio.Event()
        self.waiting += 1
        self._events[key].add(event)
        try:
            if not await is_there():
                return False
            while not await is_over():
                left_s = deadline - time.monotonic()
                if left_s <= 0 or self._is_closing:
                    break
                event = await self._next_hint(key, event, min(left_s, LOOK_EVERY_S * random.uniform(0.8, 1.0)))
            return True
        finally:
            self.waiting -= 1
            self._forget(key, event)

    async def _next_hint(self, key: str, event: anyio.Event, within_s: float) -> anyio.Event:
        """Return, with an event for the next time, when the event is set or the time is over."""
        with anyio.move_on_after(within_s):
            await event.wait()
        if not event.is_set():
            return event
        self._events[key].discard(event)
        fresh = anyio.Event()
        self._events[key].add(fresh)
        return fresh

    def _forget(self, key: str, event: anyio.Event) -> None:
        events = self._events[key]
        events.discard(event)
        if not events:
            del self._events[key]

    def _wake(self, key: str) -> None:
        for event in self._events.get(key, ()):
            event.set()

    def _wake_all(self) -> None:
        for events in self._events.values():
            for event in events:
                event.set()
