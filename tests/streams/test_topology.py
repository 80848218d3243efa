"""Every server behind an address is probed by itself, and the worst one counts and is named."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from topologies.cluster import Cluster, three_primaries
from topologies.nodes import HOST, Node, wait_for
from topologies.sentinel import SentinelTrio, sentinel_trio

from millstream_cli.redis_finder import RedisBinary
from millstream_streams import (
    NEEDS,
    Capabilities,
    Server,
    StoreUnavailableError,
    Topology,
    UnsuitableRedisError,
    open_broker,
)

_SILENT_MS = 60_000
"""A time so long that no node gives up one that is frozen for a test."""

_START_S = 60.0


@pytest.fixture(scope="module")
def cluster(redis_binary: RedisBinary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yield three primaries, of which the first has a replica."""
    folder = tmp_path_factory.mktemp("cluster")
    settings = {"cluster-node-timeout": _SILENT_MS, "repl-diskless-sync-delay": 0}
    with three_primaries(folder, redis_binary, settings) as cluster:
        replica = Node(redis_binary, folder / "replica", {"cluster-enabled": "yes", "appendonly": "no", **settings})
        try:
            replica.start()
            cluster.follow(replica, cluster.nodes[0])
            yield cluster
        finally:
            replica.end()


@pytest.fixture(scope="module")
def trio(redis_binary: RedisBinary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelTrio]:
    """Yield a primary, a replica and three Sentinels."""
    with sentinel_trio(tmp_path_factory.mktemp("trio"), redis_binary, down_after_ms=_SILENT_MS) as trio:
        yield trio


@pytest.fixture
def pair(redis_binary: RedisBinary, tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """Yield a primary and a replica that nothing watches."""
    primary = Node(redis_binary, tmp_path / "primary", {"repl-diskless-sync-delay": 0})
    replica = Node(redis_binary, tmp_path / "replica", {"replicaof": f"{HOST} {primary.port}"})
    try:
        primary.start()
        replica.start()
        wait_for(lambda: replica.info("replication")["master_link_status"] == "up", "the replica follows")
        yield primary, replica
    finally:
        primary.end()
        replica.end()


async def probed(url: str) -> Topology:
    """Return the topology behind an address."""
    async with open_broker(url, patience_s=0.5) as broker:
        return await broker.probe()


async def starts(url: str) -> Topology:
    """Return what a starting worker finds, within the time of a start."""
    async with open_broker(url) as broker:
        with anyio.fail_after(_START_S):
            return await broker.require_suitable(NEEDS["worker"])


def address(node: Node) -> str:
    """Return a node as messages name it."""
    return f"{HOST}:{node.port}"


async def refused_for(url: str, node: Node) -> None:
    """Check that a server that evicts is found, refused and named, and is the only one."""
    node.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        found = await probed(url)
        (objection,) = found.objections()
        assert objection.startswith(f"{address(node)}: maxmemory-policy is `allkeys-lru`")
        assert found.worst.maxmemory_policy == "allkeys-lru"
        with pytest.raises(UnsuitableRedisError, match=address(node)):
            await starts(url)
    finally:
        node.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")


@pytest.mark.parametrize("number", range(4), ids=["primary", "second primary", "third primary", "replica"])
async def test_any_node_of_a_cluster_that_evicts_is_an_objection(cluster: Cluster, number: int) -> None:
    """A cluster is refused for any node that evicts, whichever it is."""
    await refused_for(cluster.url, cluster.nodes[number])


async def test_every_node_of_a_cluster_is_told_with_its_role(cluster: Cluster) -> None:
    """Every node of a cluster is listed with its role, primaries first."""
    found = await probed(cluster.url)
    assert [server.role for server in found.servers] == ["primary"] * 3 + ["replica"]
    assert {server.address for server in found.servers} == {address(node) for node in cluster.nodes}
    assert all(server.found.role == server.role for server in found.servers)


async def test_a_frozen_replica_of_a_cluster_is_named_and_stops_no_start(cluster: Cluster) -> None:
    """A frozen replica of a cluster is named and prevents no start."""
    replica = cluster.nodes[3]
    replica.freeze()
    try:
        found = await starts(cluster.url)
    finally:
        replica.thaw()
    (line,) = [line for line in found.advice() if address(replica) in line and "could not be asked" in line]
    assert line.startswith(f"the replica {address(replica)} could not be asked: ")
    assert found.objections() == []


async def test_a_dead_replica_that_the_cluster_no_longer_offers_is_named(redis_binary: RedisBinary, tmp_path) -> None:
    """A dead replica that CLUSTER SLOTS leaves out is named."""
    settings = {"cluster-node-timeout": 500, "repl-diskless-sync-delay": 0}
    with three_primaries(tmp_path, redis_binary, settings) as cluster:
        replica = Node(redis_binary, tmp_path / "replica", {"cluster-enabled": "yes", "appendonly": "no", **settings})
        try:
            await to_thread.run_sync(replica.start)
            await to_thread.run_sync(cluster.follow, replica, cluster.nodes[0])
            replica.kill()
            for node in cluster.nodes[:3]:
                await to_thread.run_sync(
                    wait_for, lambda node=node: not lists(node, replica), f"{node} has given {replica} up"
                )
            found = await starts(cluster.url)
            assert any(f"the replica {address(replica)} could not be asked" in line for line in found.advice())
        finally:
            replica.end()


def lists(node: Node, replica: Node) -> bool:
    """Return whether a node offers a replica to clients."""
    return any(place[1] == replica.port for row in node.ask("CLUSTER SLOTS") for place in row[3:])


@pytest.mark.parametrize("number", range(3))
async def test_a_frozen_primary_of_a_cluster_is_named_and_the_others_are_asked(cluster: Cluster, number: int) -> None:
    """A frozen primary of a cluster is named, and the other nodes are probed."""
    primary = cluster.nodes[number]
    primary.freeze()
    try:
        with anyio.fail_after(_START_S):
            found = await probed(cluster.url)
    finally:
        primary.thaw()
    assert any(f"the primary {address(primary)} could not be asked" in line for line in found.advice())
    assert sum(server.found is not None for server in found.servers) == 3
    assert found.uptime_s == 0


async def test_a_replica_under_sentinel_that_evicts_is_an_objection(trio: SentinelTrio) -> None:
    """A replica under Sentinel that evicts is refused, because it may become the primary."""
    await refused_for(trio.url, trio.replica)
    await refused_for(trio.url, trio.primary)


async def test_a_frozen_replica_under_sentinel_is_named_and_stops_no_start(trio: SentinelTrio) -> None:
    """A frozen replica under Sentinel is named and prevents no start."""
    replica = trio.replica
    replica.freeze()
    try:
        found = await starts(trio.url)
    finally:
        replica.thaw()
    assert any(f"the replica {address(replica)} could not be asked" in line for line in found.advice())


async def test_a_replica_that_has_left_its_primary_is_still_known_to_sentinel(
    redis_binary: RedisBinary, tmp_path
) -> None:
    """A replica that its primary has forgotten is found through Sentinel."""
    with sentinel_trio(tmp_path, redis_binary, down_after_ms=_SILENT_MS) as trio:
        replica, primary = trio.replica, trio.primary
        replica.kill()
        await to_thread.run_sync(
            wait_for, lambda: primary.info("replication")["connected_slaves"] == 0, "the replica is forgotten"
        )
        found = await starts(trio.url)
        assert any(f"the replica {address(replica)} could not be asked" in line for line in found.advice())
        assert found.sentinels == 3
        trio.sentinels[2].kill()
        found = await starts(trio.url)
        silent = address(trio.sentinels[2])
        assert any(f"the sentinel {silent} could not be asked" in line for line in found.advice())


async def test_sentinels_too_few_for_a_failover_are_told(trio: SentinelTrio) -> None:
    """Two Sentinels lead to advice, because they can lose none."""
    found = await probed(trio.url)
    assert (found.sentinels, [line for line in found.advice() if "Sentinels" in line]) == (3, [])
    few = Topology(found.mode, found.servers, sentinels=2)
    assert any("2 of the 3 Sentinels" in line for line in few.advice())


async def test_a_replica_of_a_single_server_that_evicts_is_an_objection(pair: tuple[Node, Node]) -> None:
    """A replica of a single server that evicts is refused, because an operator may promote it."""
    primary, replica = pair
    await refused_for(primary.url, replica)
    replica.freeze()
    found = await starts(primary.url)
    replica.thaw()
    assert any(f"the replica {address(replica)} could not be asked" in line for line in found.advice())


async def test_a_replica_alone_is_no_place_for_jobs(pair: tuple[Node, Node]) -> None:
    """A service waits at an address that leads to a replica, which may become a primary again."""
    _, replica = pair
    with pytest.raises(StoreUnavailableError, match="no primary answers"):
        await starts(replica.url)


GOOD = Capabilities(
    server="redis",
    version=(7, 2, 4),
    role="primary",
    uptime_s=3_600,
    waitaof=True,
    maxmemory_policy="noeviction",
    appendonly=False,
    listpack_value=1024,
    node_entries=16,
)


def test_what_is_the_same_on_several_servers_is_said_once_with_all_of_them() -> None:
    """The same finding on several servers is one line that names all of them."""
    servers = [Server(f"10.0.0.{number}:6379", "primary", GOOD) for number in range(3)]
    (line,) = Topology("cluster", servers).advice()
    assert line.startswith("10.0.0.0:6379, 10.0.0.1:6379, 10.0.0.2:6379: appendonly is off")


def test_a_server_alone_is_not_named() -> None:
    """A finding about a single server does not name it."""
    (line,) = Topology("single", [Server("10.0.0.1:6379", "primary", GOOD)]).advice()
    assert line.startswith("appendonly is off")


def test_uptime_is_that_of_the_youngest_primary() -> None:
    """The uptime is that of the primary that started last, since its restart invalidates its leases."""
    young = Capabilities(**{name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | {"uptime_s": 2})
    replica = Capabilities(**{name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | {"uptime_s": 1})
    servers = [Server("a:1", "primary", GOOD), Server("b:1", "primary", young), Server("c:1", "replica", replica)]
    assert Topology("cluster", servers).uptime_s == 2
    assert Topology("cluster", [*servers, Server("d:1", "primary", unseen="away")]).uptime_s == 0
