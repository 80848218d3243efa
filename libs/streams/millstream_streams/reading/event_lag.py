"""Tells how far a consumer group is behind with the events of some queues."""

from collections.abc import Sequence

from msgspec import Struct
from redis.exceptions import ResponseError

from millstream_contracts import Queue
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import with_retries
from millstream_streams.store.keys import Keys
from millstream_streams.store.rounds import for_each_queue


class Lag(Struct, frozen=True):
    """How far a group is behind."""

    oldest_ms: int | None
    """When the oldest event was written that the group has not acknowledged, by the clock of Redis; None without one.
    """


class EventLag:
    """Looks at consumer groups. Every method may raise StoreUnavailableError."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._keys = keys
        self._patience_s = patience_s

    async def of(self, group: str, queues: Sequence[Queue]) -> Lag | None:
        """Return the lag of a group over all of these queues; None when it has never read any of them."""
        found: list[Lag] = []

        async def look(queue: Queue) -> None:
            key = self._keys.of(queue).events
            lag = await with_retries(lambda _: self._look(key, group), self._patience_s, lambda: None)
            if lag is not None:
                found.append(lag)

        await for_each_queue(queues, look)
        if not found:
            return None
        return Lag(min((lag.oldest_ms for lag in found if lag.oldest_ms is not None), default=None))

    async def _look(self, key: str, group: str) -> Lag | None:
        try:
            groups = {one["name"]: one for one in await self._client.xinfo_groups(key)}
        except ResponseError:
            return None  # no such stream: nothing has happened there
        ours = groups.get(group.encode())
        if ours is None:
            return None
        if ours["pending"]:
            pending = await self._client.xpending(key, group)
            oldest = pending["min"]
        else:
            entries = await self._client.xrange(key, min=f"({ours['last-delivered-id'].decode()}", max="+", count=1)
            oldest = entries[0][0] if entries else None
        return Lag(int(oldest.partition(b"-")[0]) if oldest else None)
