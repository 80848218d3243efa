"""Measures what limits, keys and unique keys cost Redis beside an unlimited type of the same run.

Also the memory of a job that waits, and how long the jobs of one key delay the single job of another. Jobs are stored,
claimed and committed a hundred at a time, as in `redis_cpu`. No limit holds anything back, so each does the same work.
"""

import secrets
import time
from argparse import Namespace
from itertools import count
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from redis_cpu import RESULT_TTL_MS, WORKER
from rig import BATCH, Rig, median, noop_jobs, redis_cpu_s, report, rig

from millstream_contracts import DEFAULT_TENANT, JobType, KeyLimits, Queue, QueueLimits, Succeeded
from millstream_streams import Commit, NewJob, UniqueKey

_nonces = count()
_LARGE = 100_000
CLAIMED = 10
"""Jobs that the worker with a noisy neighbour has room for."""


class Kind(Struct, frozen=True):
    """A type with limits, and the keys of its jobs."""

    limits: QueueLimits | None = None
    keys: int | None = 0
    """How many keys the jobs of a batch share; None where each has its own."""
    is_unique: bool = False


EACH = KeyLimits(concurrency=BATCH)
PLAIN = "unlimited"
KINDS = {
    PLAIN: Kind(),
    "concurrency": Kind(QueueLimits(concurrency=_LARGE)),
    "rate": Kind(QueueLimits(rate=f"{_LARGE}/s")),
    "turns of ten keys": Kind(QueueLimits(fair=True), 10),
    "concurrency of ten keys": Kind(QueueLimits(per_key=EACH), 10),
    "concurrency, a key each": Kind(QueueLimits(per_key=EACH), None),
    "rate, a key each": Kind(QueueLimits(per_key=KeyLimits(rate=f"{_LARGE}/s")), None),
    "unique keys": Kind(is_unique=True),
}
HELD = {
    "ready, unlimited": Kind(),
    "held back, without keys": Kind(QueueLimits(concurrency=1)),
    "held back, ten keys": Kind(QueueLimits(concurrency=1), 10),
    "held back, a key each": Kind(QueueLimits(concurrency=1), None),
}


async def main(options: Namespace) -> dict[str, Any]:
    """Measure each kind in each round, and print the medians."""
    ratios: dict[str, list[float]] = {name: [] for name in KINDS}
    held: dict[str, list[float]] = {name: [] for name in HELD}
    waits: list[tuple[int, float]] = []
    for _ in range(options.rounds):
        async with rig() as one:
            costs = {name: await _cost_us(one, at, kind, options.jobs) for at, (name, kind) in enumerate(KINDS.items())}
            for name, cost in costs.items():
                ratios[name].append(cost / costs[PLAIN])
        for name, kind in HELD.items():
            async with rig() as one:
                held[name].append(await _held_bytes(one, kind, options.jobs))
        async with rig() as one:
            waits.append(await _behind_a_neighbour(one, options.jobs))
    rows = [(f"CPU of Redis, {name}", f"{median(found):.2f}") for name, found in ratios.items()]
    rows += [(f"bytes/job, {name}", f"{median(found):,.0f}") for name, found in held.items()]
    claims, waited_ms = max(one for one, _ in waits), median([ms for _, ms in waits])
    rows += [
        (f"claims until the job behind {options.jobs:,} of another key, at most", str(claims)),
        ("its submission to its commit, ms", f"{waited_ms:.1f}"),
    ]
    return report(
        "flow_limits",
        rows,
        measured={"shared_keys": median(ratios["concurrency of ten keys"])},
        jobs=options.jobs,
        rounds=options.rounds,
        ratios={name: round(median(found), 3) for name, found in ratios.items()},
        held_bytes={name: round(median(found)) for name, found in held.items()},
        claims=claims,
        waited_ms=round(waited_ms, 2),
    )


def _queue(at: int) -> Queue:
    return Queue(DEFAULT_TENANT, JobType(f"bench.limits{at}"))


def _jobs(queue: Queue, kind: Kind, number: int = BATCH) -> list[NewJob]:
    jobs = noop_jobs(number, queue)
    if kind.keys is None:
        return [replace(job, key=secrets.token_hex(8)) for job in jobs]
    if kind.keys:
        return [replace(job, key=f"customer{at % kind.keys:08d}") for at, job in enumerate(jobs)]
    return [replace(job, unique=_unique()) for job in jobs] if kind.is_unique else jobs


def _unique() -> UniqueKey:
    return UniqueKey(scope="running", digest=secrets.token_hex(16), on_conflict="reject", held_ms=None, text="order")


async def _limited(one: Rig, at: int, kind: Kind) -> Queue:
    queue = _queue(at)
    await one.broker.registry.add_queues([queue])
    if kind.limits is not None:
        await one.broker.settings.limit(queue, kind.limits)
    return queue


async def _cost_us(one: Rig, at: int, kind: Kind, jobs: int) -> float:
    """Return the CPU of Redis for a job, from its submission to its success."""
    queue = await _limited(one, at, kind)
    await _cycle(one, queue, kind)  # scripts are sent and compiled once
    before = await redis_cpu_s(one)
    for _ in range(jobs // BATCH):
        await _cycle(one, queue, kind)
    return (await redis_cpu_s(one) - before) / jobs * 1e6


async def _cycle(one: Rig, queue: Queue, kind: Kind) -> None:
    await one.broker.store.enqueue(queue, _jobs(queue, kind))
    if await _claim_and_commit(one, queue, BATCH) is None:
        raise RuntimeError("a limit holds jobs back")


async def _claim_and_commit(one: Rig, queue: Queue, limit: int) -> set[str] | None:
    """Run what is given out, at most `limit` jobs. Returns: their ids; None when it is not as many."""
    store = one.broker.store
    claim = await store.claim(queue, consumer=WORKER, nonce=f"limits.{next(_nonces):x}", limit=limit)
    await store.commit(
        queue, worker=WORKER, commits=[Commit(job, Succeeded(), RESULT_TTL_MS) for job in claim.deliveries]
    )
    return {job.id for job in claim.deliveries} if len(claim.deliveries) == limit else None


async def _held_bytes(one: Rig, kind: Kind, jobs: int) -> float:
    """Return the memory of a job that waits, without its events."""
    queue = await _limited(one, 0, kind)
    await one.broker.store.enqueue(queue, _jobs(queue, kind))
    before = await _used(one, queue)
    for _ in range(jobs // BATCH):
        await one.broker.store.enqueue(queue, _jobs(queue, kind))
    return (await _used(one, queue) - before) / jobs


async def _used(one: Rig, queue: Queue) -> int:
    events = await one.broker.client.memory_usage(one.broker.keys.of(queue).events, samples=0) or 0
    return int((await one.broker.client.info("memory"))["used_memory"]) - int(events)


async def _behind_a_neighbour(one: Rig, jobs: int) -> tuple[int, float]:
    """Return after how many claims, and ms, the single job of a key was committed behind many of another."""
    kind = Kind(QueueLimits(fair=True), 1)
    queue = await _limited(one, 0, kind)
    for _ in range(jobs // BATCH):
        await one.broker.store.enqueue(queue, _jobs(queue, kind))
    await _claim_and_commit(one, queue, CLAIMED)
    [quiet] = [replace(job, key="quiet") for job in noop_jobs(1, queue)]
    began = time.perf_counter()
    await one.broker.store.enqueue(queue, [quiet])
    for claims in count(1):
        if quiet.id in (await _claim_and_commit(one, queue, CLAIMED) or ()):
            return claims, (time.perf_counter() - began) * 1000
    raise AssertionError("unreachable")
