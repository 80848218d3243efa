"""Holds the other partitions of a type back when a handler does so with its own: a script sees one of them alone."""

from collections.abc import Iterable
from contextlib import suppress

from millstream_contracts import JobId, Queue
from millstream_streams import SettingsStore, StoreError
from millstream_workers.partitions import Partitions


class Holder:
    """Knows the partitions of the types of this worker."""

    def __init__(self, settings: SettingsStore, queues: Iterable[Queue]) -> None:
        self._settings = settings
        self.partitions = Partitions(queues)
        """Those that it knows."""

    async def hold_others(self, queue: Queue, *, after_ms: int, job_id: JobId) -> None:
        """Hold back all partitions of a type but this one, which is held back already.

        One that cannot be reached is held back by the first of its own jobs that is told to come back later.
        """
        for other in self.partitions.beside(queue):
            if other != queue:
                with suppress(StoreError):
                    await self._settings.hold(other, after_ms=after_ms, job_id=job_id)
