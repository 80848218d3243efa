"""A right that the Redis user lacks is named before a script would stop in the middle for want of it."""

import anyio
import pytest
from redis.asyncio import Redis
from waiting import wait_until

from millstream_cli.embedded import EmbeddedRedis
from millstream_streams import NEEDS, MissingRightError, Rights, StoreFullError, StoreUnavailableError, open_broker
from millstream_streams.store.keys import Keys
from millstream_streams.suitability.rights import tried_queue

NAMESPACE = "ms"


async def user(server: EmbeddedRedis, *rules: str) -> str:
    """Give a user all rights except these rules. Returns: the address with that user."""
    async with Redis(port=server.port, protocol=2) as admin:
        await admin.execute_command("ACL", "SETUSER", "ann", "reset", "on", ">secret", "~*", "&*", "+@all", *rules)
    return server.url.replace("redis://", "redis://ann:secret@")


async def tried(url: str, service: str, *, thorough: bool = False) -> Rights:
    """Return the rights that a user lacks for a service."""
    async with open_broker(url, namespace=NAMESPACE, patience_s=0.0) as broker:
        return await broker.try_rights(NEEDS[service], await broker.probe(), thorough=thorough)


def needs() -> list[tuple[str, str]]:
    """Return every command that a service needs, with the service."""
    return [(service, command) for service, needs in NEEDS.items() for command in sorted(needs.commands)]


async def test_each_command_that_is_missing_is_named_for_each_service(own_redis: EmbeddedRedis) -> None:
    """Each missing command, sub-commands included, is named for each service, and no other."""
    for service, command in needs():
        container = command.partition("|")[0]
        others = {one for one in NEEDS[service].commands if one.startswith(f"{container}|") and one != command}
        url = await user(own_redis, f"-{container}", *(f"+{one}" for one in others))
        found = await tried(url, service)
        assert (service, found.needed) == (service, [f"+{command}"])
        assert (found.hints, found.user) == ([], "ann")


@pytest.mark.parametrize("command", ["eval", "evalsha", "ping"])
async def test_a_missing_command_of_every_service_is_named(own_redis: EmbeddedRedis, command: str) -> None:
    """A missing command that every service needs, such as EVALSHA, EVAL or PING, is named."""
    for service in NEEDS:
        assert (await tried(await user(own_redis, f"-{command}"), service)).needed == [f"+{command}"]


def registry_patterns(service: str) -> list[str]:
    """Return the patterns of the keys that a service needs and that belong to no queue, as users.acl has them."""
    keys = Keys()
    return [f"~{getattr(keys, name)}" for name in NEEDS[service].registry]


async def test_a_key_pattern_that_is_missing_is_named(own_redis: EmbeddedRedis) -> None:
    """A missing key pattern is named as it stands in users.acl."""
    queues = "~ms:{*/*/*}:*"
    found = await tried(await user(own_redis, "resetkeys", "~acme:*"), "ingest")
    assert found.needed == [queues, *registry_patterns("ingest")]
    found = await tried(await user(own_redis, "resetkeys", queues), "worker")
    assert found.needed == registry_patterns("worker")
    found = await tried(await user(own_redis, "resetkeys", *registry_patterns("reaper")), "reaper")
    assert found.needed == [queues]
    found = await tried(await user(own_redis, "resetkeys", queues, "~ms:queues"), "dispatcher")
    assert found.needed == registry_patterns("dispatcher")[1:]


async def test_a_channel_that_is_missing_is_named_and_keeps_nothing_from_starting(
    own_redis: EmbeddedRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing channel is named and prevents no start, because hints may be lost."""
    url = await user(own_redis, "resetchannels", "&ms:hints:settled")
    found = await tried(url, "ingest")
    assert (found.needed, found.hints) == (
        [],
        ["&ms:hints:due", "&ms:hints:outbox", "&ms:hints:cancel:*", "&ms:hints:keys", "&ms:hints:queues"],
    )
    of_worker = ["&ms:hints:due", "&ms:hints:outbox", "&ms:hints:cancel:*", "&ms:hints:queues"]
    assert (await tried(url, "worker")).hints == of_worker
    for command in ("publish", "subscribe"):
        found = await tried(await user(own_redis, f"-{command}"), "dispatcher")
        assert (found.needed, found.hints) == ([], [f"+{command}"])
    async with open_broker(await user(own_redis, "resetchannels"), namespace=NAMESPACE) as broker:
        await broker.require_suitable(NEEDS["worker"])
    assert "&ms:hints:cancel:*" in capsys.readouterr().out


async def test_what_only_a_part_needs_is_told_to_who_asks_thoroughly(own_redis: EmbeddedRedis) -> None:
    """A missing right of an optional part is named with what is lost in a thorough check, and not at a start."""
    url = await user(own_redis, "-wait")
    (extra,) = (await tried(url, "ingest", thorough=True)).extras
    assert extra.startswith("+wait: `Prefer: durability=replicated`")
    assert (await tried(url, "ingest")).extras == []
    url = await user(own_redis, "-client", "+client|setname")
    assert [one.partition(":")[0] for one in (await tried(url, "worker", thorough=True)).extras] == [
        "+client|list",
        "+client|unblock",
    ]


async def test_a_user_with_all_rights_lacks_nothing_and_nothing_is_left_behind(own_redis: EmbeddedRedis) -> None:
    """A user with all rights lacks none, and repeated checks leave no key behind."""
    for service in NEEDS:
        for _ in range(2):
            assert await tried(own_redis.url, service, thorough=True) == Rights("default", [], [], [])
    async with open_broker(own_redis.url) as broker:
        assert await broker.client.keys("*") == []


async def test_a_name_is_refused_where_every_connection_begins_with_it(own_redis: EmbeddedRedis) -> None:
    """A refused CLIENT SETNAME is reported as a missing right."""
    async with open_broker(await user(own_redis, "-client"), patience_s=0.0) as broker:
        for call in (broker.probe, broker.ping, broker.require_suitable):
            with pytest.raises(MissingRightError, match=r"\+client"):
                await call()


async def test_a_service_waits_for_a_right_that_it_lacks_and_says_which(own_redis: EmbeddedRedis) -> None:
    """A service waits at its start for a missing right, names it, and goes on once it is granted."""
    heard: list[str] = []
    url = await user(own_redis, "-xautoclaim")
    async with open_broker(url, namespace=NAMESPACE) as broker, anyio.create_task_group() as tasks:
        tasks.start_soon(broker.wait_suitable, lambda error: heard.append(str(error)), NEEDS["reaper"])
        await wait_until(lambda: len(heard) >= 2, "the service has asked twice")
        await user(own_redis)
    assert set(heard) == {"the Redis user `ann` lacks +xautoclaim: see deploy/redis/users.acl"}


@pytest.mark.parametrize(
    ("rule", "names"), [("-evalsha", "+evalsha"), ("-xack", "+xack"), ("resetkeys", "key pattern")]
)
async def test_ping_fails_for_want_of_what_every_job_needs(own_redis: EmbeddedRedis, rule: str, names: str) -> None:
    """Readiness fails when a right is missing that every job needs."""
    async with open_broker(await user(own_redis, rule), patience_s=0.0) as broker:
        with pytest.raises(MissingRightError) as caught:
            await broker.ping()
    assert names in str(caught.value)


async def test_ping_fails_where_nothing_is_written_and_passes_where_memory_is_full(own_redis: EmbeddedRedis) -> None:
    """Readiness fails on a replica, which takes no jobs, and passes on a full Redis, which drains."""
    async with open_broker(own_redis.url, patience_s=0.0) as broker:
        await broker.client.config_set("maxmemory", 1)
        with pytest.raises(StoreFullError):
            await broker.registry.add_queues([tried_queue()])
        await broker.ping()
        await broker.client.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(StoreUnavailableError):
            await broker.ping()
