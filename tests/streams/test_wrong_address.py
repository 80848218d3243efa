"""A wrong address of Redis leads to one line that says what is wrong, and whether Redis refuses or is absent."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest
import redis
from msgspec.structs import replace
from redis_servers import LocalServer, ServerPool
from speakers import DENIED, FULL, HTTP, POP3, SMTP, SSH, repeats, speaker
from topologies.locked import LOCKED, make_keys, require_tls
from topologies.nodes import Node
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis
from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import (
    NEEDS,
    RedisAddress,
    StoreError,
    StoreUnavailableError,
    UnsuitableRedisError,
    open_broker,
    parse_redis_url,
)

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))
SECRET = "hunter2"
MAX_CHARS = 400


async def start_on(address: RedisAddress | str) -> StoreError:
    """Return what a service learns that starts on this Redis."""
    with pytest.raises(StoreError) as caught:
        async with open_broker(address, patience_s=0.0, answer_within_s=1.0) as broker:
            await broker.require_suitable()
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) <= MAX_CHARS
    assert SECRET[:6] not in said
    # Nor behind it, where a traceback would show it.
    behind = caught.value.__cause__ or caught.value.__context__
    while behind is not None:
        assert SECRET[:6] not in str(behind)
        behind = behind.__cause__ or behind.__context__
    return caught.value


class Wrong(NamedTuple):
    """A server that is not a Redis as the address says."""

    says: bytes | None
    scheme: str
    words: str
    reason: str
    is_final: bool = False
    """Whether a wait would be endless, so that the start ends."""


NO_REDIS = "is no Redis"
SPEAKERS = {
    "HTTP": Wrong(HTTP, "redis", f"{NO_REDIS}: it speaks another protocol (HTTP?)", "refused", True),
    "SSH": Wrong(SSH, "redis", f"{NO_REDIS}: it speaks another protocol (SSH?)", "refused", True),
    "SMTP": Wrong(SMTP, "redis", NO_REDIS, "refused", True),
    "POP3": Wrong(POP3, "redis", NO_REDIS, "refused", True),
    "no AUTH": Wrong(repeats(SECRET), "redis", "does not know a command", "refused", True),
    "a reply with the password": Wrong(f"-ERR who is {SECRET}?\r\n".encode(), "redis", "who is ***?", "refused"),
    "a reply with a part of it": Wrong(
        f"-ERR denied, with args beginning with: '{SECRET[:6]}'\r\n".encode(), "redis", "denied", "refused"
    ),
    "protected mode": Wrong(DENIED, "redis", "is in protected mode", "refused"),
    "all clients": Wrong(FULL, "redis", "has as many clients as it takes", "away"),
    "hangs up": Wrong(b"", "redis", "closed the connection before it answered", "away"),
    "silence": Wrong(None, "redis", "does not answer within 1 s", "away"),
    "HTTP for TLS": Wrong(HTTP, "rediss", "does not speak TLS", "refused"),
    "hangs up for TLS": Wrong(b"", "rediss", "closed the connection during the TLS handshake", "away"),
    "silence for TLS": Wrong(None, "rediss", "takes no connection within 1 s, TLS handshake included", "away"),
    "HTTP for a cluster": Wrong(HTTP, "redis+cluster", NO_REDIS, "refused", True),
    "hangs up for a cluster": Wrong(b"", "redis+cluster", "closed the connection before it answered", "away"),
    "HTTP for a Sentinel": Wrong(HTTP, "redis+sentinel", NO_REDIS, "refused", True),
    "silence for a Sentinel": Wrong(None, "redis+sentinel", "does not answer within 1 s", "away"),
}


@pytest.mark.parametrize("wrong", SPEAKERS.values(), ids=SPEAKERS)
async def test_what_is_no_redis_is_named_in_one_line(wrong: Wrong) -> None:
    """A server that can never be a Redis ends the start with one line; one that may become one is waited for."""
    with speaker(wrong.says) as port:
        path = "/main" if "sentinel" in wrong.scheme else ""
        error = await start_on(f"{wrong.scheme}://ann:{SECRET}@127.0.0.1:{port}{path}")
        assert f"127.0.0.1:{port}" in str(error)
    assert wrong.words in str(error)
    assert isinstance(error, UnsuitableRedisError if wrong.is_final else StoreUnavailableError)
    assert error.reason == wrong.reason


@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+cluster", "redis+sentinel"])
@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("127.0.0.1:{free}", "nothing listens there"),
        ("no-such-name.invalid:6379", "there is no such host name"),
        (f"{'a' * 70}:6379", "there is no such host name"),
    ],
)
async def test_where_nothing_is_is_an_absence(free_tcp_port: int, scheme: str, host: str, words: str) -> None:
    """A server that is not there yet, or a host name that is unknown yet, is an absence and is waited for."""
    path = "/main" if "sentinel" in scheme else ""
    error = await start_on(f"{scheme}://{host.format(free=free_tcp_port)}{path}")
    assert words in str(error)
    assert isinstance(error, StoreUnavailableError)
    assert error.reason == "away"


@pytest.fixture
def locked_redis(own_redis: EmbeddedRedis) -> str:
    """Return host and port of a server that asks for a password, and has a user without one of the rights."""
    with redis.Redis(port=own_redis.port, protocol=2) as client:
        client.acl_setuser("ann", enabled=True, passwords=["+right"], keys=["*"], commands=["+@all", "-client"])
        client.acl_setuser("bob", enabled=False, passwords=["+right"])
        client.config_set("requirepass", "right")
    return f"127.0.0.1:{own_redis.port}"


@pytest.mark.parametrize(
    ("userinfo", "path", "words", "is_final"),
    [
        ("", "", "wants a password, and is given none", False),
        (f":{SECRET}@", "", "refuses the user name or the password", False),
        (f"ann:{SECRET}@", "", "refuses the user name or the password", False),
        (f"carl:{SECRET}@", "", "refuses the user name or the password", False),
        ("bob:right@", "", "refuses the user name or the password", False),
        ("ann:right@", "", "+client", False),
        (":right@", "/99", "has no database 99", True),
        (":right@", "/999999999", "has no database 999999999", True),
    ],
)
async def test_a_redis_that_turns_us_away_says_why(
    locked_redis: str, userinfo: str, path: str, words: str, is_final: bool
) -> None:
    """A wrong password is waited for, since either side may change it; a database that does not exist is refused."""
    error = await start_on(f"redis://{userinfo}{locked_redis}{path}")
    assert words in str(error)
    assert error.reason == "refused"
    assert isinstance(error, UnsuitableRedisError) is is_final


async def test_a_redis_without_a_password_refuses_one(own_redis: EmbeddedRedis) -> None:
    """A password is refused by a Redis without one, because the password was meant for another server."""
    error = await start_on(own_redis.url.replace("redis://", f"redis://:{SECRET}@"))
    assert "has no password, and is given one" in str(error)
    assert (type(error), error.reason) == (StoreUnavailableError, "refused")


async def test_tls_spoken_to_a_plain_server_is_named(own_redis: EmbeddedRedis) -> None:
    """TLS to a plain port is named as such by a second look at the port, since the server keeps silent."""
    error = await start_on(own_redis.url.replace("redis://", "rediss://"))
    assert "does not speak TLS" in str(error)
    assert (type(error), error.reason) == (StoreUnavailableError, "refused")


async def test_a_plain_connection_to_a_tls_port_is_named(redis_binary: RedisBinary, tmp_path: Path) -> None:
    """A plain connection to a TLS port is named as such by a second look, since the server only hangs up."""
    require_tls(redis_binary)
    keys = make_keys(tmp_path / "keys")
    with LOCKED["single"](tmp_path, redis_binary, keys) as address:
        error = await start_on(replace(address, tls=False))
    assert "speaks TLS only" in str(error)
    assert (type(error), error.reason) == (StoreUnavailableError, "refused")


@pytest.fixture
def topology(server_pool: ServerPool, redis_binary: RedisBinary) -> Callable[[str], RedisAddress]:
    """Return a function that starts Sentinels or a cluster, and returns their address."""
    return lambda mode: parse_redis_url(server_pool.url_of(LocalServer(redis_binary, mode)))


async def test_a_node_of_a_cluster_is_no_single_server(topology: Callable[[str], RedisAddress]) -> None:
    """A node of a cluster is refused as a single server."""
    error = await start_on(replace(topology("cluster"), mode="single"))
    assert "redis+cluster://" in str(error)
    assert isinstance(error, UnsuitableRedisError)


async def test_a_single_server_is_no_cluster(own_redis: EmbeddedRedis) -> None:
    """A single server is refused as a cluster."""
    error = await start_on(own_redis.url.replace("redis://", "redis+cluster://").removesuffix("/0"))
    assert "no node of a cluster" in str(error)
    assert isinstance(error, UnsuitableRedisError)


async def test_a_sentinel_is_no_redis(topology: Callable[[str], RedisAddress]) -> None:
    """A Sentinel is refused as a Redis, though it responds to PING."""
    error = await start_on(replace(topology("sentinel"), mode="single", service=""))
    assert "redis+sentinel://" in str(error)
    assert isinstance(error, UnsuitableRedisError)


async def test_a_redis_is_no_sentinel(own_redis: EmbeddedRedis) -> None:
    """A Redis is refused as a Sentinel."""
    error = await start_on(f"redis+sentinel://127.0.0.1:{own_redis.port}/main")
    assert "is no Sentinel" in str(error)
    assert isinstance(error, UnsuitableRedisError)


async def test_a_service_that_no_sentinel_knows_is_a_refusal(topology: Callable[[str], RedisAddress]) -> None:
    """A name that no Sentinel knows is reported as unknown and waited for."""
    error = await start_on(replace(topology("sentinel"), service="other"))
    assert "knows no service of that name" in str(error)
    assert (type(error), error.reason) == (StoreUnavailableError, "refused")


async def test_one_sentinel_that_answers_is_enough(topology: Callable[[str], RedisAddress], free_tcp_port: int) -> None:
    """One Sentinel that responds is enough, though others are away or wrong."""
    address = topology("sentinel")
    with speaker(HTTP) as port:
        hosts = (("127.0.0.1", free_tcp_port), ("127.0.0.1", port), address.hosts[0])
        async with open_broker(replace(address, hosts=hosts), patience_s=0.0) as broker:
            assert (await broker.require_suitable()).mode == "sentinel"


@pytest.fixture
def silent_ports() -> Iterator[list[int]]:
    """Yield a port that speaks HTTP and one on which nothing listens."""
    with ExitStack() as stack:
        yield [stack.enter_context(speaker(HTTP)), stack.enter_context(speaker(b""))]


async def test_a_sentinel_that_is_none_beside_one_that_is_away_is_waited_for(silent_ports: list[int]) -> None:
    """A wrong Sentinel beside one that is away does not end the start."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in silent_ports)
    error = await start_on(f"redis+sentinel://{hosts}/main")
    assert NO_REDIS in str(error)
    assert (type(error), error.reason) == (StoreUnavailableError, "refused")


async def test_a_node_that_is_none_beside_one_that_is_away_is_waited_for(silent_ports: list[int]) -> None:
    """A wrong node beside one that is away does not end the start."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in silent_ports)
    error = await start_on(f"redis+cluster://{hosts}")
    assert (type(error), error.reason) == (StoreUnavailableError, "away")


async def test_a_node_of_a_cluster_that_hides_what_it_is_is_no_single_server(
    redis_binary: RedisBinary, tmp_path: Path
) -> None:
    """A cluster node that forbids INFO is recognised by its greeting."""
    node = Node(redis_binary, tmp_path / "node", {"cluster-enabled": "yes"})
    try:
        node.start()
        node.ask("ACL", "SETUSER", "ann", "reset", "on", ">secret", "~*", "&*", "+@all", "-info")
        error = await start_on(node.url.replace("redis://", "redis://ann:secret@"))
    finally:
        node.end()
    assert "redis+cluster://" in str(error)
    assert isinstance(error, UnsuitableRedisError)


async def test_a_replica_refuses_writes_and_says_what_it_is(own_redis: EmbeddedRedis) -> None:
    """A replica behind the address is named, and waited for, since a failover may be under way."""
    async with open_broker(own_redis.url, patience_s=0.0) as broker:
        await broker.client.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StoreUnavailableError, match="read only replica") as caught:
            await broker.registry.add_queues([QUEUE])
        assert caught.value.reason == "refused"
        await broker.client.execute_command("REPLICAOF", "NO", "ONE")
        await broker.registry.add_queues([QUEUE])


async def test_a_wait_for_redis_ends_once_the_password_is_right(own_redis: EmbeddedRedis) -> None:
    """A service that waits reports each refusal, and goes on once the password is right."""
    told: list[StoreUnavailableError] = []
    refused = own_redis.url.replace("redis://", f"redis://:{SECRET}@")
    async with (
        open_broker(own_redis.url) as admin,
        open_broker(refused, patience_s=0.0) as broker,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(broker.wait_suitable, told.append, NEEDS["worker"])
        await wait_until(lambda: len(told) >= 2, "the refusal is told twice")
        await admin.client.config_set("requirepass", SECRET)
    assert {error.reason for error in told} == {"refused"}
