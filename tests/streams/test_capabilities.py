"""The capabilities of a server say what it is, what it lacks, and whether jobs are safe on it."""

import pytest

from millstream_cli.embedded import EmbeddedRedis
from millstream_streams import NEEDS, Broker, Capabilities, UnsuitableRedisError, open_broker

GOOD = {
    "server": "redis",
    "version": (7, 2, 4),
    "role": "primary",
    "uptime_s": 3_600,
    "waitaof": True,
    "maxmemory_policy": "noeviction",
    "appendonly": True,
    "listpack_value": 1024,
    "node_entries": 16,
}


def capable(**changes: object) -> Capabilities:
    """Return the capabilities of a faultless server, changed by these fields."""
    return Capabilities(**{**GOOD, **changes})


def test_a_good_server_has_neither_objection_nor_advice() -> None:
    """A good server gets neither an objection nor advice."""
    assert capable().objections() == []
    assert capable().advice() == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"version": (6, 0, 16)}, "6.2"),
        ({"server": "valkey", "version": (7, 0)}, "7.2"),
        ({"maxmemory_policy": "allkeys-lru"}, "noeviction"),
        ({"maxmemory_policy": "volatile-ttl"}, "noeviction"),
    ],
)
def test_objections_name_what_would_lose_jobs(changes: dict, word: str) -> None:
    """A server that is too old or evicts keys is refused, and the reason says what to do."""
    (objection,) = capable(**changes).objections()
    assert word in objection


@pytest.mark.parametrize("version", [(6, 2), (6, 2, 0), (7, 0, 15), (8, 2, 3)])
def test_the_oldest_supported_version_is_accepted(version: tuple[int, ...]) -> None:
    """Redis 6.2 is accepted, as the oldest version."""
    assert capable(version=version).objections() == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"maxmemory_policy": None}, "hides its configuration"),
        ({"version": (), "waitaof": None}, "hides its version"),
        ({"appendonly": False}, "appendonly"),
        ({"listpack_value": 64}, "1024"),
        ({"node_entries": 100}, "16"),
        ({"node_entries": 0}, "16"),
        ({"waitaof": False}, "WAITAOF"),
    ],
)
def test_advice_names_what_could_be_better(changes: dict, word: str) -> None:
    """A setting that endangers no stored job leads to advice, and to no refusal."""
    (advice,) = capable(**changes).advice()
    assert word in advice
    assert capable(**changes).objections() == []


async def test_probe_tells_what_the_server_says(broker: Broker) -> None:
    """The probe returns the server's own name and version, on Valkey those of Valkey."""
    info = await broker.client.info("server")
    (server,) = (await broker.probe()).servers
    found = server.found
    assert found.server == ("valkey" if "valkey_version" in info else "redis")
    assert found.version_text == str(info.get("valkey_version", info["redis_version"]))
    assert (server.role, found.role) == ("primary", "primary")
    assert found.waitaof == (found.version >= (7, 2))


async def test_the_embedded_server_needs_no_advice_that_can_be_followed(own_redis: EmbeddedRedis) -> None:
    """The server that `up` and `demo` start gets no advice that its settings could follow."""
    async with open_broker(own_redis.url) as broker:
        found = (await broker.probe()).worst
    assert found.maxmemory_policy == "noeviction"
    assert found.appendonly is True
    assert found.listpack_value == 1024
    assert found.node_entries == 16


async def test_require_suitable_refuses_a_server_that_evicts(own_redis: EmbeddedRedis) -> None:
    """A service refuses to start on a server that would evict jobs."""
    async with open_broker(own_redis.url) as broker:
        await broker.client.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(UnsuitableRedisError, match="allkeys-lru"):
            await broker.require_suitable()


async def grant(broker: Broker, *rules: str) -> str:
    """Give a user named ann all rights except these rules. Returns: the address with that user."""
    words = ("ACL", "SETUSER", "ann", "reset", "on", ">secret", "~*", "&*", "+@all", *rules)
    await broker.client.execute_command(*words)
    host, port = broker.address.hosts[0]
    return f"redis://ann:secret@{host}:{port}/0"


async def test_a_server_that_forbids_config_still_says_whether_it_evicts(own_redis: EmbeddedRedis) -> None:
    """Without the right to CONFIG the eviction policy is read from INFO."""
    async with open_broker(own_redis.url) as broker:
        await broker.client.config_set("maxmemory-policy", "allkeys-lru")
        async with open_broker(await grant(broker, "-config")) as managed:
            with pytest.raises(UnsuitableRedisError, match="allkeys-lru"):
                await managed.require_suitable()
            await broker.client.config_set("maxmemory-policy", "noeviction")
            found = (await managed.probe()).worst
    assert (found.maxmemory_policy, found.appendonly) == ("noeviction", True)
    assert (found.listpack_value, found.node_entries, found.objections()) == (None, None, [])


async def test_a_server_that_forbids_config_and_info_is_taken_and_told(own_redis: EmbeddedRedis) -> None:
    """A server that forbids CONFIG and INFO is accepted with advice, and its version comes from the greeting."""
    async with open_broker(own_redis.url) as broker:
        version = (await broker.probe()).worst.version
        async with open_broker(await grant(broker, "-config", "-info")) as managed:
            await managed.require_suitable(NEEDS["worker"])
            topology = await managed.probe()
    found = topology.worst
    assert (found.maxmemory_policy, found.appendonly, found.uptime_s) == (None, None, None)
    assert (found.version, found.role) == (version, "primary")
    assert any("hides its configuration" in advice for advice in topology.advice())
    assert topology.objections() == []


async def test_a_start_asks_for_nothing_that_its_users_are_not_granted(own_redis: EmbeddedRedis) -> None:
    """A start sends no CONFIG, which only the doctor may, so that the ACL log has no refusal at each start."""
    async with open_broker(own_redis.url) as broker:
        async with open_broker(await grant(broker, "-config")) as modest:
            await modest.require_suitable()
        assert await broker.client.acl_log() == []
