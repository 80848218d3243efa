"""Takes up queues that were found: what their handlers declare holds before the first job of one is taken.

A type has its partitions in every tenant, so all of them are taken up with the first: limits are parts of the whole.
They are given up together too, when all of them are dormant.
"""

from collections.abc import Collection, Mapping, Sequence

from millstream.handler import Handler
from millstream_contracts import JobType, Queue
from millstream_streams import ReadyReader, Registry
from millstream_workers.death_announcer import DeathAnnouncer
from millstream_workers.fetching.fetcher import Fetcher
from millstream_workers.keeping.holder import Holder
from millstream_workers.registrar import Registrar


class Enroller:
    """Tells the parts of a worker of further queues."""

    def __init__(
        self,
        registry: Registry,
        handlers: Mapping[JobType, Handler],
        *,
        known: Collection[Queue],
        registrar: Registrar,
        announcer: DeathAnnouncer,
        holder: Holder,
        fetcher: Fetcher,
        reader: ReadyReader,
    ) -> None:
        """Take `known`, the queues that the parts know already."""
        self._registry = registry
        self._handlers = handlers
        self._own = frozenset(known)
        """Queues that this worker registers itself, again and again."""
        self._known = set(known)
        self._registrar = registrar
        self._announcer = announcer
        self._holder = holder
        self._fetcher = fetcher
        self._reader = reader

    def knows(self, queue: Queue) -> bool:
        """Return whether a queue is taken up already."""
        return queue in self._known

    async def enroll(self, found: Sequence[Queue]) -> None:
        """Take up queues of this worker's types, with the other partitions of these. Raises: StoreError."""
        owners = {(queue.tenant, queue.type) for queue in found}
        partitions = (
            Queue(tenant, job_type, number)
            for tenant, job_type in owners
            for number in range(self._handlers[job_type].policy.partitions)
        )
        queues = sorted({*found, *partitions} - self._known)
        await self._registry.add_queues(queues)
        await self._registrar.take_up(queues)
        await self._announcer.begin(queues)
        # Noted afterwards: what could not be taken up is found again.
        self._known.update(queues)
        self._holder.partitions.add(queues)
        self._fetcher.add(queues)
        if self._reader.is_blocked:
            await self._reader.interrupt()

    def keep(self, registered: Collection[Queue]) -> None:
        """Give up the queues that are not registered any more, but for those of this worker's own tenants."""
        awake = {(queue.tenant, queue.type) for queue in registered}
        dormant = [queue for queue in self._known - self._own if (queue.tenant, queue.type) not in awake]
        if dormant:
            removed = self._fetcher.remove(dormant)
            self._known.difference_update(removed)
            self._registrar.give_up(removed)
            self._holder.partitions.remove(removed)
