"""Makes clients of Redis by address: one server, Sentinel or Cluster.

Every blocking read has a client of its own, with a read timeout above the time it blocks; commands never wait behind
one.
"""

from collections.abc import Callable
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from millstream_streams.connection.address import RedisAddress
from millstream_streams.connection.connecting import (
    PlainConnection,
    PlainManagedConnection,
    PlainNodeConnection,
    TlsConnection,
    TlsManagedConnection,
    TlsNodeConnection,
)
from millstream_streams.connection.pipelined import PipelinedClient, PipelinedCommands
from millstream_streams.connection.redirecting import RedirectingCluster
from millstream_streams.connection.sentinels import Sentinels
from millstream_streams.connection.tls import tls_context
from millstream_streams.connection.turns import InTurnPool, InTurnSentinelPool

Client = Any
"""`redis.asyncio.Redis` or `RedirectingCluster`: they share no base class that types would know."""

Options = dict[str, Any]
"""The options with which redis-py makes a connection."""

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 5.0
BLOCKING_MARGIN_S = 5.0
"""The difference of a read timeout to the time that the read blocks. Redis-py does not add it by itself."""
HEALTH_CHECK_S = 15


def connect(
    address: RedisAddress,
    *,
    max_connections: int = 8,
    blocks_for_s: float = 0.0,
    answer_within_s: float = COMMAND_TIMEOUT_S,
    name: str = "millstream",
) -> Client:
    """Return a client that connects when it is first used.

    `blocks_for_s` is the longest that one of its commands blocks on purpose: 0 for a client of commands. Any other
    command fails without a response within `answer_within_s`. `name` is what CLIENT LIST shows.

    Raises: RedisTlsError.
    """
    options: Options = {
        "socket_timeout": blocks_for_s + BLOCKING_MARGIN_S if blocks_for_s else answer_within_s,
        "socket_connect_timeout": min(CONNECT_TIMEOUT_S, answer_within_s),
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_S,
        # redis-py 8.1.0 under RESP3 can hand a dirty pooled connection the reply of another command.
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "username": address.username,
        "password": address.password,
        "client_name": name,
        # Else redis-py tells each server its own name and version, for which a user would need one more right.
        "driver_info": None,
    }
    makers: dict[str, Callable[[RedisAddress, int, Options], Client]] = {
        "single": _single,
        "sentinel": _sentinel,
        "cluster": _cluster,
    }
    return makers[address.mode](address, max_connections, {**options, **_encryption(address)})


def pipelined(client: Client, *, answer_within_s: float) -> Client:
    """Return a client for the hot path beside one of :func:`connect`. On a cluster, return that one itself."""
    if isinstance(client, RedirectingCluster):
        return client
    return PipelinedClient(client.connection_pool, answer_within_s=answer_within_s)


def pipelined_commands(client: Client, *, answer_within_s: float) -> Client:
    """Return a client of commands beside one of :func:`connect`, all over one connection of its own.

    However many calls are under way, and however many of them are cancelled, they neither wait for a connection nor
    cost one. On a cluster it is the client itself.
    """
    if isinstance(client, RedirectingCluster):
        return client
    return PipelinedCommands(pipelined(client, answer_within_s=answer_within_s), client.response_callbacks)


async def close(*clients: Client) -> None:
    """Close clients, each once, with all connections, also those to the Sentinels, which redis-py leaves open."""
    for client in dict.fromkeys(clients):
        await client.aclose()
        pool = getattr(client, "connection_pool", None)
        manager = getattr(pool, "sentinel_manager", None)
        for sentinel in manager.sentinels if manager else ():
            await sentinel.aclose()


def _encryption(address: RedisAddress) -> Options:
    return {"tls": tls_context(address.tls_files)} if address.tls else {}


def _single(address: RedisAddress, max_connections: int, options: Options) -> Client:
    host, port = address.hosts[0]
    pool = InTurnPool(
        connection_class=TlsConnection if address.tls else PlainConnection,
        max_connections=max_connections,
        host=host,
        port=port,
        db=address.db,
        **options,
    )
    return Redis.from_pool(pool)


def _sentinel(address: RedisAddress, max_connections: int, options: Options) -> Client:
    shared = ("socket_timeout", "socket_connect_timeout", "protocol", "retry", "driver_info", "tls")
    own = {name: options[name] for name in shared if name in options}
    own |= {"username": address.sentinel_username, "password": address.sentinel_password}
    pools = [ConnectionPool(connection_class=_to_node(address.tls), host=h, port=p, **own) for h, p in address.hosts]
    return Sentinels([Redis.from_pool(pool) for pool in pools]).master_for(
        address.service,
        connection_pool_class=InTurnSentinelPool,
        connection_class=TlsManagedConnection if address.tls else PlainManagedConnection,
        db=address.db,
        max_connections=max_connections,
        **options,
    )


def _cluster(address: RedisAddress, max_connections: int, options: Options) -> Client:
    extra = {"tls": options.pop("tls")} if address.tls else {}
    return RedirectingCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
        # Unlike the pool of a single server this one does not wait for a free connection, it raises.
        max_connections=max(64, max_connections),
        connection_class=_to_node(address.tls),
        connection_options=extra,
        **options,
    )


def _to_node(tls: bool) -> type[Connection]:
    return TlsNodeConnection if tls else PlainNodeConnection
