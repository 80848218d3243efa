"""Probes the servers behind one address: a cluster, or a primary with its replicas, and their Sentinels.

Each is probed itself, because each may be configured in its own way, and any replica may become the primary.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

import anyio
from msgspec import Struct
from msgspec.structs import replace
from redis.exceptions import ResponseError

from millstream_contracts import one_line
from millstream_streams.connection.address import RedisAddress
from millstream_streams.connection.connections import Client, close, connect
from millstream_streams.connection.diagnosis import scrubbed
from millstream_streams.connection.faults import translating
from millstream_streams.errors import Reason, StoreError, StoreUnavailableError, WrongServerError
from millstream_streams.suitability.capabilities import Capabilities, examine

ANSWER_WITHIN_S = 2.0
"""How long a start waits for the servers beside the one that it needs."""

FEWEST_SENTINELS = 3

Place = tuple[str, int]
"""Host and port of one server."""

T = TypeVar("T")


class Server(Struct, frozen=True):
    """One server, as its probe found it."""

    address: str
    role: str
    """`primary`, `replica` or `sentinel`, as other nodes report it."""
    found: Capabilities | None = None
    """The capabilities; None for a Sentinel, and for a server that could not be probed."""
    unseen: str = ""
    """The reason why the server could not be probed."""


class Topology(Struct, frozen=True):
    """The servers behind one address. At least one primary has responded."""

    mode: str
    """`single`, `sentinel` or `cluster`."""
    servers: list[Server]
    sentinels: int | None = None
    """The number of Sentinels that watch the primary, those included that the address does not name."""

    @property
    def worst(self) -> Capabilities:
        """The server with the most objections; of equals the first primary."""
        seen = [server.found for server in self.servers if server.found]
        return max(seen, key=lambda found: (len(found.objections()), len(found.advice())))

    @property
    def uptime_s(self) -> int:
        """The time for which all primaries have been up: 0 when one hides it, or was not probed."""
        primaries = [server for server in self.servers if server.role == "primary"]
        return min((server.found.uptime_s or 0 if server.found else 0 for server in primaries), default=0)

    @property
    def can_be_used(self) -> bool:
        """Whether a client can begin: that of a cluster cannot while a node is silent."""
        return self.mode != "cluster" or not any(server.unseen for server in self.servers)

    def objections(self) -> list[str]:
        """Return the reasons for which jobs would not be safe here, each with its servers."""
        return self._told(Capabilities.objections)

    def advice(self) -> list[str]:
        """Return what could be better without being a danger to stored jobs, and what could not be probed."""
        unseen = [
            f"the {one.role} {one.address} could not be asked: {one.unseen}" for one in self.servers if one.unseen
        ]
        return [*self._told(Capabilities.advice), *unseen, *self._about_sentinels()]

    def dangers(self) -> list[str]:
        """Return what stops jobs now or soon, each with its servers, after a thorough probe."""
        return self._told(lambda found: found.vitals.objections() if found.vitals else [])

    def warnings(self) -> list[str]:
        """Return what may stop jobs later, or lose them, each with its servers, after a thorough probe."""
        return self._told(lambda found: found.vitals.advice() if found.vitals else [])

    def _told(self, ask: Callable[[Capabilities], list[str]]) -> list[str]:
        by_text: dict[str, list[str]] = {}
        for server in self.servers:
            for text in ask(server.found) if server.found else ():
                by_text.setdefault(text, []).append(server.address)
        if len(self.servers) == 1:
            return list(by_text)
        return [f"{', '.join(addresses)}: {text}" for text, addresses in by_text.items()]

    def _about_sentinels(self) -> list[str]:
        if self.sentinels is None or self.sentinels >= FEWEST_SENTINELS:
            return []
        few = f"the primary is watched by {self.sentinels} of the {FEWEST_SENTINELS} Sentinels that it takes"
        return [f"{few}: when one is lost there is no failover"]


async def survey(client: Client, address: RedisAddress, *, thorough: bool) -> Topology:
    """Probe every server behind an address. `thorough` as in :func:`examine`.

    A server that cannot be probed is named, and does not fail the call. Raises: StoreUnavailableError, when no primary
    responds; WrongServerError, when it is of another kind than the address says.
    """
    surveyors = {"single": _survey_single, "sentinel": _survey_sentinel, "cluster": _survey_cluster}
    found = await surveyors[address.mode](client, address, thorough)
    if not any(server.found and server.role == "primary" for server in found.servers):
        reasons = "; ".join(f"{server.address}: {server.unseen or server.role}" for server in found.servers)
        # A replica that the address names may be on its way to be primary, or be one for ever.
        reason: Reason = "refused" if any(server.found for server in found.servers) else "away"
        raise StoreUnavailableError(one_line(f"no primary answers: {reasons}"), reason)
    return found


async def _survey_single(client: Client, address: RedisAddress, thorough: bool) -> Topology:
    own = await examine(client, address.mode, thorough=thorough)
    server = Server(_text(address.hosts[0]), own.role or "primary", own)
    replicas = await _ask_each(address, [(_place(one), "replica") for one in own.replicas], thorough)
    return Topology(address.mode, [server, *replicas])


async def _survey_sentinel(client: Client, address: RedisAddress, thorough: bool) -> Topology:
    own = await examine(client, address.mode, thorough=thorough)
    primary = Server(_text(client.connection_pool.master_address), "primary", own)
    watching, known, sentinels = await _ask_sentinels(client, address)
    places = dict.fromkeys([*map(_place, own.replicas), *known])
    replicas = await _ask_each(address, [(place, "replica") for place in places], thorough)
    return Topology(address.mode, [primary, *replicas, *watching], sentinels)


async def _survey_cluster(_: Client, address: RedisAddress, thorough: bool) -> Topology:
    # Not by the client of the cluster: it cannot begin while its first primary is silent, and that one is to be named.
    members: dict[str, tuple[Place, str]] = {}
    failures: list[StoreUnavailableError] = []

    async def ask(host: Place) -> None:
        try:
            members.update(await _members_known_to(address, host))
        except StoreUnavailableError as error:
            failures.append(error)

    await _side_by_side(ask, address.hosts)
    if not members:
        raise _worth_telling(failures)
    return Topology(address.mode, await _ask_each(address, members.values(), thorough))


def _worth_telling(failures: Sequence[StoreUnavailableError]) -> StoreUnavailableError:
    """Return one of the failures: a refusal first, which needs mending; a wrong server if all are wrong."""
    # One that is away may be the one that was meant, beside one that never will be.
    may_pass = [failure for failure in failures if not isinstance(failure, WrongServerError)]
    refusals = [failure for failure in may_pass if failure.reason == "refused"]
    return (refusals or may_pass or failures)[0]


async def _members_known_to(address: RedisAddress, host: Place) -> dict[str, tuple[Place, str]]:
    """Return the members that a node knows: address and role of each, by its id. Raises: StoreUnavailableError.

    CLUSTER NODES has all members; CLUSTER SLOTS has the addresses for clients, of those that serve and have not failed.
    """
    client = connect(_only(address, host), max_connections=1, answer_within_s=ANSWER_WITHIN_S)
    try:
        slots = await translating(lambda: client.execute_command("CLUSTER", "SLOTS"))
        nodes = await translating(lambda: client.execute_command("CLUSTER", "NODES"))
    except ResponseError as error:
        raise WrongServerError(f"{_text(host)} is no node of a cluster: {scrubbed(str(error))}") from error
    finally:
        with anyio.CancelScope(shield=True):
            await close(client)
    meant = {node[2]: (_decoded(node[0]) or host[0], int(node[1])) for row in slots for node in row[2:]}
    found: dict[str, tuple[Place, str]] = {}
    for line in nodes.splitlines():
        node_id, place, flags, *_ = line.split()
        if not {b"noaddr", b"handshake"} & set(flags.split(b",")):
            at = meant.get(node_id) or _announced(place.decode(), host)
            found[node_id.decode()] = at, "replica" if b"slave" in flags.split(b",") else "primary"
    return found


def _announced(text: str, host: Place) -> Place:
    """Read `ip:port@bus-port[,host name]`; a node does not know its own address before others have told it."""
    place, _, rest = text.partition("@")
    ip, port = _place(place)
    hostname = rest.partition(",")[2].partition(",")[0]
    return hostname or ip or host[0], port


async def _ask_sentinels(client: Client, address: RedisAddress) -> tuple[list[Server], list[Place], int | None]:
    """Return the Sentinels of the address, the replicas that they know, and how many there are in all."""
    sentinels = list(client.connection_pool.sentinel_manager.sentinels)
    servers: list[Server] = []
    replicas: dict[Place, None] = {}
    counts: list[int] = []

    async def ask(sentinel: Client) -> None:
        kwargs = sentinel.connection_pool.connection_kwargs

        async def look() -> None:
            states = await translating(sentinel.sentinel_masters)
            if address.service not in states:
                raise StoreError(f"it does not know the service `{address.service}`")
            rows = await translating(lambda: sentinel.sentinel_slaves(address.service))
            counts.append(states[address.service]["num-other-sentinels"] + 1)
            replicas.update(dict.fromkeys((row["ip"], row["port"]) for row in rows))

        unseen = await _why_unseen(look)
        servers.append(Server(_text((kwargs["host"], kwargs["port"])), "sentinel", unseen=unseen))

    await _side_by_side(ask, sentinels)
    return sorted(servers, key=lambda one: one.address), list(replicas), max(counts, default=None)


async def _ask_each(address: RedisAddress, places: Iterable[tuple[Place, str]], thorough: bool) -> list[Server]:
    """Probe servers side by side, each over a connection of its own. Returns: primaries first."""
    servers: list[Server] = []

    async def ask(known: tuple[Place, str]) -> None:
        place, role = known
        client = connect(_only(address, place), max_connections=1, answer_within_s=ANSWER_WITHIN_S)
        answers: list[Capabilities] = []

        async def look() -> None:
            answers.append(await examine(client, address.mode, thorough=thorough))

        try:
            unseen = await _why_unseen(look)
        finally:
            with anyio.CancelScope(shield=True):
                await close(client)
        servers.append(Server(_text(place), role, answers[0] if answers else None, unseen))

    await _side_by_side(ask, list(places))
    return sorted(servers, key=lambda one: (one.role != "primary", one.address))


async def _why_unseen(look: Callable[[], Awaitable[None]]) -> str:
    """Probe a server. Returns: why that was impossible, in one line, or nothing."""
    try:
        with anyio.fail_after(ANSWER_WITHIN_S):
            await look()
    except TimeoutError:
        return f"it does not answer within {ANSWER_WITHIN_S:g} s"
    except (StoreError, ResponseError) as error:
        return scrubbed(str(error))
    return ""


async def _side_by_side(action: Callable[[T], Coroutine[Any, Any, None]], items: Sequence[T]) -> None:
    async with anyio.create_task_group() as tasks:
        for item in items:
            tasks.start_soon(action, item)


def _only(address: RedisAddress, place: Place) -> RedisAddress:
    return replace(address, mode="single", hosts=(place,), service="")


def _place(text: str) -> Place:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _decoded(value: bytes | None) -> str:
    return value.decode() if value else ""


def _text(place: Place) -> str:
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
