"""With two releases of an application, the registration of the newest live worker counts for each type."""

import random
from datetime import timedelta
from itertools import permutations

import msgspec
import pytest

from millstream_contracts import (
    DEFAULT_TENANT,
    Backoff,
    JobType,
    Tenant,
    TypePolicy,
    TypeRegistration,
    WorkerInfo,
    moment,
)
from millstream_streams import Broker, Start

TYPE = JobType("a")
LONG = timedelta(minutes=5)


def described(name: str, *types: str) -> list[TypeRegistration]:
    """Return the registration of a release, whose name is in the description."""
    return [TypeRegistration(type=JobType(one), policy=TypePolicy(), description=name) for one in types or (TYPE,)]


async def begin(broker: Broker, worker: str, release: str, *types: str, at_ms: int | None = None) -> Start:
    """Start a worker, which registers and is alive for long."""
    return await broker.registry.add_types(
        DEFAULT_TENANT, described(release, *types), worker=worker, started_at_ms=at_ms, alive_for=LONG
    )


async def again(broker: Broker, start: Start, release: str, *types: str) -> None:
    """Register a worker again, as it does every few beats."""
    known = await begin(broker, start.worker, release, *types, at_ms=start.at_ms)
    assert known == start


async def beat(broker: Broker, start: Start, alive_for: timedelta = LONG, *, is_leaving: bool = False) -> bool:
    """Send the heartbeat of a worker."""
    at = moment(start.at_ms)
    info = WorkerInfo(name=start.worker, types=["a"], concurrency=1, started_at=at, seen_at=at)
    return await broker.registry.beat(info, start, alive_for=alive_for, is_leaving=is_leaving)


async def die(broker: Broker, *starts: Start) -> None:
    """End the time of workers, as if they were killed."""
    for start in starts:
        await broker.client.zadd(broker.keys.starts, {f"{start.at_ms} {start.release} {start.worker}": 1.0})


async def ranked(broker: Broker, job_type: JobType = TYPE) -> list[str]:
    """Return the releases whose registrations of a type count, the newest first."""
    found = await broker.registry.registrations(DEFAULT_TENANT)
    return [one.registration.description for one in found.get(job_type, [])]


async def newest(broker: Broker, job_type: JobType = TYPE) -> str:
    """Return the release that the API shows for a type."""
    return (await broker.registry.types(DEFAULT_TENANT))[job_type].description


async def held(broker: Broker) -> str:
    """Return the release that would stay if all workers left now."""
    value = await broker.client.hget(broker.keys.types, f"{DEFAULT_TENANT}/{TYPE}")
    return msgspec.msgpack.decode(value.split(b" ", 2)[2], type=TypeRegistration).description


async def test_a_registration_is_replaced_by_a_newer_start_only(broker: Broker) -> None:
    """An older worker that registers again does not replace the registration of a newer one."""
    old = await begin(broker, "w1", "old")
    new = await begin(broker, "w2", "new", at_ms=old.at_ms + 1)
    for _ in range(2):
        await again(broker, old, "old")
        assert (await newest(broker), await held(broker), await ranked(broker)) == ("new", "new", ["new", "old"])
        await again(broker, new, "new")
    assert await ranked(broker) == ["new", "old"]


async def test_a_start_is_of_the_clock_of_redis_and_stays_the_same(broker: Broker) -> None:
    """The start of a worker is a time of Redis, and stays the same when it registers again."""
    before_s, _ = await broker.client.time()
    start = await begin(broker, "w1", "old")
    assert before_s * 1000 <= start.at_ms
    assert await begin(broker, "w1", "old") == start
    assert await broker.client.zcard(broker.keys.starts) == 1


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_registry_that_was_lost_heals_to_the_newest_alive(broker: Broker, order: tuple[int, ...]) -> None:
    """A lost registry comes back with the newest live release, in whatever order the workers write."""
    at_ms = 1_700_000_000_000
    starts = [await begin(broker, f"w{age}", f"r{age}", at_ms=at_ms + age) for age in range(3)]
    await broker.client.delete(*broker.keys.fleet_keys)
    for age in order:
        assert not await beat(broker, starts[age])
        await again(broker, starts[age], f"r{age}")
        assert await beat(broker, starts[age])
    assert await ranked(broker) == ["r2", "r1", "r0"]
    assert await held(broker) == "r2"


@pytest.mark.parametrize("order", list(permutations(["w1", "w2", "w3"])))
async def test_starts_of_one_millisecond_are_told_apart_by_all_in_the_same_way(
    broker: Broker, order: tuple[str, ...]
) -> None:
    """Two starts within one millisecond have a fixed order, so that two releases do not replace each other."""
    starts = {name: await begin(broker, name, name, at_ms=1_700_000_000_000) for name in order}
    first = await ranked(broker)
    for name, start in starts.items():
        await again(broker, start, name)
    assert await ranked(broker) == first
    assert len(first) == 3
    assert await held(broker) == first[0]


async def test_registrations_of_a_newer_release_end_when_it_is_taken_away(broker: Broker) -> None:
    """When the last worker of a newer release leaves, the older registration counts again at once."""
    old = await begin(broker, "w1", "old", at_ms=1)
    await begin(broker, "w2", "new", at_ms=2)
    await begin(broker, "w3", "new", at_ms=3)
    await broker.registry.leave("w3")
    assert await ranked(broker) == ["new", "old"]
    await broker.registry.leave("w2")
    assert await ranked(broker) == ["old"]
    await again(broker, old, "old")
    assert await held(broker) == "old"


async def test_registrations_of_killed_workers_end_with_their_time(broker: Broker) -> None:
    """The registrations of a killed worker end with its time, at the next heartbeat or sweep."""
    old = await begin(broker, "w1", "old", at_ms=1)
    new = await begin(broker, "w2", "new", at_ms=2)
    await die(broker, new)
    assert await beat(broker, old)
    assert await ranked(broker) == ["old"]
    await die(broker, old)
    await broker.registry.forget_workers(LONG)
    assert await broker.client.zcard(broker.keys.starts) == 0


async def test_a_worker_that_was_given_up_by_mistake_comes_back_as_it_was(broker: Broker) -> None:
    """A worker that was frozen past its time comes back with the start that it had."""
    old = await begin(broker, "w1", "old", at_ms=1)
    new = await begin(broker, "w2", "new", at_ms=2)
    await die(broker, new)
    await again(broker, old, "old")
    assert not await beat(broker, new)
    await again(broker, new, "new")
    assert (await ranked(broker), await held(broker)) == (["new", "old"], "new")


async def test_registrations_of_a_worker_that_is_leaving_end_with_its_time(broker: Broker) -> None:
    """The registrations of a leaving worker count for a while, which no later heartbeat extends."""
    old = await begin(broker, "w1", "old", at_ms=1)
    await begin(broker, "w2", "new", at_ms=2)
    await beat(broker, old, timedelta(minutes=1), is_leaving=True)
    ends_at = await ends(broker, old)
    await beat(broker, old, LONG, is_leaving=True)
    await broker.registry.leave("w1", LONG)
    assert (await ranked(broker), await ends(broker, old)) == (["new", "old"], ends_at)
    await beat(broker, old, timedelta(), is_leaving=True)
    await broker.registry.forget_workers(LONG)
    assert await ranked(broker) == ["new"]
    await beat(broker, old, LONG, is_leaving=True)
    assert await ranked(broker) == ["new"]


async def ends(broker: Broker, start: Start) -> float:
    """Return the Unix time in ms until which the registrations of a worker count."""
    found = await broker.client.zscore(broker.keys.starts, f"{start.at_ms} {start.release} {start.worker}")
    return float(found)


async def test_what_the_last_worker_registered_stays(broker: Broker) -> None:
    """The registrations of the last worker stay when it leaves, so that ingest accepts what it did."""
    await begin(broker, "w1", "old", "a", "b", at_ms=1)
    await begin(broker, "w2", "new", "a", at_ms=2)
    await broker.registry.leave("w1")
    await broker.registry.leave("w2")
    assert (await ranked(broker), await ranked(broker, JobType("b"))) == (["new"], ["old"])


async def test_types_that_only_some_live_workers_handle_are_known(broker: Broker) -> None:
    """A type that only some of the live workers handle is known."""
    await begin(broker, "w1", "old", "a", "dropped", at_ms=1)
    await begin(broker, "w2", "new", "a", "added", at_ms=2)
    assert list(await broker.registry.types(DEFAULT_TENANT)) == ["a", "added", "dropped"]


async def test_releases_that_describe_a_type_alike_are_one(broker: Broker) -> None:
    """Releases with the same description of a type count as one, and a payload is checked once."""
    await begin(broker, "w1", "same", "a", at_ms=1)
    await begin(broker, "w2", "same", "a", "b", at_ms=2)
    assert await ranked(broker) == ["same"]


async def test_registrations_of_dead_releases_are_forgotten(broker: Broker) -> None:
    """The registrations of releases without a live worker are removed."""
    for age in range(5):
        start = await begin(broker, f"w{age}", f"r{age}", at_ms=age + 1)
        if age < 4:
            await broker.registry.leave(start.worker)
    fields = await broker.client.hkeys(broker.keys.types)
    assert sorted(fields) == sorted([b"default/a", start.release.encode()])


async def test_tenants_do_not_see_each_others_registrations(broker: Broker) -> None:
    """A tenant sees its own registrations only, also where another's name begins like its own."""
    await broker.registry.add_types(Tenant("default.x"), described("theirs"), worker="w1", alive_for=LONG)
    await begin(broker, "w2", "ours", at_ms=1)
    assert await ranked(broker) == ["ours"]


async def test_a_worker_has_one_start(broker: Broker) -> None:
    """A worker name that registers something else replaces its earlier registration."""
    await begin(broker, "w1", "old")
    start = await begin(broker, "w1", "new")
    members = await broker.client.zrange(broker.keys.starts, 0, -1)
    assert [one.decode() for one in members] == [f"{start.at_ms} {start.release} w1"]


async def test_a_release_is_as_new_as_its_newest_live_worker(broker: Broker) -> None:
    """A release ranks by the start of its newest live worker, however long each worker counts."""
    old = await begin(broker, "w1", "blue", at_ms=100)
    await begin(broker, "w2", "green", at_ms=200)
    new = await begin(broker, "w3", "blue", at_ms=300)
    for order in ((old, new), (new, old)):
        for score, start in enumerate(order):
            member = f"{start.at_ms} {start.release} {start.worker}"
            await broker.client.zadd(broker.keys.starts, {member: 4_102_444_800_000 + score})
        assert await ranked(broker) == ["blue", "green"]


async def test_a_worker_that_is_forgotten_has_no_start_any_more(broker: Broker) -> None:
    """A worker that is taken off the list loses its registrations, also when they would still count."""
    start = await begin(broker, "w1", "blue")
    await beat(broker, start)
    blob = (await broker.client.hget(broker.keys.workers, "w1")).partition(b" ")[2]
    await broker.client.hset(broker.keys.workers, "w1", b"1 " + blob)
    await begin(broker, "w2", "green")
    assert await broker.registry.forget_workers(timedelta(minutes=1)) == ["w1"]
    assert await ranked(broker) == ["green"]


async def test_a_registration_without_a_start_counts_until_there_is_another(broker: Broker) -> None:
    """A registration without a start, as an old release writes it, is read and replaces none that has one."""
    bare = msgspec.msgpack.encode(described("bare")[0])
    await broker.client.hset(broker.keys.types, "default/a", bare)
    assert await ranked(broker) == ["bare"]
    await begin(broker, "w1", "new")
    await broker.client.hset(broker.keys.types, "default/a", bare)
    assert await ranked(broker) == ["new"]


async def test_what_a_newer_release_says_beyond_this_ones_words_hides_nothing(broker: Broker) -> None:
    """A registration with fields of a newer release is read, with its schema and every known field."""
    policy = msgspec.to_builtins(TypePolicy(partitions=4, backoff=Backoff(base_s=3.0)))
    policy["backoff"]["kind"] = "fibonacci"
    policy["max_attempts"] = "as many as it takes"
    written = {"type": "a", "policy": policy, "payload_schema": {"type": "object"}, "colour": "red"}
    blob = msgspec.msgpack.encode(written)
    await broker.client.hset(broker.keys.types, "default/a", b"1 w1 " + blob)
    found = (await broker.registry.types(DEFAULT_TENANT))[TYPE]
    assert (found.payload_schema, found.policy.partitions) == ({"type": "object"}, 4)
    assert (found.policy.backoff, found.policy.max_attempts) == (Backoff(base_s=3.0), TypePolicy().max_attempts)


async def happen(broker: Broker, draw: random.Random, live: dict[str, tuple[Start, str]], number: int) -> None:
    """Apply an action to the fleet, or nothing where the fleet is empty."""
    name = draw.choice(list(live)) if live else ""
    match draw.choice(["begin", "again", "leave", "die", "lose"]):
        case "begin":
            release = f"r{draw.randrange(3)}"
            live[f"w{number}"] = (await begin(broker, f"w{number}", release, at_ms=draw.randrange(1, 5)), release)
        case "again" if name:
            await again(broker, *live[name])
        case "leave" if name:
            await broker.registry.leave(live.pop(name)[0].worker)
        case "die" if name:
            await die(broker, live.pop(name)[0])
        case "lose":
            await broker.client.delete(*broker.keys.fleet_keys)


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_workers_do_the_newest_alive_has_the_last_word(broker: Broker, seed: int) -> None:
    """The newest live release counts after any order of events, once each live worker has beaten again.

    Events are starts, rewrites, leaves, deaths and losses of the registry.
    """
    draw, live = random.Random(seed), dict[str, tuple[Start, str]]()
    for number in range(30):
        await happen(broker, draw, live, number)
        for start, release in live.values():
            if not await beat(broker, start):
                await again(broker, start, release)
        if live:
            assert await newest(broker) == max(live.values(), key=lambda one: (one[0].at_ms, one[0].release))[1]
            assert set(await ranked(broker)) == {release for _, release in live.values()}
