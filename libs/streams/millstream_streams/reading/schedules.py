"""Schedules in Redis: what there is, what is due, and the jobs that are decided on and not stored yet.

They lie in shards, each in a slot of its own. Every change is one script that compares the turn of the schedule.
"""

import zlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from millstream_contracts import JobId, Queue, Tenant
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import with_retries
from millstream_streams.connection.replies import ask_many, fields_of, unless_wrong_type
from millstream_streams.reading.stored_schedules import (
    DueSchedule,
    DueSchedules,
    IndexLine,
    ScheduleChange,
    StoredSchedule,
    TakenStarts,
    read_line,
    read_schedule,
    read_start,
    schedule_of,
)
from millstream_streams.store.keys import SCHEDULES_TYPE, Keys
from millstream_streams.store.script_runner import ScriptRunner
from millstream_streams.store.scripting import SCHEDULES, Argument, packed
from millstream_streams.store.shards import read_shards, shard_count
from millstream_streams.store.specs import read_int, read_wait

T = TypeVar("T")

DUE_LEASE_S = 5.0
"""For how long a dispatcher has a due schedule to itself.

It decides within milliseconds; one that was killed delays the schedule by as much.
"""

LOOK_AHEAD_MS, MOST_LATE = 65_000, 1_000
"""Late schedules are among this many that are looked at in this time: one that fails is looked at each minute."""

START_LEASE_S = 5.0
"""For how long a dispatcher has a job that is to be stored to itself.

It saves work alone: a job that two store is one.
"""


class Schedules:
    """Reads and changes schedules. Every method may raise StoreUnavailableError, StoreFullError or StoreError."""

    def __init__(self, client: Client, keys: Keys, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._scripts = ScriptRunner(client, patience_s=patience_s)
        self._keys = keys
        self._patience_s = patience_s
        self._shards = shard_count(client)

    def shard_of(self, tenant: Tenant, name: str) -> Queue:
        """Return the shard in which a schedule lies, with its backfills."""
        number = zlib.crc32(schedule_of(name).encode()) % self._shards
        return Queue(tenant, SCHEDULES_TYPE, number)

    async def shards(self) -> list[Queue]:
        """Return the shards of all tenants that were ever used, sorted."""
        tags = await self._call(lambda: unless_wrong_type(self._client.smembers(self._keys.schedules), set()))
        return read_shards(tags, SCHEDULES_TYPE)

    async def index(self, tenant: Tenant) -> dict[str, IndexLine]:
        """Return what the index says of each schedule and backfill of a tenant, by name."""
        shards = [Queue(tenant, SCHEDULES_TYPE, number) for number in range(self._shards)]
        commands = [("HGETALL", self._keys.of_schedules(shard).index) for shard in shards]
        replies = await self._call(lambda: ask_many(self._client, commands))
        found = {name: line for reply in replies for name, line in fields_of(reply or {}).items()}
        return {name.decode(errors="replace"): read_line(found[name]) for name in sorted(found)}

    async def count(self, tenant: Tenant) -> int:
        """Return how many schedules and backfills a tenant has."""
        shards = [Queue(tenant, SCHEDULES_TYPE, number) for number in range(self._shards)]
        commands = [("HLEN", self._keys.of_schedules(shard).index) for shard in shards]
        return sum(reply or 0 for reply in await self._call(lambda: ask_many(self._client, commands)))

    async def read(self, tenant: Tenant, names: Sequence[str]) -> dict[str, StoredSchedule]:
        """Return those of these schedules that are there and can be read, by name."""
        if not names:
            return {}
        commands = [("HGETALL", self._keys.of_schedules(self.shard_of(tenant, one)).schedule(one)) for one in names]
        replies = await self._call(lambda: ask_many(self._client, commands))
        read = {name: read_schedule(name, fields_of(reply or {})) for name, reply in zip(names, replies, strict=True)}
        return {name: one for name, one in read.items() if one}

    async def change(self, tenant: Tenant, changes: Sequence[ScheduleChange]) -> list[bool]:
        """Make changes. Returns: for each whether it was made; False when something else has changed the schedule.

        Several changes of one name follow one another: the later ones name the turns that the earlier ones make.
        """
        made = [False] * len(changes)
        by_shard: defaultdict[Queue, list[int]] = defaultdict(list)
        for at, one in enumerate(changes):
            by_shard[self.shard_of(tenant, one.name)].append(at)
        for shard, places in by_shard.items():
            arguments = [value for at in places for value in _arguments(changes[at])]
            for at, code in zip(places, await self._run("change", shard, arguments), strict=True):
                made[at] = int(code) == 1
        return made

    async def make_known(self, tenant: Tenant, name: str) -> None:
        """Note the shard of a schedule before it is put there: dispatchers look at noted shards only."""
        tag = self.shard_of(tenant, name).tag
        await self._call(lambda: self._client.sadd(self._keys.schedules, tag))

    async def remove(self, tenant: Tenant, name: str, turn: str = "") -> bool:
        """Remove a schedule or a backfill. Returns: False when it is not there, or has another turn."""
        return bool((await self._run("remove", self.shard_of(tenant, name), [name, turn]))[0])

    async def lease_due(self, shard: Queue, limit: int, *, lease_s: float = DUE_LEASE_S) -> DueSchedules:
        """Return what is due in a shard, which no other dispatcher gets within the lease."""
        now_ms, next_in_ms, rows = await self._run("lease_due", shard, [limit, _ms(lease_s)])
        found = [
            DueSchedule(
                (name := raw.decode(errors="replace")),
                read_schedule(name, fields_of(fields)),
                frozenset(unstored.decode().split()),
            )
            for raw, unstored, fields in zip(*[iter(rows)] * 3, strict=True)
        ]
        return DueSchedules(int(now_ms), read_wait(next_in_ms), found)

    async def late(self, shard: Queue, now_ms: int, late_ms: int) -> dict[str, int]:
        """Return active schedules whose next occasion fires since so long, with the Unix ms at which it should have.

        What is leased again and again, or put off because it cannot be carried out, counts too.
        """
        keys, upto = self._keys.of_schedules(shard), str(now_ms + LOOK_AHEAD_MS)
        command = ("ZRANGE", keys.ticks, "-inf", upto, "BYSCORE", "LIMIT", 0, MOST_LATE)
        (ticks,) = await self._call(lambda: ask_many(self._client, [command]))
        names = [name.decode(errors="replace") for name in ticks or []]
        commands = [("HMGET", keys.schedule(name), "state", "fires_ms") for name in names]
        replies = await self._call(lambda: ask_many(self._client, commands)) if commands else []
        rows = [(name, *(reply or (None, None))) for name, reply in zip(names, replies, strict=True)]
        times = {name: read_int(fires) for name, state, fires in rows if state == b"active"}
        return {name: at_ms for name, at_ms in times.items() if 0 < at_ms <= now_ms - late_ms}

    async def take_starts(
        self,
        shard: Queue,
        limit: int,
        confirmed: Iterable[tuple[JobId, str]] = (),
        *,
        lease_s: float = START_LEASE_S,
    ) -> TakenStarts:
        """Take jobs that are to be stored, which no other dispatcher gets within the lease.

        `confirmed` are those of the last round, each with why it was refused, or an empty text when it is stored.
        """
        arguments: list[Argument] = [limit, _ms(lease_s)]
        for job_id, refusal in confirmed:
            arguments += (job_id, refusal)
        _, next_in_ms, rows = await self._run("take_starts", shard, arguments)
        read = [(job_id, read_start(job_id, text)) for job_id, text in zip(*[iter(rows)] * 2, strict=True)]
        unreadable = [JobId(job_id.decode(errors="replace")) for job_id, start in read if start is None]
        return TakenStarts(read_wait(next_in_ms), [start for _, start in read if start], unreadable)

    async def _run(self, name: str, shard: Queue, arguments: list[Argument]) -> Any:
        keys = self._keys.of_schedules(shard)
        return await self._scripts.run(SCHEDULES + name, shard, keys.script_keys, keys.schedule_prefix, arguments)

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        return await with_retries(lambda _: call(), self._patience_s, lambda: None)


def _arguments(change: ScheduleChange) -> tuple[Argument, ...]:
    parts = [part for field, value in change.fields.items() for part in (field, value)]
    tick = "" if change.tick_ms is None else change.tick_ms
    return (change.name, change.turn, tick, change.line, packed(parts), change.job_id, change.nominal_ms)


def next_turn(turn: str) -> str:
    """Return the turn that a change of this one makes."""
    return str(int(turn) + 1)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
