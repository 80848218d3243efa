"""The registry of queues, job types, workers and services, which is written again and again, so that a loss heals."""

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from millstream_contracts import (
    UNDECODABLE,
    Incident,
    JobType,
    Queue,
    ServiceInfo,
    Tenant,
    TypeRegistration,
    WorkerInfo,
    moment,
)
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import REDIS_ERRORS, failed, with_retries
from millstream_streams.connection.replies import ask_many, fields_of, unless_wrong_type
from millstream_streams.reading.registrations import (
    Registrations,
    Start,
    digest,
    encode_release,
    read_registrations,
)
from millstream_streams.store.keys import Keys
from millstream_streams.store.scripting import FLEET, Argument, load_script, run_script
from millstream_streams.store.tenant_quotas import TenantQuotas

T = TypeVar("T")
Process = TypeVar("Process", WorkerInfo, ServiceInfo)

_encode = msgspec.msgpack.encode
_decode_incident = msgspec.msgpack.Decoder(Incident).decode
_SEEN = re.compile(rb"(\d+) (.*)", re.DOTALL)


class Registry:
    """Reads and writes the registry. Every method may raise StoreUnavailableError."""

    def __init__(
        self, client: Client, keys: Keys, quotas: TenantQuotas | None = None, *, patience_s: float = 5.0
    ) -> None:
        """Take the quotas of tenants, which the test kit does not have."""
        self._client = client
        self._keys = keys
        self._quotas = quotas
        self._patience_s = patience_s

    async def add_queues(self, queues: Iterable[Queue]) -> None:
        """Register queues before a job is stored in them: services look at registered queues only.

        A dormant queue is woken by it. Who puts jobs into a queue does so again and again (ADR 125). One of a tenant
        with a quota of running jobs has a part of it from then on, which is nothing at first (ADR 130).
        """
        queues = list(queues)
        tags = [queue.tag for queue in queues]
        if tags and await self._call(lambda: self._client.sadd(self._keys.queues, *tags)):
            await self.end_rest(queues)
            await self._call(lambda: self._client.publish(self._keys.hint_queues, " ".join(tags)))
        # Also of queues that were registered before: that process may have died before it got here.
        if self._quotas is not None:
            await self._quotas.begin(queues)

    async def queues(self, tenant: Tenant | None = None, *, with_dormant: bool = False) -> list[Queue]:
        """Return the queues that services look at, of all tenants or of one, sorted; with the dormant ones if asked."""
        tags = await self._call(lambda: unless_wrong_type(self._client.smembers(self._keys.queues), set()))
        if with_dormant:
            tags = {*tags, *await self._dormant()}
        found = (_queue(tag) for tag in tags)
        return sorted(queue for queue in found if queue and (tenant is None or queue.tenant == tenant))

    async def count_queues(self) -> int:
        """Return how many queues services look at."""
        return int(await self._call(lambda: unless_wrong_type(self._client.scard(self._keys.queues), 0)))

    async def rest_queues(self, queues: Iterable[Queue], at_ms: int) -> None:
        """Let queues be dormant in which nothing is left to do; `at_ms` is the Unix time of Redis.

        They are noted once more at the end: in between, one may have been woken, which left it in neither place.
        """
        tags = [queue.tag for queue in queues]
        if tags:
            noted = dict.fromkeys(tags, at_ms)
            await self._call(lambda: self._client.zadd(self._keys.dormant, noted))
            await self._call(lambda: self._client.srem(self._keys.queues, *tags))
            await self._call(lambda: self._client.zadd(self._keys.dormant, noted))

    async def end_rest(self, queues: Iterable[Queue]) -> None:
        """Note that queues are dormant no longer; they are registered already, or there is nothing left of them."""
        tags = [queue.tag for queue in queues]
        if tags:
            await self._call(lambda: self._client.zrem(self._keys.dormant, *tags))

    async def dormant_queues(self, since_ms: int | None = None) -> list[Queue]:
        """Return the dormant queues, or those that are so since this Unix time of Redis or later, sorted."""
        tags = await self._dormant("-inf" if since_ms is None else since_ms)
        return sorted(queue for queue in (_queue(tag) for tag in tags) if queue)

    async def _dormant(self, since_ms: int | str = "-inf") -> list[bytes]:
        read = partial(self._client.zrangebyscore, self._keys.dormant, since_ms, "+inf")
        return list(await self._call(lambda: unless_wrong_type(read(), [])))

    async def note_callbacks(self, queues: Iterable[Queue]) -> None:
        """Note queues before a job with a callback is stored in them, so that every dispatcher reads their events."""
        now_ms = str(time.time_ns() // 1_000_000)
        noted = {queue.tag: now_ms for queue in queues}
        if noted:
            await self._call(lambda: self._client.hset(self._keys.callbacks, mapping=noted))

    async def callback_queues(self) -> dict[Queue, int]:
        """Return the queues that were noted for callbacks, with the Unix ms of the last note of each."""
        fields = await self._hash(self._keys.callbacks)
        read = ((_queue(tag), text) for tag, text in fields.items())
        return {queue: int(text) for queue, text in read if queue and text.isdigit()}

    async def forget_callbacks(self, queues: Iterable[Queue]) -> None:
        """Forget queues of which no job has a callback any more."""
        tags = [queue.tag for queue in queues]
        if tags:
            await self._call(lambda: self._client.hdel(self._keys.callbacks, *tags))

    async def incidents(self) -> list[Incident]:
        """Return the open incidents, oldest first."""
        fields = await self._hash(self._keys.incidents)
        found = (_incident(blob) for blob in fields.values())
        return sorted((one for one in found if one), key=lambda one: (one.opened_ms, one.id))

    async def open_incident(self, incident: Incident) -> bool:
        """Open an incident. Returns: False when it is open already."""
        blob = _encode(incident)
        return bool(await self._call(lambda: self._client.hsetnx(self._keys.incidents, incident.id, blob)))

    async def note_incident(self, incident: Incident) -> None:
        """Replace what is known of an open incident."""
        blob = _encode(incident)
        await self._call(lambda: self._client.hset(self._keys.incidents, incident.id, blob))

    async def end_incident(self, incident: Incident) -> bool:
        """End an incident. Returns: False when it had ended."""
        return bool(await self._call(lambda: self._client.hdel(self._keys.incidents, incident.id)))

    async def noted_notices(self) -> dict[str, str]:
        """Return the notices that were sent or held back lately, with what was noted of each."""
        fields = await self._hash(self._keys.notices)
        return {name.decode(errors="replace"): note.decode(errors="replace") for name, note in fields.items()}

    async def note_notice(self, name: str, note: str) -> None:
        """Note what became of a notice."""
        await self._call(lambda: self._client.hset(self._keys.notices, name, note))

    async def forget_notices(self, names: Sequence[str]) -> None:
        """Forget notices."""
        if names:
            await self._call(lambda: self._client.hdel(self._keys.notices, *names))

    async def add_types(
        self,
        tenant: Tenant,
        registrations: Iterable[TypeRegistration],
        *,
        worker: str = "",
        started_at_ms: int | None = None,
        alive_for: timedelta = timedelta(),
        others: Sequence[str] = (),
    ) -> Start:
        """Publish how a worker handles job types; the registration of the newest live start counts.

        `others` are further tenants whose jobs the worker takes, :data:`ALL_TENANTS` for every tenant.

        `started_at_ms` is the start that an earlier call returned, or None for a start that begins now. `alive_for` is
        how long the worker counts as alive until its next heartbeat. A registration without a worker yields to any
        other.
        """
        blobs = {one.type: _encode(one) for one in registrations}
        encoded = {f"{served}/{job_type}": blob for served in (tenant, *others) for job_type, blob in blobs.items()}
        everything = encode_release(tenant, blobs.values(), others)
        release = digest(everything)
        arguments: list[Argument] = [worker, release, started_at_ms or "", _ms(alive_for), everything]
        for field, blob in encoded.items():
            arguments += (field, blob)
        return Start(worker, release, int(await self._run("add_types", arguments)))

    async def types(self, tenant: Tenant) -> dict[JobType, TypeRegistration]:
        """Return the newest registration of each job type of a tenant."""
        found = await self.registrations(tenant)
        return {job_type: ranked[0].registration for job_type, ranked in found.items()}

    async def registrations(self, tenant: Tenant) -> Registrations:
        """Return the registrations of a tenant's live releases, by type, the newest first."""
        commands = [("ZRANGE", self._keys.starts, 0, -1), ("HGETALL", self._keys.types)]
        starts, stored = await self._call(lambda: ask_many(self._client, commands))
        return read_registrations(tenant, starts or [], fields_of(stored or {}))

    async def beat(
        self,
        worker: WorkerInfo,
        start: Start | None = None,
        *,
        alive_for: timedelta = timedelta(),
        is_leaving: bool = False,
    ) -> bool:
        """Record a heartbeat of a worker. Its `seen_at` is set by the clock of Redis, not by the worker's.

        The registrations of the worker count for `alive_for` from now; those of a leaving one, no longer than before.
        Returns: whether the registry has them; False when the worker has to register again.
        """
        at_ms, release = (start.at_ms, start.release) if start else ("", "")
        arguments = [worker.name, _encode(worker), at_ms, release, _ms(alive_for), "1" if is_leaving else ""]
        return bool(await self._run("beat", arguments))

    async def leave(self, name: str, counts_for: timedelta = timedelta()) -> None:
        """Take a worker that has stopped off the list. Its registrations count for `counts_for` at most."""
        await self._run("leave", [name, _ms(counts_for)])

    async def ask_drain(self, name: str) -> bool:
        """Ask a worker to take no more jobs and to end. Returns: False, when there is none of this name."""
        return bool(await self._run("ask_drain", [name]))

    async def worker(self, name: str) -> WorkerInfo | None:
        """Return a worker; None when there is none of this name that can be read."""
        value = await self._call(lambda: unless_wrong_type(self._client.hget(self._keys.workers, name), None))
        return None if value is None else _read(msgspec.msgpack.Decoder(WorkerInfo).decode, value)

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers that have not been forgotten yet, by name."""
        return _read_all(WorkerInfo, await self._hash(self._keys.workers))

    async def forget_workers(self, silent_for: timedelta) -> list[str]:
        """Remove workers without a heartbeat for `silent_for`, and unreadable entries. Returns: their names."""
        gone = await self._run("forget_workers", [_ms(silent_for)])
        return [name.decode(errors="replace") for name in gone]

    async def note_service(self, process: ServiceInfo) -> None:
        """Record a heartbeat of a service process. Its `seen_at` is set by the clock of Redis."""
        await self._run("note_service", [process.name, _encode(process)], self._keys.services)

    async def leave_service(self, name: str) -> None:
        """Take a process that ends off the list of services."""
        await self._run("note_service", [name, ""], self._keys.services)

    async def services(self) -> list[ServiceInfo]:
        """Return the processes of all services that have not been forgotten yet, by name."""
        return _read_all(ServiceInfo, await self._hash(self._keys.services))

    async def forget_services(self, silent_for: timedelta) -> list[str]:
        """Remove processes without a heartbeat for `silent_for`, and unreadable entries. Returns: their names."""
        gone = await self._run("forget_services", [_ms(silent_for)], self._keys.services)
        return [name.decode(errors="replace") for name in gone]

    async def _run(self, name: str, arguments: list[Argument], *keys: str) -> Any:
        """Run a script on these keys, by default on those of the part `fleet`."""
        script = load_script(FLEET + name)
        try:
            return await self._call(lambda: run_script(self._client, script, keys or self._keys.fleet_keys, arguments))
        except REDIS_ERRORS as error:
            # A defect, or a key that another program wrote. Its text may hold arguments: only the code is passed on.
            raise failed(f"{name} failed", error) from error

    async def _hash(self, key: str) -> dict[bytes, bytes]:
        return await self._call(lambda: unless_wrong_type(self._client.hgetall(key), {}))

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        return await with_retries(lambda _: call(), self._patience_s, lambda: None)


def _read_all(kind: type[Process], fields: Mapping[bytes, bytes]) -> list[Process]:
    """Return the processes that a hash has, by name."""
    decode = msgspec.msgpack.Decoder(kind).decode
    read = (_read(decode, value) for value in fields.values())
    return sorted((one for one in read if one), key=lambda one: one.name)


def _read(decode: Callable[[bytes], Process], value: bytes) -> Process | None:
    """Return a process, or None for an entry that this release cannot read, because the others must go on."""
    seen = _SEEN.fullmatch(value)
    try:
        process = decode(seen[2] if seen else value)
        return replace(process, seen_at=moment(int(seen[1]))) if seen else process
    except (*UNDECODABLE, ValueError, OverflowError, OSError):
        return None


def _incident(blob: bytes) -> Incident | None:
    """Return an incident; None for one that this release cannot read."""
    try:
        return _decode_incident(blob)
    except UNDECODABLE:
        return None


def _queue(tag: bytes) -> Queue | None:
    """Return the queue of a tag, or None for a tag of another program, because the other queues must go on."""
    try:
        return Queue.from_tag(tag.decode())
    except ValueError:
        return None


def _ms(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)
