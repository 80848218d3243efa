"""Connections to Redis: one server, Sentinel or Cluster, by URL.

Every blocking read has a client of its own, with a read timeout above the time it blocks; commands never wait
behind one.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from millstream_streams.errors import RedisUrlError
from millstream_streams.faults import is_of_replica
from millstream_streams.pipelined import PipelinedClient
from millstream_streams.redirecting import RedirectingCluster

Client = Any
"""`redis.asyncio.Redis` or `RedirectingCluster`: they share no base class that types would know."""

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 5.0
BLOCKING_MARGIN_S = 5.0
"""What a read timeout has above the time that the read blocks. redis-py does not add it by itself."""
HEALTH_CHECK_S = 15
DEFAULT_PORT = 6379
DEFAULT_SENTINEL_PORT = 26379

_FORM = (
    "use redis://host:port/0, rediss:// for TLS, redis+sentinel://host:port,host:port/service/0 or "
    "redis+cluster://host:port,host:port"
)


class RedisUrl(Struct, frozen=True):
    """Where Redis is.

    redis://[user:password@]host[:6379][/db]
    redis+sentinel://[user:password@]host[:26379][,host…]/service[/db]
    redis+cluster://[user:password@]host[:6379][,host…]
    rediss, rediss+sentinel and rediss+cluster speak TLS.
    """

    mode: str
    """`single`, `sentinel` or `cluster`."""
    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    service: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = None

    @property
    def is_cluster(self) -> bool:
        """Whether keys are spread over several servers."""
        return self.mode == "cluster"

    def __repr__(self) -> str:
        """Leave the password out: this ends in logs."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"RedisUrl({self.mode} {hosts} {self.service or self.db})"


def parse_redis_url(url: str) -> RedisUrl:
    """Read the URL of a Redis. Raises: RedisUrlError."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise RedisUrlError(f"the Redis URL cannot be read: {error}; {_FORM}") from error
    if parts.query or parts.fragment or not parts.netloc:
        # The text of the URL stays out of the message: it may hold a password.
        raise RedisUrlError(
            f"the Redis URL has no host, or more than that and a path (write `/` in a password as %2F); {_FORM}"
        )
    scheme, _, mode = parts.scheme.partition("+")
    mode = mode or "single"
    if scheme not in {"redis", "rediss"} or mode not in {"single", "sentinel", "cluster"}:
        raise RedisUrlError(f"`{parts.scheme}` is no scheme of a Redis URL; {_FORM}")
    userinfo, _, hosts_text = parts.netloc.rpartition("@")
    username, _, password = userinfo.partition(":")
    default_port = DEFAULT_SENTINEL_PORT if mode == "sentinel" else DEFAULT_PORT
    service, db = _path(parts, mode)
    if mode == "single" and "," in hosts_text:
        raise RedisUrlError(f"a Redis URL names one host, unless it is of Sentinel or Cluster; {_FORM}")
    return RedisUrl(
        mode=mode,
        hosts=tuple(_host(host, default_port) for host in hosts_text.split(",")),
        tls=scheme == "rediss",
        service=service,
        db=db,
        username=unquote(username) or None,
        password=unquote(password) or None,
    )


def _host(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port or default_port
    except ValueError as error:
        raise RedisUrlError(f"a host in the Redis URL has no valid port; {_FORM}") from error
    if not parts.hostname:
        raise RedisUrlError(f"the Redis URL names no host; {_FORM}")
    return parts.hostname, port


def _path(parts: SplitResult, mode: str) -> tuple[str, int]:
    segments = [segment for segment in parts.path.split("/") if segment]
    service = ""
    if mode == "sentinel":
        if not segments:
            raise RedisUrlError(f"the Redis URL names no Sentinel service; {_FORM}")
        service = segments.pop(0)
    if not segments:
        return service, 0
    if len(segments) > 1 or not segments[0].isdecimal() or not segments[0].isascii() or mode == "cluster":
        raise RedisUrlError(f"the path of the Redis URL is no database number; {_FORM}")
    return service, int(segments[0])


def connect(
    url: RedisUrl,
    *,
    max_connections: int = 8,
    blocks_for_s: float = 0.0,
    answer_within_s: float = COMMAND_TIMEOUT_S,
    name: str = "millstream",
) -> Client:
    """Return a client that connects when it is first used.

    `blocks_for_s` is the longest that one of its commands blocks on purpose: 0 for a client of commands. Any other
    command fails that is not answered within `answer_within_s`. `name` is what CLIENT LIST shows.
    """
    options: dict[str, Any] = {
        "socket_timeout": blocks_for_s + BLOCKING_MARGIN_S if blocks_for_s else answer_within_s,
        "socket_connect_timeout": min(CONNECT_TIMEOUT_S, answer_within_s),
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_S,
        # redis-py 8.1.0 under RESP3 can hand a dirty pooled connection the reply of another command.
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "username": url.username,
        "password": url.password,
        "client_name": name,
        # Else redis-py tells each server its own name and version, for which a user would need one more right.
        "driver_info": None,
    }
    makers: dict[str, Callable[[RedisUrl, int, dict[str, Any]], Client]] = {
        "single": _single,
        "sentinel": _sentinel,
        "cluster": _cluster,
    }
    return makers[url.mode](url, max_connections, options)


def pipelined(client: Client, *, answer_within_s: float) -> Client:
    """Return a client for the hot path beside one of :func:`connect`. On a cluster that one itself."""
    if isinstance(client, RedirectingCluster):
        return client
    return PipelinedClient(client.connection_pool, answer_within_s=answer_within_s)


class _LeavesReplicas:
    """A connection that is given up when its server turns out to be a replica by now."""

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return await super().read_response(*args, **kwargs)  # type: ignore[misc]
        except ResponseError as error:
            if is_of_replica(error):
                await self.disconnect()  # type: ignore[attr-defined]
            raise


class _PlainConnection(_LeavesReplicas, Connection):
    pass


class _TlsConnection(_LeavesReplicas, SSLConnection):
    pass


async def close(*clients: Client) -> None:
    """Close clients, each once, with all connections, those to the Sentinels too, which redis-py leaves open."""
    for client in dict.fromkeys(clients):
        await client.aclose()
        pool = getattr(client, "connection_pool", None)
        manager = getattr(pool, "sentinel_manager", None)
        for sentinel in manager.sentinels if manager else ():
            await sentinel.aclose()


def _single(url: RedisUrl, max_connections: int, options: dict[str, Any]) -> Client:
    host, port = url.hosts[0]
    pool = BlockingConnectionPool(
        connection_class=_TlsConnection if url.tls else _PlainConnection,
        max_connections=max_connections,
        timeout=COMMAND_TIMEOUT_S,
        host=host,
        port=port,
        db=url.db,
        **options,
    )
    return Redis.from_pool(pool)


def _sentinel(url: RedisUrl, max_connections: int, options: dict[str, Any]) -> Client:
    own = {
        name: options[name] for name in ("socket_timeout", "socket_connect_timeout", "protocol", "retry", "driver_info")
    }
    sentinel = Sentinel(list(url.hosts), sentinel_kwargs=own)  # type: ignore[no-untyped-call]
    return sentinel.master_for(url.service, db=url.db, ssl=url.tls, max_connections=max_connections, **options)


def _cluster(url: RedisUrl, max_connections: int, options: dict[str, Any]) -> Client:
    nodes = [ClusterNode(host, port) for host, port in url.hosts]
    # Unlike the pool of a single server this one does not wait for a free connection, it raises.
    return RedirectingCluster(startup_nodes=nodes, ssl=url.tls, max_connections=max(64, max_connections), **options)
