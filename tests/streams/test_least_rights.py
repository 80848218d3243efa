"""users.acl grants each service exactly what its code sends, and loads on every server."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
import redis
from acl_users import ADMIN_ACCESS, PLACEHOLDER, SENTINEL_USERS, as_user, grants_of, password_of, write_users
from streams.command_reader import commands_used, topics_heard, topics_told, uses_of
from streams.script_reader import commands_of
from streams.seeds import seed
from topologies.nodes import HOST, Node

from millstream_cli.redis_finder import RedisBinary
from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import ANY_SERVICE, NEEDS, Broker, Needs, open_broker
from millstream_streams.store import job_store
from millstream_streams.store.keys import Keys
from millstream_streams.suitability.needs import CONNECTING, ON_A_CLUSTER, SCRIPTING

SERVICES = Path(__file__).parents[2] / "services"
SUBMISSION, RUNTIME = "../libs/submission", "../libs/runtime"
FOLDERS = {
    "ingest": ("ingest", SUBMISSION, RUNTIME),
    "worker": ("workers", SUBMISSION, RUNTIME),
    "dispatcher": ("dispatcher", SUBMISSION, RUNTIME),
    "reaper": ("reaper", RUNTIME),
}
"""The folders with the code of a service, shared ones included."""

NOT_ON_EVERY_SERVER = {"waitaof"}
"""Commands that some servers lack: such a server refuses a file that names them."""

every_service = pytest.mark.parametrize("service", NEEDS)


@every_service
def test_a_service_needs_the_commands_that_its_code_sends(service: str) -> None:
    """The needs of a service are exactly the commands that its code sends."""
    needs, uses = NEEDS[service], uses_in(service)
    assert commands_used(uses) - {"publish", *needs.extras} == needs.commands
    assert topics_told(uses) == set(needs.tells)
    assert topics_heard(uses) == set(needs.hears)


def uses_in(service: str) -> set[tuple[str, str]]:
    """Return the methods of the store that a service uses."""
    return set().union(*(uses_of(SERVICES / folder) for folder in FOLDERS[service]))


def test_an_extra_is_what_a_part_of_a_service_sends() -> None:
    """The extra commands are those for confirmations in ingest, and those that end a blocking read in a worker."""
    assert {words[0].lower() for words in job_store._CONFIRMATIONS.values()} == {*NEEDS["ingest"].extras}
    assert {*NEEDS["worker"].extras} <= commands_used(uses_in("worker"))


def test_every_command_that_a_service_needs_can_be_tried() -> None:
    """`try_rights` tries exactly the commands that some service needs."""
    known = commands_of("try_rights")
    for needs in (*NEEDS.values(), ANY_SERVICE):
        assert needs.commands <= known
    assert known == set().union(*(needs.commands for needs in NEEDS.values()))


@every_service
def test_the_user_of_a_service_is_granted_what_it_needs(service: str) -> None:
    """The user of a service is granted exactly its commands, keys and channels."""
    needs, grants = NEEDS[service], grants_of()[f"millstream-{service}"]
    assert grants.commands == granted(needs) | set(needs.extras) - NOT_ON_EVERY_SERVER
    assert grants.keys == {"ms:{*/*/*}:*", *registry_keys(needs, "ms")}
    assert grants.channels == channels(needs)
    assert grants.other == ["on", PLACEHOLDER, "resetkeys", "resetchannels", "-@all"]


def granted(needs: Needs) -> set[str]:
    """Return the commands that a service's needs grant."""
    hints = {command for command, topics in (("publish", needs.tells), ("subscribe", needs.hears)) if topics}
    return set(needs.commands | SCRIPTING | CONNECTING | ON_A_CLUSTER) | hints


def registry_keys(needs: Needs, namespace: str) -> list[str]:
    """Return the keys that belong to no queue, in the order in which a service names them."""
    return [getattr(Keys(namespace), name) for name in needs.registry]


def channels(needs: Needs) -> set[str]:
    """Return the channel patterns of a service; a topic with a suffix ends in a star."""
    topics = (*needs.tells, *needs.hears)
    return {f"ms:hints:{topic}{'*' if topic.endswith(':') else ''}" for topic in topics}


def test_the_doctor_may_look_and_touches_no_job() -> None:
    """The doctor tries things on queues of its own, reads the heartbeats of services, and it alone reads CONFIG."""
    grants = grants_of()["millstream-doctor"]
    assert grants.commands == granted(ANY_SERVICE) | {"config|get", "hgetall"}
    assert grants.keys == {"ms:{default/millstream.rights.*/00}:*", "ms:queues", Keys().services}
    assert grants.channels == channels(ANY_SERVICE)


def test_nobody_gets_in_without_a_name() -> None:
    """The default user is off and may do nothing, and every other user is that of a service or of the doctor."""
    users = grants_of()
    assert set(users) == {"default", "millstream-doctor", *(f"millstream-{service}" for service in NEEDS)}
    assert users["default"].other == ["off", "resetpass", "resetkeys", "resetchannels", "-@all"]
    assert (users["default"].commands, users["default"].keys, users["default"].channels) == (set(), set(), set())


@pytest.fixture
def node(redis_binary: RedisBinary, tmp_path: Path) -> Iterator[Node]:
    """Yield a server with the users of the file, and an administrator."""
    users = write_users(tmp_path / "users.acl")
    server = Node(redis_binary, tmp_path / "server", {"aclfile": f'"{users}"'}, access=ADMIN_ACCESS)
    try:
        server.start()
        yield server
    finally:
        server.end()


@asynccontextmanager
async def broker_of(node: Node, user: str, **options: str) -> AsyncIterator[Broker]:
    """Yield a broker that connects as one of the users."""
    async with open_broker(as_user(node.url, user), patience_s=0.0, **options) as broker:
        yield broker


@every_service
async def test_each_user_has_all_that_its_service_tries_and_leaves_no_trace(node: Node, service: str) -> None:
    """Readiness, start and doctor of a service try nothing that its user lacks, and leave no key behind."""
    async with broker_of(node, f"millstream-{service}") as broker:
        await broker.require_suitable(NEEDS[service])
        await broker.ping()
    assert node.ask("ACL", "LOG") == []
    assert node.ask("KEYS", "*") == []


async def test_the_user_of_the_doctor_has_all_that_the_doctor_tries(node: Node) -> None:
    """The doctor's user has all rights that the doctor tries, and sees the settings that INFO lacks."""
    async with broker_of(node, "millstream-doctor") as broker:
        found = await broker.probe()
        rights = await broker.try_rights(ANY_SERVICE, found, thorough=True)
    assert (rights.needed, rights.hints, rights.extras) == ([], [], [])
    assert found.worst.listpack_value is not None
    assert node.ask("ACL", "LOG") == []


async def test_a_dispatcher_with_a_history_needs_nothing_beyond(node: Node) -> None:
    """The dispatcher's user may read events and jobs, acknowledge, and claim what another consumer left."""
    queue = Queue(DEFAULT_TENANT, JobType("email.send"))
    async with broker_of(node, "millstream-ingest") as ingest, broker_of(node, "millstream-dispatcher") as dispatcher:
        await ingest.registry.add_queues([queue])
        async with aclosing(dispatcher.feed(group="history", consumer="a")) as feed:
            assert await feed.read([queue], entries=10) == []
            (job_id,) = await seed(ingest, queue)
            (batch,) = await feed.read(await dispatcher.registry.queues(), entries=10)
            assert job_id in (await feed.jobs_of(batch)).jobs
            await feed.acknowledge([batch])
            assert await feed.take_over([queue], idle_ms=0) == []
    assert node.ask("ACL", "LOG") == []


@every_service
async def test_each_user_has_no_more_than_its_service_needs(node: Node, service: str) -> None:
    """The removal of any one rule of a user is noticed by what its service tries."""
    user, needs = f"millstream-{service}", NEEDS[service]
    for command in sorted(needs.commands | SCRIPTING | {"ping"}):
        node.ask("ACL", "SETUSER", user, f"-{command}" if "|" not in command else f"-{command.partition('|')[0]}")
        async with broker_of(node, user) as broker:
            rights = await broker.try_rights(needs, await broker.probe())
        assert f"+{command}" in rights.needed
        node.ask("ACL", "LOAD")


async def test_a_user_reaches_no_key_of_another_namespace(node: Node) -> None:
    """A user reaches no key of another namespace."""
    for service, needs in NEEDS.items():
        async with broker_of(node, f"millstream-{service}", namespace="other") as broker:
            rights = await broker.try_rights(needs, await broker.probe())
        assert [one for one in rights.needed if one[0] == "~"] == [
            "~other:{*/*/*}:*",
            *(f"~{key}" for key in registry_keys(needs, "other")),
        ]


async def test_another_namespace_takes_one_replacement(redis_binary: RedisBinary, tmp_path: Path) -> None:
    """The commands in docs/redis-acl.md adapt the file to another namespace."""
    users = write_users(tmp_path / "users.acl", namespace="acme")
    server = Node(redis_binary, tmp_path / "server", {"aclfile": f'"{users}"'}, access=ADMIN_ACCESS)
    try:
        server.start()
        for service, needs in NEEDS.items():
            async with broker_of(server, f"millstream-{service}", namespace="acme") as broker:
                await broker.require_suitable(needs)
        assert server.ask("ACL", "LOG") == []
    finally:
        server.end()


def test_the_files_load_as_they_are_and_let_nobody_in(redis_binary: RedisBinary, tmp_path: Path) -> None:
    """The files load unchanged, and their placeholder digests match no known password."""
    users = tmp_path / "users.acl"
    # Without one more user this server could not be asked whether it is up.
    write_users(users, source=Path("/dev/null"))
    users.write_text(users.read_text() + grants_text())
    server = Node(redis_binary, tmp_path / "server", {"aclfile": f'"{users}"'}, access=ADMIN_ACCESS)
    try:
        server.start()
        for name in grants_of():
            for word in ("", 64 * "0", PLACEHOLDER, password_of(name)):
                with pytest.raises((redis.AuthenticationError, redis.ResponseError)):
                    server.ask("AUTH", name, word)
        with redis.Redis(host=HOST, port=server.port, protocol=2) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.get("x")
    finally:
        server.end()


def grants_text() -> str:
    """Return the file as it is."""
    return (SERVICES.parent / "deploy" / "redis" / "users.acl").read_text()


def test_a_sentinel_lets_its_user_ask_for_addresses_and_nothing_else(redis_binary: RedisBinary, tmp_path: Path) -> None:
    """The Sentinel user may ask for addresses, and may neither list clients nor start a failover."""
    users = write_users(tmp_path / "users.acl", source=SENTINEL_USERS)
    sentinel = Node(redis_binary, tmp_path / "sentinel", {"aclfile": f'"{users}"'}, sentinel=True, access=ADMIN_ACCESS)
    try:
        sentinel.start()
        options = {"username": "millstream", "password": password_of("millstream"), "protocol": 2, "driver_info": None}
        with redis.Redis(host=HOST, port=sentinel.port, **options) as client:
            assert client.sentinel_masters() == {}
            client.ping()
            for words in (("SENTINEL", "FAILOVER", "main"), ("SENTINEL", "REMOVE", "main")):
                with pytest.raises(redis.ResponseError, match="permission"):
                    client.execute_command(*words)
    finally:
        sentinel.end()
