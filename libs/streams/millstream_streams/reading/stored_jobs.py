"""Walks all jobs that Redis has, and reads which events of a queue were lost: what the history is repaired from."""

from collections.abc import AsyncIterator, Iterable, Sequence

from msgspec import Struct

from millstream_contracts import JobId, Queue, queue_of
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import REDIS_ERRORS, failed, with_retries
from millstream_streams.connection.replies import ask_many
from millstream_streams.reading.snapshots import Snapshots, read_snapshots
from millstream_streams.store.keys import Keys

KEYS_AT_ONCE = 1_000
"""The keys that Redis looks at in one step of a walk, which takes it half a millisecond."""


class Gap(Struct, frozen=True):
    """Events of a queue that were trimmed before the history had seen them: entry ids, both included."""

    first: str
    last: str

    @property
    def first_ms(self) -> int:
        """Return when the oldest was written, Unix ms."""
        return int(self.first.partition("-")[0])

    @property
    def last_ms(self) -> int:
        """Return when the newest was written at the latest, Unix ms."""
        return int(self.last.partition("-")[0])


class StoredJobs:
    """Reads of many jobs. Every method may raise StoreUnavailableError and StoreError."""

    def __init__(self, client: Client, walking: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._walking = walking
        """A client of its own connections: a walk of a cluster asks node by node."""
        self._keys = keys
        self._patience_s = patience_s

    async def gaps(self, queues: Sequence[Queue]) -> dict[Queue, Gap]:
        """Return the gaps of those of these queues that have one."""
        commands = [("HMGET", self._keys.of(queue).settings, "gap_first", "gap_last") for queue in queues]

        async def read(_: int) -> list[list[bytes | None]]:
            return await ask_many(self._client, commands)

        found = await with_retries(read, self._patience_s, lambda: None) if commands else []
        return {
            queue: Gap(first.decode(), last.decode())
            for queue, (first, last) in zip(queues, found, strict=True)
            if first and last
        }

    async def snapshots(self, queue: Queue, ids: Sequence[JobId]) -> Snapshots:
        """Return those of these jobs that Redis has, as they are now."""
        return await read_snapshots(self._client, self._keys, queue, ids)

    async def walk(self, queues: Iterable[Queue]) -> AsyncIterator[dict[Queue, list[JobId]]]:
        """Yield the ids of all jobs of these queues, some at a time; one that moves meanwhile may come twice.

        Redis walks all of its keys for it, KEYS_AT_ONCE in each step, also for a queue with few jobs.
        """
        prefixes = {self._keys.of(queue).job_prefix: queue for queue in queues}
        keys = self._walking.scan_iter(match=f"{self._keys.namespace}:{{*}}:job:*", count=KEYS_AT_ONCE)
        found: dict[Queue, list[JobId]] = {}
        number = 0
        try:
            async for key in keys:
                head, mark, job_id = key.decode().rpartition(":job:")
                queue = prefixes.get(head + mark)
                if queue is not None and queue_of(queue.tenant, job_id) == queue:
                    found.setdefault(queue, []).append(JobId(job_id))
                number += 1
                if number >= KEYS_AT_ONCE:
                    yield found
                    found, number = {}, 0
        except REDIS_ERRORS as error:
            raise failed("the keys of Redis cannot be walked", error) from error
        yield found
