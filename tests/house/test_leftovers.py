"""The check finds each kind of leak of a test in Redis, and accepts the keys of sound jobs."""

from collections.abc import Awaitable, Callable

import pytest
from leftovers import delete_namespace, find_leaks
from streams.seeds import new_job, seed, seed_running

from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_streams import Broker, open_broker

QUEUE = Queue(DEFAULT_TENANT, JobType("email.send"))
JOB = "{default/email.send/00}:job:email.send_0001M8CYKVG6FC19S96R2B16ZR5F"

Leave = Callable[[Broker, str], Awaitable[object]]


async def _ending_stream(broker: Broker, namespace: str) -> None:
    key = f"{namespace}:{{default/email.send/00}}:ready:low"
    await broker.client.xadd(key, {"id": "x"})
    await broker.client.expire(key, 100)


async def _vanishing_job(broker: Broker, namespace: str) -> None:
    await broker.client.hset(f"{namespace}:{JOB}", "state", "running")
    await broker.client.expire(f"{namespace}:{JOB}", 100)


LEAKS: dict[str, tuple[str, Leave]] = {
    "a key of no pattern": ("is no key of the Redis model", lambda broker, ns: broker.client.set(f"{ns}:stray", 1)),
    "a known key of another type": ("is a string, not a set", lambda broker, ns: broker.client.set(f"{ns}:queues", 1)),
    "a stream that ends": ("has an end, and must not", _ending_stream),
    "an idempotency key that stays": (
        "is a key without an end",
        lambda broker, ns: broker.client.set(f"{ns}:{{default/email.send/00}}:idempotency:k", 1),
    ),
    "a stack that stays": (
        "is a key without an end",
        lambda broker, ns: broker.client.set(f"{ns}:{{default/email.send/00}}:stack:0a", 1),
    ),
    "a settled job that stays": (
        "has succeeded and is kept for ever",
        lambda broker, ns: broker.client.hset(f"{ns}:{JOB}", "state", "succeeded"),
    ),
    "a running job that ends": ("and will vanish", _vanishing_job),
}


@pytest.mark.parametrize("kind", LEAKS)
async def test_each_kind_of_leak_is_found(kind: str, redis_url: str, namespace: str) -> None:
    """A key of each kind of leak is found, and the complaint says what is wrong with it."""
    says, leave = LEAKS[kind]
    async with open_broker(redis_url, namespace=namespace) as broker:
        await leave(broker, namespace)
        [found] = await find_leaks(broker.client, namespace)
        assert says in found
        await delete_namespace(broker.client, namespace)
        assert await find_leaks(broker.client, namespace) == []


async def test_jobs_in_every_place_leave_nothing_that_is_complained_of(broker: Broker) -> None:
    """Ready, running and scheduled jobs are no leaks."""
    await broker.registry.add_queues([QUEUE])
    await seed_running(broker, QUEUE)
    await seed(broker, QUEUE)
    await broker.store.enqueue(QUEUE, [new_job(QUEUE, delay_ms=60_000)])
    assert await find_leaks(broker.client, broker.keys.namespace) == []
