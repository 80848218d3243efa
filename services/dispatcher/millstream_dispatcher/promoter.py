"""Releases jobs whose time has come. Run by every dispatcher; a job is released once, because a script moves it.

It sleeps until the next job is due, and is woken by a hint when an earlier one arrives.
"""

import structlog

from millstream_contracts import Queue
from millstream_dispatcher.agenda import Agenda
from millstream_runtime import DutyResult
from millstream_streams import JobStore, for_each_queue


class Promotion(DutyResult, frozen=True):
    """What one pass did."""

    released: int = 0
    expired: int = 0


class Promoter:
    """A duty. Whoever hears that a queue has an earlier job, or sees when its next one is due, tells its agenda."""

    name = "promoter"

    def __init__(self, store: JobStore, agenda: Agenda, *, interval_s: float) -> None:
        self.interval_s = interval_s
        self.wake = agenda.wake
        self._store = store
        self._agenda = agenda
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Promotion:
        """Release what is due. Returns: when to come back."""
        released = expired = 0

        async def release(queue: Queue) -> None:
            nonlocal released, expired
            with self._agenda.look(queue) as asked_at:
                found = await self._store.release_due(queue)
            self._agenda.note(queue, asked_at=asked_at, next_in_ms=found.next_in_ms)
            released += found.released
            expired += found.expired

        await for_each_queue(await self._agenda.due(), release)
        if released or expired:
            self._log.debug("released", released=released, expired=expired)
        return Promotion(next_in_s=self._agenda.sleep_s(), released=released, expired=expired)
