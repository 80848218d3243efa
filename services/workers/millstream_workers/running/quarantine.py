"""Runs a job alone when one more crash would bury it.

When a worker dies, every job that Redis counts as running on it is charged a crash, because the culprit is not known. A
job that kills its worker could so bury others: those that run beside it, those that have ended and are not committed
yet, and those that a claim has just returned.
"""

from collections.abc import Awaitable, Callable

import anyio
import structlog

from millstream_contracts import HandedBack, Outcome, Snoozed
from millstream_streams import Delivery, JobStore, StoreError
from millstream_workers.attempt.running import Running
from millstream_workers.fetching.slots import Slots
from millstream_workers.keeping.committer import Committer, job_fields

PATIENCE_S = 5.0
"""How long a worker takes no other jobs while it waits for those that run to end. Long ones may outlast it."""

ELSEWHERE_AFTER_S = 30.0
"""A job that found no worker free of others is tried again after this time."""


class Quarantine:
    """Runs suspects one at a time, while nothing else runs on this worker and it takes no other job."""

    def __init__(self, store: JobStore, slots: Slots, committer: Committer, *, worker: str, max_crashes: int) -> None:
        self._store = store
        self._slots = slots
        self._committer = committer
        self._suspect_from = max(1, max_crashes - 1)
        self._present = 0
        """Suspects on this worker: those that wait, and the one that runs."""
        self._occupant: Running | None = None
        self._is_closed = False
        self._log = structlog.get_logger().bind(worker=worker)

    def suspects(self, delivery: Delivery) -> bool:
        """Return whether one more crash would bury this job."""
        return delivery.crashes >= self._suspect_from

    def close(self) -> None:
        """End the wait of all suspects, because the worker is leaving."""
        self._is_closed = True
        self._slots.tell()

    async def run(self, running: Running, execute: Callable[[], Awaitable[None]]) -> Outcome | None:
        """Execute a suspect once it is alone. Returns: None, or its outcome when that would take too long."""
        self._present += 1
        try:
            with self._slots.closed():
                refusal = await self._wait_alone(running)
                if refusal is None:
                    await execute()
                return refusal
        finally:
            self._present -= 1
            if self._occupant is running:
                self._occupant = None

    async def _wait_alone(self, running: Running) -> Outcome | None:
        """Wait for this job's turn. Returns: the outcome of the job when its turn does not come."""
        if self._occupy(running) and not self._committer.backlog:
            return None
        about = job_fields(running.delivery)
        self._log.info("job waits to run alone", **about, crashes=running.delivery.crashes)
        try:
            await self._note(running, waits=True)
            with anyio.move_on_after(PATIENCE_S):
                while not self._is_closed and not self._occupy(running):
                    await self._slots.wait_change()
                if self._occupant is running:
                    # Only now: what a last claim had brought was declined, and a hand-back is an outcome too.
                    await self._committer.wait_empty()
            if self._occupant is running and not self._committer.backlog:
                await self._note(running, waits=False)
                return None
        except StoreError as error:
            # Without the note an innocent job could be charged, or a guilty one never be.
            self._log.warning("job not run alone", **about, **error.fields)
            return HandedBack()
        return HandedBack() if self._is_closed else Snoozed(round(ELSEWHERE_AFTER_S * 1000))

    def _occupy(self, running: Running) -> bool:
        """Take the worker for this job, if it holds nothing but suspects that wait."""
        if self._occupant is None and self._slots.busy == self._present and not self._slots.claims:
            self._occupant = running
        return self._occupant is running

    async def _note(self, running: Running, *, waits: bool) -> None:
        delivery = running.delivery
        await self._store.mark_isolated(delivery.queue, [(delivery.id, delivery.token)], waits=waits)
