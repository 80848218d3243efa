"""Which queues the group `webhooks` reads, and where it is removed again: a group without a reader pins the stream."""

import time
from collections.abc import Iterable

from millstream_contracts import Queue
from millstream_dispatcher.webhooks.endpoint_book import EndpointBook
from millstream_streams import Broker
from millstream_webhooks import CALL_TYPE

LOOK_EVERY_S = 1.0
SWEEP_EVERY_S = 60.0
"""How often all other queues are looked at for a group that is left over."""
NOTED_FOR_S = 600.0
"""How long a note of callbacks is kept at least: a submission that has noted its queue is stored within this time."""


class EventQueues:
    """The queues whose events are wanted by an endpoint, or by the callback of a job."""

    def __init__(self, broker: Broker, book: EndpointBook) -> None:
        self._broker = broker
        self._book = book
        self._look_at = self._sweep_at = 0.0
        self.wanted: list[Queue] = []

    async def look(self) -> list[Queue]:
        """Return the queues to read. Raises: HistoryError, StoreError."""
        now = time.monotonic()
        if now < self._look_at:
            return self.wanted
        endpoints = await self._book.look()
        known = await self._broker.registry.queues()
        noted = await self._broker.registry.callback_queues()
        tenants = {endpoint.tenant for endpoint in endpoints}
        of_endpoints = {queue for queue in known if self._book.wanting(queue)}
        # What becomes of deliveries says whether an endpoint fails.
        of_deliveries = {queue for queue in known if queue.type == CALL_TYPE and queue.tenant in tenants}
        ended = await self._forget(
            queue for queue, at_ms in noted.items() if _is_old(at_ms) and queue not in of_endpoints
        )
        wanted = of_endpoints | of_deliveries | (noted.keys() - ended)
        left = {*self.wanted} - wanted
        if now >= self._sweep_at:
            left = {*known} - wanted
            self._sweep_at = now + SWEEP_EVERY_S
        await self._leave(left)
        self.wanted = sorted(wanted)
        self._look_at = now + LOOK_EVERY_S
        return self.wanted

    async def _leave(self, queues: Iterable[Queue]) -> None:
        for queue in queues:
            await self._broker.store.leave_events(queue)

    async def _forget(self, queues: Iterable[Queue]) -> set[Queue]:
        """Forget the notes of queues of which no job has a callback any more. Returns: these queues."""
        ended = {queue for queue in queues if await self._broker.store.leave_events(queue)}
        await self._broker.registry.forget_callbacks(ended)
        return ended


def _is_old(noted_ms: int) -> bool:
    return time.time() - noted_ms / 1000 > NOTED_FOR_S
