"""Finds further queues of this worker's types: those of other tenants, and partitions of another release.

The queue of a tenant is there from its first job on, and not while it is dormant (ADR 125). A hint names one that is
new or was dormant; a lost hint is made up for by counting the queues every second.

Releases may have a type in different numbers of partitions. After an upgrade or a rollback only one release is left: it
reads the partitions of the other one too, so that no job waits there for ever.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Iterable

import structlog

from millstream_contracts import JobType, Queue
from millstream_runtime import DutyResult, Wake
from millstream_streams import Registry
from millstream_workers.serving import Served

READ_EVERY_S = 10.0
"""How often all queues are read, although there are as many as before."""

FOUND_AT_ONCE = 500
"""Queues that are taken up in one pass, so that the jobs of the first do not wait for all others."""

SHOWN = 20


class PartitionFinder:
    """A duty."""

    name = "partition-finder"
    interval_s = 1.0

    def __init__(
        self,
        registry: Registry,
        served: Served,
        types: Collection[JobType],
        *,
        is_known: Callable[[Queue], bool],
        found: Callable[[list[Queue]], Awaitable[None]],
        keep: Callable[[Collection[Queue]], None],
    ) -> None:
        """`is_known` says which queues the worker reads already; `found` is called with further ones.

        `keep` is called with all that are registered, now and then.
        """
        self.wake = Wake()
        self._registry = registry
        self._served = served
        self._types = types
        self._is_known = is_known
        self._found = found
        self._keep = keep
        self._hinted: set[Queue] = set()
        self._counted = -1
        self._read_at = -READ_EVERY_S
        self._log = structlog.get_logger().bind()

    def hint(self, queue: Queue) -> None:
        """Note a queue that is new, or was dormant."""
        if queue.type in self._types and self._served.among([queue]):
            self._hinted.add(queue)
            self.wake.set()

    def look_again(self) -> None:
        """Look at all queues now: hints may have been lost."""
        self._read_at = -READ_EVERY_S
        self.wake.set()

    async def run_once(self) -> DutyResult:
        """Look for new queues, where there are more than before or the last look was long ago."""
        if self._hinted:
            hinted, self._hinted = sorted(self._hinted), set()
            result = await self._take_up(hinted)
            if result.more:
                self.look_again()
            return result
        counted = await self._registry.count_queues()
        if counted == self._counted and time.monotonic() < self._read_at + READ_EVERY_S:
            return DutyResult()
        queues = self._served.among(await self._registry.queues())
        self._keep({*queues})
        result = await self._take_up(queue for queue in queues if queue.type in self._types)
        if not result.more:
            self._counted, self._read_at = counted, time.monotonic()
        return result

    async def _take_up(self, queues: Iterable[Queue]) -> DutyResult:
        """Take up those of these queues that are not read yet. Returns: whether there are more."""
        further = [queue for queue in queues if not self._is_known(queue)]
        now = further[:FOUND_AT_ONCE]
        if now:
            self._log.info("reading further queues", queues=[queue.tag for queue in now[:SHOWN]], count=len(now))
            await self._found(now)
        return DutyResult(more=len(further) > len(now))
