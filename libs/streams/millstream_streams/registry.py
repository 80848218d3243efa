"""What exists: queues, job types, workers. Plain keys, rewritten by whoever is alive, so that a loss heals."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from millstream_contracts import UNDECODABLE, JobType, Queue, Tenant, TypeRegistration, WorkerInfo
from millstream_streams.connections import Client
from millstream_streams.faults import persist
from millstream_streams.keys import Keys

T = TypeVar("T")

_encode = msgspec.msgpack.encode
_decode_type = msgspec.msgpack.Decoder(TypeRegistration).decode
_decode_worker = msgspec.msgpack.Decoder(WorkerInfo).decode


class Registry:
    """Reads and writes what exists. Every method may raise StoreUnavailableError."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._keys = keys
        self._patience_s = patience_s

    async def add_queues(self, queues: Iterable[Queue]) -> None:
        """Make queues known. Do so before the first job is stored: what is not known is not looked after."""
        tags = [queue.tag for queue in queues]
        if tags:
            await self._call(lambda: self._client.sadd(self._keys.queues, *tags))

    async def queues(self, tenant: Tenant | None = None) -> list[Queue]:
        """Return all known queues, or those of one tenant, sorted."""
        tags = await self._call(lambda: self._client.smembers(self._keys.queues))
        found = (_queue(tag) for tag in tags)
        return sorted(queue for queue in found if queue and (tenant is None or queue.tenant == tenant))

    async def add_types(self, tenant: Tenant, registrations: Iterable[TypeRegistration]) -> None:
        """Publish how job types are handled. The newest worker to start has the last word."""
        fields = {f"{tenant}/{one.type}": _encode(one) for one in registrations}
        if fields:
            await self._call(lambda: self._client.hset(self._keys.types, mapping=fields))

    async def types(self, tenant: Tenant) -> dict[JobType, TypeRegistration]:
        """Return the registered job types of a tenant."""
        fields = await self._call(lambda: self._client.hgetall(self._keys.types))
        prefix = f"{tenant}/".encode()
        read = (_read(_decode_type, value) for name, value in fields.items() if name.startswith(prefix))
        found = sorted((one for one in read if one), key=lambda one: one.type)
        return {registration.type: registration for registration in found}

    async def beat(self, worker: WorkerInfo) -> None:
        """Note that a worker is alive."""
        await self._call(lambda: self._client.hset(self._keys.workers, worker.name, _encode(worker)))

    async def leave(self, name: str) -> None:
        """Forget a worker that has stopped."""
        await self._call(lambda: self._client.hdel(self._keys.workers, name))

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers that have not been forgotten yet, by name."""
        fields = await self._call(lambda: self._client.hgetall(self._keys.workers))
        read = (_read(_decode_worker, value) for value in fields.values())
        return sorted((worker for worker in read if worker), key=lambda worker: worker.name)

    async def forget_workers(self, silent_for: timedelta) -> list[str]:
        """Forget the workers that have not been seen for so long, and what is no worker. Returns: their names."""
        limit = datetime.now(UTC) - silent_for
        fields = await self._call(lambda: self._client.hgetall(self._keys.workers))
        read = {name: _read(_decode_worker, value) for name, value in fields.items()}
        gone = [name for name, worker in read.items() if worker is None or worker.seen_at < limit]
        if gone:
            await self._call(lambda: self._client.hdel(self._keys.workers, *gone))
        return [name.decode(errors="replace") for name in gone]

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        return await persist(lambda _: call(), self._patience_s, lambda: None)


def _read(decode: Callable[[bytes], T], value: bytes) -> T | None:
    """Return an entry; None for one that this release cannot read, for the others must go on."""
    try:
        return decode(value)
    except UNDECODABLE:
        return None


def _queue(tag: bytes) -> Queue | None:
    """Return the queue of a tag; None when somebody else wrote it, for the other queues must go on."""
    try:
        return Queue.from_tag(tag.decode())
    except ValueError:
        return None
