"""Counts how many jobs of a tenant run."""

from millstream_contracts import Queue, Tenant
from millstream_streams import Broker, for_each_queue


async def count_running(broker: Broker, tenant: Tenant) -> int:
    """Return how many jobs of a tenant run. Raises: StoreError."""
    found: list[int] = []

    async def measure(queue: Queue) -> None:
        depths = await broker.store.measure(queue)
        found.append(depths.running)

    await for_each_queue(await broker.registry.queues(tenant), measure)
    return sum(found)
