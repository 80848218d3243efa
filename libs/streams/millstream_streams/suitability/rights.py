"""Tries the rights of a service on Redis, and names those that its user lacks.

Redis reports a missing right only where it is used, which may be in the middle of a script.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from redis.exceptions import ResponseError, SlotNotCoveredError

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams.connection.address import RedisAddress
from millstream_streams.connection.connections import Client
from millstream_streams.connection.faults import translating
from millstream_streams.connection.refusals import Refusal, RightKind, refusal_behind
from millstream_streams.errors import NotDurableError, StoreUnavailableError
from millstream_streams.reading.hints import hear_once
from millstream_streams.store.job_store import JobStore
from millstream_streams.store.keys import Keys
from millstream_streams.suitability.needs import Needs

TRIED = "millstream.rights"
"""Prefix of the job types on whose queues rights are tried. These queues have no jobs and no keys."""

_TAGS = 1_000
"""Among this many queues, every primary of any cluster has at least one."""


class Rights(Struct, frozen=True):
    """The rights that a user lacks, in the words of an ACL: `+xadd`, `~ms:queues`, `&ms:hints:due`."""

    user: str
    needed: list[str]
    """Missing rights without which jobs do not move."""
    hints: list[str]
    """Missing rights without which jobs wait for the next look instead of a hint."""
    extras: list[str]
    """Missing rights of optional parts, each with the part."""

    @property
    def objection(self) -> str:
        """The needed rights in one line; empty when none is missing."""
        return f"{self._lacks(self.needed)}: see deploy/redis/users.acl" if self.needed else ""

    @property
    def warning(self) -> str:
        """The hints that are lost, in one line; empty when none is."""
        return f"{self._lacks(self.hints)}: hints are lost, and what waits for one waits longer" if self.hints else ""

    @property
    def advice(self) -> list[str]:
        """The other missing rights, a line for each."""
        return [f"the Redis user `{self.user}` lacks {one}" for one in self.extras]

    def _lacks(self, lacking: Sequence[str]) -> str:
        return f"the Redis user `{self.user}` lacks {', '.join(lacking)}"


async def try_rights(
    store: JobStore,
    client: Client,
    address: RedisAddress,
    needs: Needs,
    *,
    away: Collection[str] = (),
    thorough: bool = False,
) -> Rights:
    """Try the rights of a service on keys of ours, without leaving any; those of extras when `thorough`.

    On a cluster every primary is tried, except those that are `away`, by address. Raises: StoreUnavailableError,
    StoreError.
    """
    if address.is_cluster:
        await translating(client.initialize)
    place = _anywhere(client, address, away)
    return Rights(
        user=address.username or "default",
        needed=[
            *await _lacking_ping(client, place),
            *await _lacking_for_queues(store, client, address, needs, away),
            *await _lacking_for_registry(store.keys, client, address, needs, away),
        ],
        hints=await _lacking_for_hints(store.keys, client, place, needs),
        extras=await _lacking_extras(client, place, needs) if thorough else [],
    )


def tried_queue(number: int = 0) -> Queue:
    """Return a queue for trying rights; each number has a place of its own in a cluster."""
    return Queue(DEFAULT_TENANT, JobType(f"{TRIED}.{number}"))


class _Place(Struct, frozen=True):
    """A server for commands that are about no key."""

    address: RedisAddress
    options: dict[str, Any]
    """The options by which the client of a cluster sends a command there."""


def _anywhere(client: Client, address: RedisAddress, away: Collection[str]) -> _Place:
    if not address.is_cluster:
        return _Place(address, {})
    node = next((node for node in client.get_primaries() if node.name not in away), None)
    if node is None:
        raise StoreUnavailableError("no primary of the cluster answers")
    return _Place(replace(address, mode="single", hosts=((node.host, int(node.port)),)), {"target_nodes": node})


async def _lacking_ping(client: Client, place: _Place) -> list[str]:
    """Return the right to PING, which is sent over connections that were idle."""
    return ["+ping"] if await _refusal(partial(client.execute_command, "PING", **place.options)) else []


async def _lacking_for_queues(
    store: JobStore, client: Client, address: RedisAddress, needs: Needs, away: Collection[str]
) -> list[str]:
    places: dict[str, list[str]] = {}
    queues = {place: queue for place, queue in _queues_to_try(store.keys, client, address) if place not in away}
    for place, queue in queues.items():
        for one in await _where_it_answers(address, partial(_lacking_for_queue, store, client, queue, needs)):
            places.setdefault(one, []).append(place)
    return [one if len(at) == len(queues) else f"{one} at {', '.join(at)}" for one, at in places.items()]


async def _where_it_answers(address: RedisAddress, ask: Callable[[], Awaitable[list[str]]]) -> list[str]:
    """Try a right, and count it as present where a node of a cluster is away and others serve."""
    try:
        return await ask()
    except StoreUnavailableError:
        if not address.is_cluster:
            raise
        return []


def _queues_to_try(keys: Keys, client: Client, address: RedisAddress) -> Iterator[tuple[str, Queue]]:
    """Yield an address and a queue that belongs to it, for each primary."""
    if not address.is_cluster:
        yield "", tried_queue()
        return
    missing = {node.name for node in client.get_primaries()}
    for queue in map(tried_queue, range(_TAGS)):
        with suppress(SlotNotCoveredError):
            node = client.get_node_from_key(keys.of(queue).due)
            if node.name in missing:
                missing.discard(node.name)
                yield node.name, queue


async def _lacking_for_queue(store: JobStore, client: Client, queue: Queue, needs: Needs) -> list[str]:
    namespace = store.keys.namespace
    if lacking := await _lacking_for_key(client, store.keys.of(queue).due, f"~{namespace}:{{*/*/*}}:*"):
        return lacking
    refused: list[str] = []

    async def run() -> None:
        refused.extend(await store.try_rights(queue, sorted(needs.commands - {"xack"})))

    refusal = await _refusal(run)
    return [f"+{refusal.command or 'evalsha'}"] if refusal else [f"+{command}" for command in refused]


async def _lacking_for_registry(
    keys: Keys, client: Client, address: RedisAddress, needs: Needs, away: Collection[str]
) -> list[str]:
    found: list[str] = []
    for key in (getattr(keys, name) for name in needs.registry):
        if not (address.is_cluster and client.get_node_from_key(key).name in away):
            found += await _where_it_answers(address, partial(_lacking_for_key, client, key, f"~{key}"))
    return [one for one in found if one.startswith("~")]


async def _lacking_for_key(client: Client, key: str, pattern: str) -> list[str]:
    refusal = await _refusal(partial(client.execute_command, "EVAL", "return 1", 1, key))
    if refusal is None:
        return []
    return [pattern if refusal.kind is RightKind.KEY else f"+{refusal.command or 'eval'}"]


async def _lacking_for_hints(keys: Keys, client: Client, place: _Place, needs: Needs) -> list[str]:
    found: dict[str, None] = {}
    for topic in (*needs.tells, *needs.hears):
        channel = keys.hint(topic)
        calls = []
        if topic in needs.tells:
            calls.append(partial(client.execute_command, "PUBLISH", channel, "", **place.options))
        if topic in needs.hears:
            calls.append(partial(hear_once, place.address, channel))
        for call in calls:
            if refusal := await _refusal(call):
                found[f"+{refusal.command}" if refusal.command else f"&{channel}{'*' * channel.endswith(':')}"] = None
    return list(found)


async def _lacking_extras(client: Client, place: _Place, needs: Needs) -> list[str]:
    found = []
    for command, loss in needs.extras.items():
        try:
            refusal = await _refusal(partial(client.execute_command, *_HARMLESS[command], **place.options))
        except NotDurableError:
            continue  # this server has no such command
        if refusal:
            found.append(f"+{command}: {loss}")
    return found


_HARMLESS: Mapping[str, tuple[str | int, ...]] = {
    "wait": ("WAIT", 0, 1),
    "waitaof": ("WAITAOF", 0, 0, 1),
    "client|list": ("CLIENT", "LIST", "TYPE", "normal"),
    "client|unblock": ("CLIENT", "UNBLOCK", 0),
}


async def _refusal(call: Callable[[], Awaitable[object]]) -> Refusal | None:
    """Make a call. Returns: what Redis refuses of it, or None, whatever other error occurs."""
    try:
        await translating(call)
    except StoreUnavailableError as error:
        if refusal := refusal_behind(error):
            return refusal
        raise
    except ResponseError:
        pass
    return None
