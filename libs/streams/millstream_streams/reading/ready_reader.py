"""The blocking read with which an idle worker waits for the next job."""

import secrets
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import anyio
from redis.exceptions import ResponseError

from millstream_contracts import JobId, Queue
from millstream_streams.connection.address import RedisAddress
from millstream_streams.connection.connections import BLOCKING_MARGIN_S, Client, close, connect, pipelined
from millstream_streams.connection.faults import failed, translating
from millstream_streams.connection.replies import fields_of, streams_of
from millstream_streams.errors import StoreError, StoreFullError
from millstream_streams.reading.consumers import make_group
from millstream_streams.store.deliveries import ReadEntry
from millstream_streams.store.keys import GROUP, Keys

MAX_BLOCK_S = 2.0
"""The longest block. A worker that stops waits for its read: cancelling one that was served would strand its job."""

CLUSTER_BLOCK_S = 0.5
"""On a cluster the reads of all queues end together, so a job may wait this long for them. An idle worker costs two
reads a second and queue."""


class ReadyReader:
    """Waits for a job on any of several queues, over connections that do nothing else.

    One connection serves all queues of a single Redis. On a cluster each queue has its own read, since one command
    cannot span slots.
    """

    def __init__(self, address: RedisAddress, keys: Keys, control: Client) -> None:
        self._is_cluster = address.is_cluster
        self._name = f"millstream-reader-{secrets.token_hex(8)}"
        self._client: Client = connect(address, max_connections=2, blocks_for_s=MAX_BLOCK_S, name=self._name)
        self._reading = pipelined(self._client, answer_within_s=MAX_BLOCK_S + BLOCKING_MARGIN_S)
        self._keys = keys
        self._control = control
        """A second client, because the connections of this one are blocked."""
        self.is_blocked = False
        """Whether a read that blocks is under way."""
        self.failed: set[Queue] = set()
        """Queues that the last wait could not read while it read others: nodes of a cluster fail one by one."""

    async def wait(self, queues: Sequence[Queue], *, consumer: str, block_ms: int) -> list[ReadEntry]:
        """Return the entries that became ready, or none after `block_ms`, which may be 0.

        The entries are then pending with this consumer. The read takes one entry of each stream, so that a job wakes
        one worker. When the call fails, entries may still have been delivered: the next claim of these queues, or of
        those in `failed`, must `resume`. Raises: StoreUnavailableError, StoreError.
        """
        self.is_blocked = block_ms > 0
        try:
            return await self._wait(queues, consumer, block_ms)
        finally:
            self.is_blocked = False

    async def _wait(self, queues: Sequence[Queue], consumer: str, block_ms: int) -> list[ReadEntry]:
        if not self._is_cluster:
            return await self._read(queues, consumer, block_ms)
        found: list[ReadEntry] = []
        failures: dict[Queue, StoreError] = {}
        if len(queues) > 1:
            block_ms = min(block_ms, round(CLUSTER_BLOCK_S * 1000))

        async def read_one(queue: Queue) -> None:
            try:
                found.extend(await self._read([queue], consumer, block_ms))
            except StoreError as error:
                failures[queue] = error

        async with anyio.create_task_group() as group:
            for queue in queues:
                group.start_soon(read_one, queue)
        if failures and len(failures) == len(queues):
            raise next(iter(failures.values()))
        self.failed = set(failures)
        return found

    async def interrupt(self) -> bool:
        """End the read that is under way, without loss: the jobs that it would have returned stay in their streams.

        Returns: False where that is impossible, on a cluster or without the right; then the read ends by itself, within
        :data:`MAX_BLOCK_S`.
        """
        if self._is_cluster:
            return False
        try:
            for client in await translating(lambda: self._control.client_list(_type="normal")):
                if client["name"] == self._name:
                    await translating(partial(self._control.client_unblock, int(client["id"])))
        except (StoreError, ResponseError):
            return False
        return True

    async def close(self) -> None:
        """Close the connections."""
        await close(self._reading, self._client)

    async def _read(self, queues: Sequence[Queue], consumer: str, block_ms: int) -> list[ReadEntry]:
        places = {
            key.encode(): (queue, index)
            for index in (1, 2, 3)
            for queue in queues
            for key in (self._keys.of(queue).ready[index - 1],)
        }
        # To Redis, BLOCK 0 would mean for ever.
        block = ("BLOCK", block_ms) if block_ms else ()
        command = ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", 1, *block, "STREAMS")
        marks = (">",) * len(places)

        async def read() -> Any:
            try:
                return await self._reading.execute_command(*command, *places, *marks, **await self._node(places))
            except anyio.get_cancelled_exc_class():
                if not self._is_cluster:
                    # Else Redis would hand a job to a read that was given up. The client of a cluster does so itself.
                    self._reading.abort()
                raise

        try:
            reply = await translating(read)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise failed("a blocking read failed", error) from error
            await self._make_groups(queues)
            return []
        return [_entry(*places[stream], entry) for stream, entries in streams_of(reply) for entry in entries]

    async def _node(self, keys: Iterable[bytes]) -> dict[str, Any]:
        """Return the node for a command with these keys, which redis-py would have to ask the server for."""
        if not self._is_cluster:
            return {}
        await self._client.initialize()
        return {"target_nodes": self._client.get_node_from_key(next(iter(keys)).decode())}

    async def _make_groups(self, queues: Sequence[Queue]) -> None:
        for queue in queues:
            for key in self._keys.of(queue).ready:
                try:
                    await make_group(self._client, key, GROUP)
                except StoreFullError:
                    return  # a claim makes the group of what it reads


def _entry(queue: Queue, index: int, entry: Any) -> ReadEntry:
    entry_id, fields = entry
    return ReadEntry(queue, index, entry_id.decode(), JobId(fields_of(fields)[b"id"].decode()))
