"""Redis URLs are parsed, and connections are made from them."""

from contextlib import suppress

import anyio
import pytest
from streams.seeds import new_job
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobState, JobType, Queue
from millstream_streams import Broker, Durability, NotDurableError, RedisUrlError, open_broker
from millstream_streams.connection.address import RedisAddress, parse_redis_url
from millstream_streams.connection.connections import (
    BLOCKING_MARGIN_S,
    COMMAND_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    HEALTH_CHECK_S,
    close,
    connect,
)
from millstream_streams.connection.diagnosis import NotConnectedError
from millstream_streams.connection.turns import InTurnPool, InTurnSentinelPool
from millstream_streams.store import job_store


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("redis://h", RedisAddress("single", (("h", 6379),))),
        ("redis://h:1/2", RedisAddress("single", (("h", 1),), db=2)),
        ("redis://h/", RedisAddress("single", (("h", 6379),))),
        ("REDIS://h", RedisAddress("single", (("h", 6379),))),
        ("rediss://h:1", RedisAddress("single", (("h", 1),), tls=True)),
        ("redis://[::1]:7/3", RedisAddress("single", (("::1", 7),), db=3)),
        ("redis://:secret@h", RedisAddress("single", (("h", 6379),), password="secret")),
        ("redis://ann@h", RedisAddress("single", (("h", 6379),), username="ann")),
        ("redis://an%2Fn:p%40%3A%2F@h", RedisAddress("single", (("h", 6379),), username="an/n", password="p@:/")),
        ("redis://ann:p@ss@h", RedisAddress("single", (("h", 6379),), username="ann", password="p@ss")),
        ("redis+sentinel://a,b:2/main", RedisAddress("sentinel", (("a", 26379), ("b", 2)), service="main")),
        ("rediss+sentinel://a/main/3", RedisAddress("sentinel", (("a", 26379),), tls=True, service="main", db=3)),
        ("redis+cluster://a:1,b,[::1]:5", RedisAddress("cluster", (("a", 1), ("b", 6379), ("::1", 5)))),
        ("rediss+cluster://u:p@a", RedisAddress("cluster", (("a", 6379),), tls=True, username="u", password="p")),
    ],
    ids=str,
)
def test_parse_reads_each_form(url: str, wanted: RedisAddress) -> None:
    """The parser reads URLs of single servers, Sentinel and Cluster, with TLS, user, password, ports and database."""
    assert parse_redis_url(url) == wanted


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:6379",
        "localhost",
        "http://h",
        "redis+other://h",
        "redis",
        "redis:",
        "redis://",
        "redis:///0",
        "redis://:secret@",
        "redis://h:port",
        "redis://h:99999",
        "redis://h:-1",
        "redis://[::1",
        "redis://h/one",
        "redis://h/-1",
        "redis://h/²",
        "redis://h/1/2",
        "redis://h,",
        "redis://a,b",
        "redis://h?db=1",
        "redis://h#1",
        "redis+sentinel://h",
        "redis+sentinel://h/main/one",
        "redis+sentinel://h/main/1/2",
        "redis+cluster://h/1",
        "unix:///run/redis.sock",
    ],
)
def test_parse_refuses_what_it_cannot_read(url: str) -> None:
    """Each mistake in a URL is one error of ours, which shows the right form."""
    with pytest.raises(RedisUrlError, match="redis://host:port/0"):
        parse_redis_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://ann:s3cr3t@h:port",
        "redis://:s3cr3t/x@h/0",
        "redis://:x/s3cr3t@h/0",
        "redis://:s3cr3t#x@h",
        "redis://:x#s3cr3t@h",
        "redis://:s3cr3t?x@h",
        "redis://:x?s3cr3t@h",
        "redis+sentinel://:s3cr3t@h",
        "redis+cluster://:s3cr3t@h/1",
        "http://:s3cr3t@h",
        "redis://:s3cr3t@[::1",
    ],
)
def test_parse_keeps_the_password_out_of_its_errors(url: str) -> None:
    """No error about a URL contains any part of it that may be a password."""
    with pytest.raises(RedisUrlError) as caught:
        parse_redis_url(url)
    assert "s3cr3t" not in str(caught.value)


def test_url_keeps_its_password_out_of_its_text() -> None:
    """The text of a URL names the server without user and password."""
    url = parse_redis_url("redis://ann:s3cr3t@h/1")
    assert "s3cr3t" not in repr(url) + str(url)
    assert "h:6379" in repr(url)


async def test_an_error_keeps_the_password_out_of_what_it_carries() -> None:
    """The attributes of an error contain no password, because errors are printed with their attributes."""
    client = connect(parse_redis_url("redis://ann:s3cr3t@127.0.0.1:9"))
    with pytest.raises(NotConnectedError) as caught:
        await client.ping()
    await close(client)
    assert repr(caught.value.where) == "Peer(127.0.0.1:9)"
    assert "s3cr3t" not in repr(caught.value) + str(caught.value)


async def test_commands_are_never_sent_again_by_the_client() -> None:
    """redis-py never resends a command, because it would apply an XADD twice."""
    client = connect(parse_redis_url("redis://127.0.0.1"))
    options = client.connection_pool.connection_kwargs
    assert options["retry"].get_retries() == 0
    assert options["protocol"] == 2
    assert options["socket_timeout"] == COMMAND_TIMEOUT_S
    assert isinstance(client.connection_pool, InTurnPool)
    await client.aclose()


async def test_blocking_reads_wait_longer_than_they_block() -> None:
    """The socket timeout of a blocking read is longer than the read, or its entries would be stranded."""
    client = connect(parse_redis_url("redis://127.0.0.1"), blocks_for_s=2.0)
    assert client.connection_pool.connection_kwargs["socket_timeout"] == 2.0 + BLOCKING_MARGIN_S
    await client.aclose()


@pytest.mark.parametrize(("answer_within_s", "connect_within_s"), [(5.0, CONNECT_TIMEOUT_S), (0.5, 0.5)])
async def test_connections_notice_a_peer_that_is_gone(answer_within_s: float, connect_within_s: float) -> None:
    """Connections use keepalive and health checks, and a connect takes no longer than a response may."""
    client = connect(parse_redis_url("redis://127.0.0.1"), answer_within_s=answer_within_s)
    options = client.connection_pool.connection_kwargs
    assert (options["socket_keepalive"], options["health_check_interval"]) == (True, HEALTH_CHECK_S)
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (answer_within_s, connect_within_s)
    await client.aclose()


async def test_a_broker_and_all_that_it_opened_leave_no_connection(
    redis_url: str, namespace: str, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker closes all of its connections, those of confirmed calls, readers and listeners included."""
    monkeypatch.setitem(job_store._CONFIRMATIONS, Durability.REPLICATED, ("WAIT", 1, 1))
    queue = Queue(DEFAULT_TENANT, JobType("email.send"))

    async def connections() -> set[str]:
        return {client["id"] for client in await broker.client.client_list()}

    before = await connections()
    async with open_broker(redis_url, namespace=namespace) as opened:
        with suppress(NotDurableError):
            await opened.store.enqueue(queue, [new_job(queue)], Durability.REPLICATED)
        await opened.store.measure(queue)
        await opened.registry.queues()
        await opened.listing.jobs([queue], JobState.QUEUED, cursor=None, limit=1)
        await opened.ping()
        await opened.look_at_clock()
        reader, feed = opened.reader(), opened.feed(group="history", consumer="c")
        await reader.wait([queue], consumer="w1", block_ms=0)
        await feed.read([queue], entries=1)
        listening = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(opened.listen_due, lambda _: None, listening.set)
            with anyio.fail_after(20):
                await listening.wait()
            tasks.cancel_scope.cancel()
        assert len(await connections() - before) >= 6
        await reader.close()
        await feed.aclose()

    async def none_is_left() -> bool:
        return not await connections() - before

    await wait_until(none_is_left, "every connection is closed")


async def test_sentinel_connections_have_the_same_rules() -> None:
    """Connections through Sentinel resend no command either."""
    client = connect(parse_redis_url("redis+sentinel://a,b/main/3"))
    assert isinstance(client.connection_pool, InTurnSentinelPool)
    options = client.connection_pool.connection_kwargs
    assert (options["retry"].get_retries(), options["protocol"], options["db"]) == (0, 2, 3)
    sentinels = client.connection_pool.sentinel_manager.sentinels
    assert [one.connection_pool.connection_kwargs["port"] for one in sentinels] == [26379, 26379]
    await client.aclose()
    for one in sentinels:
        await one.aclose()


async def test_open_broker_refuses_a_bad_url_before_it_connects() -> None:
    """A bad URL is refused before a connection is made."""
    with pytest.raises(RedisUrlError):
        async with open_broker("redis://h/one"):
            pytest.fail("opened")
