"""The live feed: the events of queues as they are written, for those who follow them. It has no group and no state.

A reader keeps its positions. An event that was trimmed before it was read is missing, and nothing waits for a reader.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio
import structlog
from msgspec import Struct
from redis.exceptions import ResponseError

from millstream_contracts import UNDECODABLE, Event, Queue, QueueEvents
from millstream_streams.connection.address import RedisAddress
from millstream_streams.connection.connections import BLOCKING_MARGIN_S, Client, close, connect, pipelined
from millstream_streams.connection.faults import failed, translating
from millstream_streams.connection.replies import fields_of, streams_of
from millstream_streams.errors import StoreError, StoreUnavailableError
from millstream_streams.reading.event_feed import CLUSTER_LOOK_EVERY_S, LONGEST_WAIT_S
from millstream_streams.store.keys import Keys
from millstream_streams.store.rounds import for_each_queue
from millstream_streams.store.specs import read_event

T = TypeVar("T")

LIVE_KEPT_S = 60.0
"""How long an event stays in Redis for those who resume, whatever else has seen it; a full stream gives up sooner."""

FEWEST_KEPT = 1_000
"""The least number of entries to which a full stream is cut (`MILLSTREAM_EVENTS_KEPT`)."""

_ENTRIES_AT_ONCE = 200


class Resumption(Struct, frozen=True):
    """The events of one queue since a moment."""

    events: QueueEvents
    is_complete: bool
    """Whether none of them is missing, as far as Redis can tell."""


class LiveFeed:
    """Reads events. Every method may raise StoreUnavailableError and StoreError."""

    def __init__(self, address: RedisAddress, keys: Keys, client: Client) -> None:
        self._is_cluster = address.is_cluster
        self._blocking = connect(address, max_connections=2, blocks_for_s=LONGEST_WAIT_S, name="millstream-live")
        self._reading = pipelined(self._blocking, answer_within_s=LONGEST_WAIT_S + BLOCKING_MARGIN_S)
        self._keys = keys
        self._client = client
        self._log = structlog.get_logger()

    async def read(self, positions: Mapping[Queue, str]) -> dict[Queue, tuple[str, list[Event]]]:
        """Return what came behind these entries: by queue the new position and the events; wait if there is nothing."""
        if not self._is_cluster:
            try:
                return await self._read(positions, block_ms=round(LONGEST_WAIT_S * 1000))
            except StoreUnavailableError:
                raise
            except StoreError:
                # One stream is broken, and a read of all does not say which.
                return await self._read_each(positions)
        found = await self._read_each(positions)
        if not found:
            await anyio.sleep(CLUSTER_LOOK_EVERY_S)
        return found

    async def since(self, queue: Queue, ms: int, *, most: int) -> Resumption:
        """Return the events of a queue from this moment on by the clock of Redis, up to `most` entries.

        It is not complete when there are more, or when a full stream may have lost some of them.
        """
        key = self._keys.of(queue).events
        entries = await self._ask(partial(self._client.xrange, key, f"{ms}-0", "+", count=most + 1))
        is_complete = len(entries) <= most and not await self._may_be_cut(key, ms)
        _, events = self._events(queue, entries[:most])
        return Resumption(QueueEvents(queue, events), is_complete)

    async def aclose(self) -> None:
        """Close the connections."""
        await close(self._reading, self._blocking)

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await translating(call)
        except ResponseError as error:
            raise failed("events cannot be read", error) from error

    async def _may_be_cut(self, key: str, ms: int) -> bool:
        """Return whether a stream that begins after a moment is long enough to have been cut since."""
        first = await translating(partial(self._client.xrange, key, count=1))
        if not first or int(first[0][0].partition(b"-")[0]) <= ms:
            return False
        return bool(await translating(partial(self._client.xlen, key)) >= FEWEST_KEPT)

    async def _read_each(self, positions: Mapping[Queue, str]) -> dict[Queue, tuple[str, list[Event]]]:
        found: dict[Queue, tuple[str, list[Event]]] = {}

        async def read_one(queue: Queue) -> None:
            try:
                found.update(await self._read({queue: positions[queue]}, block_ms=0))
            except StoreUnavailableError:
                raise
            except StoreError as error:
                self._log.warning("events of a queue cannot be followed", queue=queue.tag, **error.fields)

        if self._is_cluster:
            await translating(self._reading.initialize)
        await for_each_queue(list(positions), read_one)
        return found

    async def _read(self, positions: Mapping[Queue, str], block_ms: int) -> dict[Queue, tuple[str, list[Event]]]:
        by_key = {self._keys.of(queue).events.encode(): queue for queue in positions}
        # To Redis, BLOCK 0 would mean for ever.
        block = ("BLOCK", block_ms) if block_ms else ()
        command = ("XREAD", "COUNT", _ENTRIES_AT_ONCE, *block, "STREAMS", *by_key, *positions.values())
        reply = await self._ask(partial(self._reading.execute_command, *command))
        return {by_key[key]: self._events(by_key[key], entries) for key, entries in streams_of(reply)}

    def _events(self, queue: Queue, entries: Sequence[Any]) -> tuple[str, list[Event]]:
        """Return the last of some entries, and their events without those that this release cannot read."""
        events: list[Event] = []
        unreadable = 0
        for entry in entries:
            try:
                events.append(read_event(entry[0], fields_of(entry[1])))
            except (*UNDECODABLE, ValueError, KeyError):
                unreadable += 1
        if unreadable:
            self._log.error("events cannot be read", queue=queue.tag, entries=unreadable)
        return (entries[-1][0].decode() if entries else ""), events
