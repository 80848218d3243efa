"""The registry holds queues, types and workers, and every live worker writes it again."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from streams.seeds import seed_worker
from waiting import wait_until

from millstream_contracts import DEFAULT_TENANT, JobType, Queue, Tenant, TypePolicy, TypeRegistration, WorkerInfo
from millstream_streams import Broker

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def worker(name: str, seen_at: datetime = NOW) -> WorkerInfo:
    """Return a worker as its heartbeat describes it."""
    return WorkerInfo(name=name, types=["a"], concurrency=4, started_at=NOW, seen_at=seen_at)


async def test_queues_are_known_once_and_sorted(broker: Broker) -> None:
    """A queue that is registered twice is listed once, in the order that lists rely on."""
    names = ["a.b", "a", "a-b", "b"]
    queues = [Queue(DEFAULT_TENANT, JobType(name), partition) for name in names for partition in (255, 0)]
    await broker.registry.add_queues(queues)
    await broker.registry.add_queues(queues[:2])
    assert await broker.registry.queues() == sorted(queues)


async def test_queues_of_a_tenant_are_its_own(broker: Broker) -> None:
    """A tenant does not see the queues of a tenant whose name begins like its own."""
    mine, other = Queue(Tenant("a"), JobType("x")), Queue(Tenant("a.b"), JobType("x"))
    await broker.registry.add_queues([mine, other])
    assert await broker.registry.queues(Tenant("a")) == [mine]


async def test_a_dormant_queue_is_listed_where_it_is_asked_for(broker: Broker) -> None:
    """A dormant queue is in no list but that with the dormant ones, and once it is registered again, in each."""
    first, second = (Queue(DEFAULT_TENANT, JobType(name)) for name in ("a", "b"))
    await broker.registry.add_queues([first, second])
    await broker.registry.rest_queues([first], 5)
    assert await broker.registry.queues() == [second]
    assert await broker.registry.queues(DEFAULT_TENANT, with_dormant=True) == [first, second]
    assert [await broker.registry.dormant_queues(since) for since in (None, 5, 6)] == [[first], [first], []]
    await broker.registry.add_queues([first])
    assert await broker.registry.queues() == [first, second]
    assert await broker.registry.dormant_queues() == []


async def test_nothing_is_stored_when_there_is_nothing_to_store(broker: Broker) -> None:
    """An empty call stores nothing and raises no error."""
    await broker.registry.add_queues([])
    await broker.registry.add_types(DEFAULT_TENANT, [])
    assert await broker.registry.queues() == []
    assert await broker.registry.types(DEFAULT_TENANT) == {}
    assert await broker.registry.workers() == []


async def test_the_newest_registration_of_a_type_counts(broker: Broker) -> None:
    """The registration of the worker that started last counts."""
    old = TypeRegistration(type=JobType("a"), policy=TypePolicy(max_attempts=1))
    new = TypeRegistration(type=JobType("a"), policy=TypePolicy(max_attempts=9), payload_schema={"type": "object"})
    other = TypeRegistration(type=JobType("b"), policy=TypePolicy())
    await broker.registry.add_types(DEFAULT_TENANT, [other, old])
    await broker.registry.add_types(DEFAULT_TENANT, [new])
    await broker.registry.add_types(Tenant("default.x"), [old])
    assert await broker.registry.types(DEFAULT_TENANT) == {"a": new, "b": other}


async def test_workers_come_and_go(broker: Broker) -> None:
    """A worker is on the list from its first heartbeat until it leaves."""
    await broker.registry.beat(worker("h:2:b"))
    await broker.registry.beat(worker("h:1:a"))
    (first,) = [one for one in await broker.registry.workers() if one.name == "h:2:b"]
    await wait_until(lambda: time_of_redis(broker, after=first.seen_at), "the clock of Redis moves")
    await broker.registry.beat(worker("h:2:b"))
    assert [one.name for one in await broker.registry.workers()] == ["h:1:a", "h:2:b"]
    await broker.registry.leave("h:1:a")
    await broker.registry.leave("h:1:a")
    (left,) = await broker.registry.workers()
    assert (left.name, left.seen_at > first.seen_at) == ("h:2:b", True)


async def time_of_redis(broker: Broker, *, after: datetime) -> bool:
    """Return whether the clock of Redis is past this time, in whole milliseconds."""
    seconds, micros = await broker.client.time()
    return seconds * 1000 + micros // 1000 > after.timestamp() * 1000


async def test_silent_workers_are_forgotten(broker: Broker) -> None:
    """A worker that was not seen for long is taken off the list once."""
    await seed_worker(broker, worker("silent"), silent_s=300)
    await broker.registry.beat(worker("alive"))
    assert await broker.registry.forget_workers(timedelta(minutes=1)) == ["silent"]
    assert await broker.registry.forget_workers(timedelta(minutes=1)) == []
    assert [one.name for one in await broker.registry.workers()] == ["alive"]


@pytest.mark.parametrize("skew", [timedelta(days=-1), timedelta(minutes=-5), timedelta(hours=2)])
async def test_a_worker_whose_clock_is_wrong_is_alive_as_long_as_it_beats(broker: Broker, skew: timedelta) -> None:
    """The time of a heartbeat is that of Redis, whatever the clocks of worker and reaper say."""
    await broker.registry.beat(worker("skewed", datetime.now(UTC) + skew))
    (shown,) = await broker.registry.workers()
    assert await broker.registry.forget_workers(timedelta(minutes=1)) == []
    seconds, _ = await broker.client.time()
    assert abs(shown.seen_at.timestamp() - seconds) < 30


@pytest.mark.parametrize("garbage", [b"\xff", b"\x80", b""])
async def test_what_cannot_be_read_hides_nothing_else(broker: Broker, garbage: bytes) -> None:
    """An entry that cannot be read is skipped, and the reaper removes it."""
    keys, known = broker.keys, worker("h:1:a")
    await broker.registry.add_types(DEFAULT_TENANT, [TypeRegistration(type=JobType("a"), policy=TypePolicy())])
    await broker.registry.beat(known)
    await broker.client.hset(keys.types, "default/x", garbage)
    await broker.client.hset(keys.workers, b"\xfe", garbage)
    assert set(await broker.registry.types(DEFAULT_TENANT)) == {"a"}
    assert [one.name for one in await broker.registry.workers()] == [known.name]
    assert len(await broker.registry.forget_workers(timedelta(minutes=1))) == 1
    assert set(await broker.client.hgetall(keys.workers)) == {known.name.encode()}


async def test_a_worker_whose_times_have_no_zone_is_forgotten_like_others(broker: Broker) -> None:
    """A worker entry whose times lack a zone is swept like any other."""
    seen = worker("naive", datetime(2020, 1, 1, tzinfo=UTC))
    fields = msgspec.to_builtins(seen) | {"seen_at": "2020-01-01T00:00:00"}
    await broker.client.hset(broker.keys.workers, "naive", msgspec.msgpack.encode(fields))
    assert await broker.registry.forget_workers(timedelta(minutes=1)) == ["naive"]


async def test_ping_returns_when_redis_answers(broker: Broker) -> None:
    """A ping returns when Redis responds."""
    await broker.ping()
