"""Puts jobs and queues into a wanted state, and reads what Redis holds of them, for the tests of scripts."""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec

from millstream_contracts import (
    Dead,
    Event,
    Job,
    JobError,
    JobId,
    JobSpec,
    Outcome,
    Queue,
    Succeeded,
    WorkerInfo,
    new_job_id,
)
from millstream_streams import Broker, Commit, CommitCode, Delivery, Lease, NewJob
from millstream_streams.store.specs import read_event

TTL_MS = 3_600_000
FAR_MS = 3_600_000
"""A delay that does not end within a test."""
LONG_AGO_MS = 1
"""A Unix time that is past on every clock."""

ERROR = JobError(type="ValueError", message="no such address", fingerprint="f00d", attempt=1)
"""The error of a failed attempt."""


def new_job(queue: Queue, payload: Any = None, **options: Any) -> NewJob:
    """Return a job that is not stored yet."""
    spec = JobSpec(payload=msgspec.Raw(msgspec.msgpack.encode(payload)), created_at_ms=1_700_000_000_000)
    return NewJob(id=new_job_id(queue), spec=msgspec.msgpack.encode(spec), **options)


async def seed(broker: Broker, queue: Queue, count: int = 1, **options: Any) -> list[JobId]:
    """Store jobs; return their ids."""
    jobs = [new_job(queue, **options) for _ in range(count)]
    await broker.store.enqueue(queue, jobs)
    return [job.id for job in jobs]


async def seed_due(broker: Broker, queue: Queue, count: int = 1, **options: Any) -> list[JobId]:
    """Store delayed jobs that are already due."""
    ids = await seed(broker, queue, count, delay_ms=FAR_MS, **options)
    await make_due(broker, queue, ids)
    return ids


async def make_due(broker: Broker, queue: Queue, ids: Sequence[JobId], at_ms: int = LONG_AGO_MS) -> None:
    """Make scheduled jobs due now, in place of a wait."""
    keys = broker.keys.of(queue)
    for job_id in ids:
        await broker.client.zadd(keys.due, {job_id: at_ms}, xx=True)
        await broker.client.hset(keys.job(job_id), "run_at", at_ms)


async def take(broker: Broker, queue: Queue, consumer: str = "w1", limit: int = 10, **options: Any) -> list[Delivery]:
    """Claim jobs with a fresh nonce."""
    claim = await broker.store.claim(queue, consumer=consumer, nonce=nonce(), limit=limit, **options)
    return claim.deliveries


async def take_one(broker: Broker, queue: Queue, consumer: str = "w1") -> Delivery:
    """Claim exactly one job."""
    (delivery,) = await take(broker, queue, consumer, 1)
    return delivery


async def seed_running(broker: Broker, queue: Queue, consumer: str = "w1", **options: Any) -> Delivery:
    """Store a job and claim it."""
    (job_id,) = await seed(broker, queue, **options)
    delivery = await take_one(broker, queue, consumer)
    assert delivery.id == job_id
    return delivery


async def seed_dead(broker: Broker, queue: Queue, reason: str = "attempts", **options: Any) -> JobId:
    """Store a job, claim it and bury it."""
    delivery = await seed_running(broker, queue, **options)
    await commit(broker, delivery, Dead(reason, ERROR))
    return delivery.id


async def commit(
    broker: Broker, delivery: Delivery, outcome: Outcome | None = None, ttl_ms: int = TTL_MS
) -> CommitCode:
    """Commit one outcome, by default a success."""
    one = Commit(delivery, outcome or Succeeded(), ttl_ms)
    (code,) = await broker.store.commit(delivery.queue, worker="w1", commits=[one])
    return code


def lease(delivery: Delivery, progress: bytes = b"") -> Lease:
    """Return the lease of a delivery, as `renew` takes it."""
    return Lease(delivery.id, delivery.priority_index, delivery.entry, delivery.token, progress)


async def recover_all(broker: Broker, queue: Queue, max_crashes: int = 3) -> list[JobId]:
    """Recover all that runs, as if every lease had run out; return the ids that are ready again."""
    recovery = await broker.store.recover(queue, lease_ms=0, max_crashes=max_crashes)
    return [one.id for one in recovery.requeued]


async def job_of(broker: Broker, queue: Queue, job_id: JobId) -> Job:
    """Return a job, which must exist, as the API shows it."""
    job = await broker.views.job(queue, job_id)
    assert job is not None, f"there is no job {job_id}"
    return job


async def fields_of(broker: Broker, queue: Queue, job_id: JobId) -> dict[str, bytes]:
    """Return the hash of a job as it is stored."""
    fields = await broker.client.hgetall(broker.keys.of(queue).job(job_id))
    return {name.decode(): value for name, value in fields.items()}


async def everything(broker: Broker, queue: Queue) -> dict[str, Any]:
    """Return all that Redis holds of a queue, except idle times; if it is equal, nothing happened."""
    keys, client = broker.keys.of(queue), broker.client
    held: dict[str, Any] = {}
    for stream in (*keys.ready, keys.dlq, keys.events):
        held[stream] = await client.xrange(stream)
    for stream in keys.ready:
        held[f"{stream} pending"] = await pending(broker, stream)
    held[keys.due] = await client.zrange(keys.due, 0, -1, withscores=True)
    async for key in client.scan_iter(match=f"{broker.keys.namespace}:{{{queue.tag}}}:job:*", count=1000):
        held[key.decode()] = await client.hgetall(key)
    return held


async def pending(broker: Broker, stream: str) -> list[tuple[bytes, bytes]]:
    """Return entry and owner of each pending entry of a ready stream."""
    if not await broker.client.exists(stream) or not await broker.client.xinfo_groups(stream):
        return []
    rows = await broker.client.xpending_range(stream, "workers", min="-", max="+", count=10_000)
    return [(row["message_id"], row["consumer"]) for row in rows]


async def events(broker: Broker, queue: Queue) -> list[Event]:
    """Return a queue's events, oldest first."""
    rows = await broker.client.xrange(broker.keys.of(queue).events)
    return [read_event(entry, fields) for entry, fields in rows]


async def kinds(broker: Broker, queue: Queue) -> list[str]:
    """Return the kinds of a queue's events, oldest first."""
    return [str(event.kind) for event in await events(broker, queue)]


async def publish(broker: Broker, queue: Queue, channel: str, message: str) -> None:
    """Publish from the node of a queue, as scripts do: what one node of a cluster publishes arrives in order."""
    script = "return redis.call('PUBLISH', ARGV[1], ARGV[2])"
    await broker.client.eval(script, 1, broker.keys.of(queue).due, channel, message)


def nonce() -> str:
    """Return a nonce that no other claim has."""
    return secrets.token_hex(4)


async def seed_worker(broker: Broker, worker: WorkerInfo, *, silent_s: float = 0.0) -> None:
    """Register a worker whose last heartbeat is this old by the clock of Redis."""
    await broker.registry.beat(worker)
    at_ms, _, blob = (await broker.client.hget(broker.keys.workers, worker.name)).partition(b" ")
    value = b"%d %s" % (int(at_ms) - round(silent_s * 1000), blob)
    await broker.client.hset(broker.keys.workers, worker.name, value)
