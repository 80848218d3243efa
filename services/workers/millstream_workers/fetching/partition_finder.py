"""Finds partitions in which another release of an application has left jobs of this worker's types.

Releases may have a type in different numbers of partitions. After an upgrade or a rollback only one release is left: it
reads the partitions of the other one too, so that no job waits there for ever.
"""

from collections.abc import Callable, Collection

import structlog

from millstream_contracts import JobType, Queue, Tenant
from millstream_runtime import DutyResult
from millstream_streams import Registry


class PartitionFinder:
    """A duty. Partitions are never given up again: a delayed job or a redriven one may come back to any."""

    name = "partition-finder"
    interval_s = 10.0

    def __init__(
        self,
        registry: Registry,
        tenant: Tenant,
        types: Collection[JobType],
        *,
        known: Collection[Queue],
        found: Callable[[list[Queue]], None],
    ) -> None:
        """Take `known`, the queues that the worker reads already; `found` is called with further ones."""
        self._registry = registry
        self._tenant = tenant
        self._types = types
        self._known = set(known)
        self._found = found
        self._log = structlog.get_logger().bind()

    async def run_once(self) -> DutyResult:
        """Look for new partitions."""
        queues = await self._registry.queues(self._tenant)
        further = [queue for queue in queues if queue.type in self._types and queue not in self._known]
        if further:
            self._log.info("reading partitions of another release", queues=[queue.tag for queue in further])
            self._known.update(further)
            self._found(further)
        return DutyResult()
