"""Counts the jobs of the queues by type, each summed over its partitions, and the workers that these jobs want."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import structlog

from millstream_contracts import Demand, JobType, Queue, QueueStatus, Tenant, is_among
from millstream_ingest.inspection.name_pages import page_of
from millstream_streams import (
    Broker,
    Depths,
    StoreError,
    StoreUnavailableError,
    available,
    demand_of,
    for_each_queue,
    sum_depths,
)
from millstream_submission import TypeCatalogue


class QueueStats:
    """Measures queues. Every method may raise StoreUnavailableError."""

    def __init__(self, broker: Broker, catalogue: TypeCatalogue, *, due_soon_s: float) -> None:
        self._clock = broker.clock
        self._store = broker.store
        self._registry = broker.registry
        self._catalogue = catalogue
        self._due_soon_s = due_soon_s
        self._log = structlog.get_logger()

    async def page(
        self, tenant: Tenant, *, cursor: str | None, limit: int, types: Sequence[str] = ()
    ) -> tuple[list[QueueStatus], str | None]:
        """Return a page of types, by name, and the cursor of the next. Raises: CursorError.

        `types` are patterns that leave out all others, where there are any.
        """
        by_type = await self._queues(tenant)
        names = sorted(one for one in by_type if not types or is_among(one, types))
        shown, next_cursor = page_of(names, str, cursor, limit)
        return await self._measure({job_type: by_type[job_type] for job_type in shown}), next_cursor

    async def one(self, tenant: Tenant, job_type: JobType) -> QueueStatus | None:
        """Return the counts of one type, or None when there is no such type."""
        by_type = await self._queues(tenant)
        if job_type not in by_type:
            return None
        [status] = await self._measure({job_type: by_type[job_type]})
        return status

    async def demand(self, tenant: Tenant | None, takes: Callable[[str], bool]) -> Demand:
        """Return what the jobs of some types ask of the workers that take one of these types; None for all tenants."""
        queues = [queue for queue in await self._registry.queues(tenant) if takes(queue.type)]
        depths = await self._depths(queues)
        workers = available(await self._registry.workers(), self._clock.now_ms())
        return demand_of(depths.values(), [worker for worker in workers if any(map(takes, worker.types))])

    async def _queues(self, tenant: Tenant) -> dict[JobType, list[Queue]]:
        """Return the queues of each type; a type that was registered and never used has none yet."""
        by_type: defaultdict[JobType, list[Queue]] = defaultdict(list)
        for queue in await self._registry.queues(tenant, with_dormant=True):
            by_type[queue.type].append(queue)
        for job_type in await self._catalogue.of(tenant):
            by_type.setdefault(job_type, [])
        return by_type

    async def _measure(self, by_type: dict[JobType, list[Queue]]) -> list[QueueStatus]:
        depths = await self._depths(queue for queues in by_type.values() for queue in queues)
        return [
            sum_depths(job_type, [depths[queue] for queue in queues if queue in depths])
            for job_type, queues in by_type.items()
        ]

    async def _depths(self, queues: Iterable[Queue]) -> dict[Queue, Depths]:
        depths: dict[Queue, Depths] = {}

        async def measure(queue: Queue) -> None:
            try:
                depths[queue] = await self._store.measure(queue, due_soon_s=self._due_soon_s)
            except StoreUnavailableError:
                raise
            except StoreError as error:
                # Something else has written one of its keys: the other queues are counted all the same.
                self._log.warning("queue cannot be measured", error=str(error))

        await for_each_queue(queues, measure)
        return depths
