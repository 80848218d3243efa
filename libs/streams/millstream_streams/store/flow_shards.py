"""Shards of what is followed until all of its jobs have ended: workflows, or batches. See scripts/_flows.lua."""

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from millstream_contracts import JobType, Queue, Tenant, queue_of
from millstream_contracts.ids import derived_job_id, new_job_id
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import with_retries
from millstream_streams.connection.replies import ask_many, fields_of, unless_wrong_type
from millstream_streams.store.keys import BATCHES_TYPE, WORKFLOWS_TYPE, FlowKeys, Keys
from millstream_streams.store.script_runner import ScriptRunner
from millstream_streams.store.scripting import BATCHES, WORKFLOWS, Argument
from millstream_streams.store.shards import read_shards, shard_count
from millstream_streams.store.specs import read_int

T = TypeVar("T")

TASK_LEASE_S = 10.0
"""For how long a dispatcher has what is to be done to itself."""

START_WITHIN_S = 6.0
"""For how long of it a job may be stored. The rest is for clocks of servers that differ (ADR 74)."""

CHECK_LEASE_S = 30.0
CHECK_AGAIN_S = 60.0
CHECK_AGAIN_AT_MOST_S = 3600.0
"""How long a workflow or a batch may be still until its jobs are looked at; later half as long as it has been still."""


_FILTERED_AT_ONCE = 200
"""How many are read at once where few of them may be wanted."""


class FlowKind(Struct, frozen=True):
    """Workflows, or batches."""

    letters: str
    """With which ids begin."""
    type: JobType
    """What stands in the tags of shards."""
    scripts: str
    """The folder of their scripts."""

    def shard_of(self, tenant: Tenant, flow_id: str) -> Queue | None:
        """Return the shard in which one of them lies; None for what is no id of them."""
        head = f"{self.letters}_"
        known = queue_of(tenant, _ID_TYPE + flow_id.removeprefix(self.letters)) if flow_id.startswith(head) else None
        return None if known is None else Queue(tenant, self.type, known.partition)


WORKFLOW_KIND = FlowKind("WF", WORKFLOWS_TYPE, WORKFLOWS)
BATCH_KIND = FlowKind("BA", BATCHES_TYPE, BATCHES)

_ID_TYPE = JobType("flow")
"""In place of the letters of an id, which is otherwise made as that of a job is."""


class FlowShards:
    """The shards of one kind. Methods may raise StoreUnavailableError, StoreFullError or StoreError."""

    def __init__(self, client: Client, keys: Keys, kind: FlowKind, *, patience_s: float = 5.0) -> None:
        self._client = client
        self._scripts = ScriptRunner(client, patience_s=patience_s)
        self._tags = keys.workflows if kind is WORKFLOW_KIND else keys.batches
        self._kind = kind
        self._patience_s = patience_s
        self._count = shard_count(client)
        self.keys: Callable[[Queue], FlowKeys] = keys.of_workflows if kind is WORKFLOW_KIND else keys.of_batches

    def new_id(self, tenant: Tenant, at_ms: int | None = None) -> str:
        """Return a fresh id, made at this time: Unix ms by the clock of Redis, or else our own."""
        return self._id(new_job_id(Queue(tenant, _ID_TYPE, os.urandom(1)[0] % self._count), at_ms))

    def id_of(self, tenant: Tenant, key: bytes) -> str:
        """Return the id that belongs to an idempotency key; `key` is a digest of 16 bytes or more."""
        number = int.from_bytes(key[:4]) % self._count
        return self._id(derived_job_id(Queue(tenant, _ID_TYPE, number), 0, key[-16:]))

    def find(self, tenant: Tenant, flow_id: str) -> Queue | None:
        """Return the shard of this id; None for what is no id."""
        return self._kind.shard_of(tenant, flow_id)

    def of(self, tenant: Tenant, flow_id: str) -> Queue:
        """Return the shard of this id. Raises: ValueError, for what is none."""
        shard = self.find(tenant, flow_id)
        if shard is None:
            raise ValueError(f"{flow_id!r} is no id that begins with {self._kind.letters}")
        return shard

    async def used(self) -> list[Queue]:
        """Return the shards of all tenants that were ever used, sorted."""
        tags = await self._call(lambda: unless_wrong_type(self._client.smembers(self._tags), set()))
        return read_shards(tags, self._kind.type)

    async def make_known(self, shard: Queue) -> None:
        """Note that a shard is used."""
        await self._call(lambda: self._client.sadd(self._tags, shard.tag))

    async def totals(self, shard: Queue) -> dict[str, int]:
        """Return how many of a shard are in a state."""
        (found,) = await self.ask([("HGETALL", self.keys(shard).totals)])
        return {state.decode(): read_int(number) for state, number in fields_of(found or {}).items()}

    async def newest(self, tenant: Tenant, start: str | None, limit: int) -> list[tuple[float, str]]:
        """Return place and id of those before a start, newest first. What follows one starts at `<place> <id>`.

        A shard has one at most at a place.
        """
        at, _, after = (start or "").partition(" ")
        shards = [Queue(tenant, self._kind.type, number) for number in range(self._count)]
        commands = [
            (
                "ZRANGE",
                self.keys(one).index,
                at or "+inf",
                "-inf",
                "BYSCORE",
                "REV",
                "LIMIT",
                0,
                limit + 1,
                "WITHSCORES",
            )
            for one in shards
        ]
        found: list[tuple[float, str]] = []
        for reply in await self.ask(commands):
            found += [(score, one.decode(errors="replace")) for one, score in scores_of(reply or [])]
        rows = sorted(found, reverse=True)
        return [row for row in rows if not at or row < (float(at), after)][:limit]

    async def page(
        self,
        tenant: Tenant,
        read: Callable[[list[Any]], Awaitable[Mapping[Any, T]]],
        is_wanted: Callable[[T], bool],
        start: str | None,
        limit: int,
        *,
        least: float = 0.0,
        is_exact: bool = False,
    ) -> tuple[list[tuple[float, T]], str | None]:
        """Return those that are wanted with their places, newest first, and where the next page starts.

        It starts at None where there are no more. `least` is the first place that is looked at. With `is_exact` there
        is a next page only where one more is wanted, so that it tells of no others.
        """
        found: list[tuple[float, T]] = []
        following = start
        at_once = max(limit, _FILTERED_AT_ONCE) if is_exact else limit
        while True:
            rows = await self.newest(tenant, start, at_once)
            known = await read([one for _, one in rows])
            for place, one in rows:
                is_found = one in known and is_wanted(known[one])
                if len(found) == limit and (is_found or not is_exact):
                    return found, following
                if place < least:
                    return found, None
                start = f"{place!r} {one}"
                if is_found:
                    found.append((place, known[one]))
                    following = start
            if len(rows) < at_once:
                return found, None

    async def ask(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the replies to commands; None for a key with a type other than ours."""
        return await self._call(lambda: ask_many(self._client, commands))

    async def run(self, name: str, shard: Queue, arguments: list[Argument]) -> Any:
        """Run a script of this kind."""
        keys = self.keys(shard)
        return await self._scripts.run(self._kind.scripts + name, shard, keys.script_keys, keys.prefix, arguments)

    def _id(self, job_id: str) -> str:
        return self._kind.letters + job_id.removeprefix(_ID_TYPE)

    async def _call(self, call: Callable[[], Awaitable[T]]) -> T:
        return await with_retries(lambda _: call(), self._patience_s, lambda: None)


def scores_of(reply: Sequence[Any]) -> Iterable[tuple[bytes, float]]:
    """Return members with scores: as they come, or in turn, with scores as texts."""
    if reply and isinstance(reply[0], bytes):
        values = iter(reply)
        return [(member, float(score)) for member, score in zip(values, values, strict=True)]
    return [(member, float(score)) for member, score in reply]
