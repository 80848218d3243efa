"""Removes what dead processes leave behind: empty consumers, and their entries in the lists of workers and services."""

from datetime import timedelta

import structlog

from millstream_contracts import Queue
from millstream_runtime import DutyResult
from millstream_streams import JobStore, Registry, for_each_queue


class Sweep(DutyResult, frozen=True):
    """The result of one pass."""

    consumers: int = 0
    workers: int = 0


class Sweeper:
    """A duty. A consumer that still holds jobs is never removed, because its pending jobs would be lost with it."""

    name = "sweeper"

    def __init__(
        self,
        store: JobStore,
        registry: Registry,
        *,
        consumer_idle_s: float,
        worker_silent_s: float,
        interval_s: float,
    ) -> None:
        self.interval_s = interval_s
        self._store = store
        self._registry = registry
        self._consumer_idle_ms = round(consumer_idle_s * 1000)
        self._worker_silent = timedelta(seconds=worker_silent_s)
        self._log = structlog.get_logger().bind(duty=self.name)

    async def run_once(self) -> Sweep:
        """Sweep every queue, and the lists of workers and of services."""
        gone = await self._registry.forget_workers(self._worker_silent)
        await self._registry.forget_services(self._worker_silent)
        for worker in gone:
            self._log.warning("worker is gone", worker=worker)
        consumers = 0

        async def sweep(queue: Queue) -> None:
            nonlocal consumers
            removed = await self._store.sweep_consumers(queue, idle_ms=self._consumer_idle_ms)
            consumers += removed

        await for_each_queue(await self._registry.queues(), sweep)
        return Sweep(consumers=consumers, workers=len(gone))
