"""The event feed of a consumer group: every event reaches one of its consumers, at least once.

An event that was read stays pending until it is acknowledged; the events of a dead consumer go to another.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

import anyio
import structlog
from redis.exceptions import ResponseError

from millstream_contracts import UNDECODABLE, Event, JobId, Queue, QueueEvents
from millstream_streams.connection.address import RedisAddress
from millstream_streams.connection.connections import BLOCKING_MARGIN_S, Client, close, connect, pipelined
from millstream_streams.connection.faults import failed, translating
from millstream_streams.connection.replies import fields_of, streams_of
from millstream_streams.errors import StoreError, StoreUnavailableError
from millstream_streams.reading.consumers import make_group
from millstream_streams.reading.snapshots import Snapshots, read_snapshots
from millstream_streams.store.keys import Keys
from millstream_streams.store.rounds import for_each_queue
from millstream_streams.store.specs import read_event

LONGEST_WAIT_S = 1.0
"""How long a read blocks. A stop waits for the read under way, and a new queue for the next one."""

CLUSTER_LOOK_EVERY_S = 0.5
"""The pause between reads on a cluster, which go queue by queue without blocking: two reads a second and queue."""

_TAKEN_AT_ONCE = 100


class EventFeed:
    """A consumer of one group. Every method may raise StoreUnavailableError and StoreError."""

    def __init__(self, address: RedisAddress, keys: Keys, client: Client, *, group: str, consumer: str) -> None:
        """Take `group`, the name of the use of the events, and `consumer`, a name that no process ever had."""
        self._is_cluster = address.is_cluster
        self._blocking = connect(address, max_connections=2, blocks_for_s=LONGEST_WAIT_S, name="millstream-events")
        self._reading = pipelined(self._blocking, answer_within_s=LONGEST_WAIT_S + BLOCKING_MARGIN_S)
        self._keys = keys
        self._client = client
        self._group = group
        self._consumer = consumer
        self._log = structlog.get_logger().bind(group=group)

    async def read(self, queues: Sequence[Queue], *, entries: int) -> list[QueueEvents]:
        """Return events of these queues that the group has not read yet, oldest first; wait if there are none.

        `entries` is the most that is read of each queue; an entry has up to a hundred jobs.
        """
        if not queues:
            await anyio.sleep(LONGEST_WAIT_S)
            return []
        if not self._is_cluster:
            try:
                return await self._read(queues, entries, block_ms=round(LONGEST_WAIT_S * 1000))
            except StoreUnavailableError:
                raise
            except StoreError:
                # One stream is broken, and a read of all does not say which.
                return await self._read_each(queues, entries)
        found = await self._read_each(queues, entries)
        if not found:
            await anyio.sleep(CLUSTER_LOOK_EVERY_S)
        return found

    async def jobs_of(self, batch: QueueEvents, *, without: Collection[JobId] = ()) -> Snapshots:
        """Return the present state of the jobs of these events, without those that Redis has deleted.

        Those of `without` are not read.
        """
        ids = list({job.id: None for event in batch.events for job in event.jobs if job.id not in without})
        return await read_snapshots(self._reading, self._keys, batch.queue, ids)

    async def acknowledge(self, batches: Iterable[QueueEvents]) -> None:
        """Acknowledge events, which may be trimmed from now on."""
        for batch in batches:
            entries = [event.entry for event in batch.events]
            if entries:
                await translating(partial(self._client.xack, self._key(batch.queue), self._group, *entries))

    async def take_over(self, queues: Sequence[Queue], *, idle_ms: int) -> list[QueueEvents]:
        """Return up to 100 events a queue that any consumer has read and not acknowledged for `idle_ms`."""

        async def take_over_one(queue: Queue) -> list[QueueEvents]:
            key = self._key(queue)
            claim = partial(self._client.xautoclaim, key, self._group, self._consumer, idle_ms, count=_TAKEN_AT_ONCE)
            try:
                reply = await translating(claim)
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise StoreError(f"{key} is no stream of events") from error
                return []
            return [await self._batch(queue, reply[1])]

        return await self._gather(queues, take_over_one)

    async def aclose(self) -> None:
        """Close the connections."""
        await close(self._reading, self._blocking)

    def _key(self, queue: Queue) -> str:
        return self._keys.of(queue).events

    async def _read_each(self, queues: Sequence[Queue], entries: int) -> list[QueueEvents]:
        return await self._gather(queues, lambda queue: self._read([queue], entries, block_ms=0))

    async def _gather(
        self, queues: Sequence[Queue], ask: Callable[[Queue], Awaitable[list[QueueEvents]]]
    ) -> list[QueueEvents]:
        """Return the results of all queues; raise the error of one only if there is no result.

        The results are pending with this consumer: if they were dropped, they would come back a minute later.
        """
        found: list[QueueEvents] = []

        async def ask_one(queue: Queue) -> None:
            batches = await ask(queue)
            found.extend(batch for batch in batches if batch.events)

        if self._is_cluster:
            # Or redis-py would learn of keys and nodes in one of the calls, while the others do without (8.1.0).
            for client in (self._client, self._reading):
                await translating(client.initialize)
        try:
            await for_each_queue(queues, ask_one)
        except StoreError as error:
            if not found:
                raise
            self._log.warning("events of a queue cannot be read", **error.fields)
        return found

    async def _read(self, queues: Sequence[Queue], entries: int, block_ms: int) -> list[QueueEvents]:
        by_key = {self._key(queue).encode(): queue for queue in queues}
        # To Redis, BLOCK 0 would mean for ever.
        block = ("BLOCK", block_ms) if block_ms else ()
        command = ("XREADGROUP", "GROUP", self._group, self._consumer, "COUNT", entries, *block, "STREAMS")
        try:
            reply = await translating(partial(self._reading.execute_command, *command, *by_key, *(">" for _ in by_key)))
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise failed("events cannot be read", error) from error
            for queue in queues:
                await make_group(self._client, self._key(queue), self._group)
            return []
        batches = [await self._batch(by_key[key], found) for key, found in streams_of(reply)]
        return [batch for batch in batches if batch.events]

    async def _batch(self, queue: Queue, entries: Iterable[Any]) -> QueueEvents:
        """Return entries as events.

        An entry that this release cannot read is acknowledged, or it would come back for ever.
        """
        events: list[Event] = []
        unreadable: list[bytes] = []
        for entry in entries:
            if not entry or entry[1] is None:
                continue  # trimmed meanwhile
            try:
                events.append(read_event(entry[0], fields_of(entry[1])))
            except (*UNDECODABLE, ValueError, KeyError):
                unreadable.append(entry[0])
        if unreadable:
            self._log.error("events cannot be read", queue=queue.tag, entries=len(unreadable))
            await translating(partial(self._client.xack, self._key(queue), self._group, *unreadable))
        return QueueEvents(queue, events)
