"""Measures what a job costs Redis from submission to success, in batches of 100: CPU, network, disk, memory.

Its floor is a stream alone: XADD of the payload, XREADGROUP, XACK, XDEL, without state, result, events or fence.
"""

import math
import time
from argparse import Namespace
from itertools import count
from typing import Any

import anyio
from draining import drain
from msgspec import Struct
from rig import BATCH, NOOP, Rig, fill, median, noop_jobs, redis_cpu_s, report, rig

from millstream_contracts import Succeeded
from millstream_streams import Commit

RESULT_TTL_MS = 3_600_000
WORKER = "bench"

_nonces = count()


class Cost(Struct, frozen=True):
    """The cost of one job, submitted, claimed and committed."""

    redis_us: float
    in_bytes: float
    out_bytes: float
    kept_bytes: float
    """Memory that the ended job takes until it is deleted, its events included."""
    aof_bytes: float
    client_us: float
    """CPU of this program, which does nothing else."""


async def main(options: Namespace) -> dict[str, Any]:
    """Measure without and with an append-only file, and with a real worker; print the medians."""
    floors, plain, logged, worked = [], [], [], []
    for _ in range(options.rounds):
        async with rig() as one:
            floors.append(await _floor_us(one, options.jobs))
        async with rig() as one:
            plain.append(await _measure(one, options.jobs))
        async with rig() as one:
            await _log_to_disk(one)
            logged.append(await _measure(one, options.jobs))
        async with rig() as one:
            before = await redis_cpu_s(one)
            await fill(one, options.jobs)
            filled_us = (await redis_cpu_s(one) - before) / options.jobs * 1e6
            worked.append(filled_us + (await drain(one, concurrency=options.concurrency)).redis_us)
    cost, aof = _medians(plain), _medians(logged)
    rows = [
        ("CPU of Redis, us/job", f"{cost.redis_us:.1f}"),
        ("floor: a stream alone", f"{median(floors):.1f}"),
        ("ratio to the floor", f"{cost.redis_us / median(floors):.2f}"),
        ("the same with the batches of a real worker", f"{median(worked):.1f}"),
        ("the same with an AOF, everysec", f"{aof.redis_us:.1f}"),
        ("AOF, bytes/job", f"{aof.aof_bytes:,.0f}"),
        ("network into Redis, bytes/job", f"{cost.in_bytes:,.0f}"),
        ("network out of Redis, bytes/job", f"{cost.out_bytes:,.0f}"),
        ("memory of an ended job, bytes", f"{cost.kept_bytes:,.0f}"),
        ("CPU of the client, us/job", f"{cost.client_us:.1f}"),
    ]
    figures = {name: getattr(cost, name) for name in Cost.__struct_fields__ if name != "aof_bytes"}
    return report(
        "redis_cpu",
        rows,
        measured={"redis_cpu": cost.redis_us},
        jobs=options.jobs,
        rounds=options.rounds,
        **figures,
        floor_us=round(median(floors), 2),
        aof_bytes=aof.aof_bytes,
        aof_redis_us=aof.redis_us,
        worked_redis_us=round(median(worked), 2),
    )


async def cycle(one: Rig, jobs: int, *, submit: bool = True) -> None:
    """Submit, claim and commit this number of jobs, 100 at a time, or claim and commit waiting ones."""
    store = one.broker.store
    for _ in range(math.ceil(jobs / BATCH)):
        if submit:
            await store.enqueue(NOOP, noop_jobs(BATCH))
        claim = await store.claim(NOOP, consumer=WORKER, nonce=f"{WORKER}.{next(_nonces):x}", limit=BATCH)
        commits = [Commit(job, Succeeded(), RESULT_TTL_MS) for job in claim.deliveries]
        await store.commit(NOOP, worker=WORKER, commits=commits)


async def _measure(one: Rig, jobs: int) -> Cost:
    await cycle(one, BATCH)  # scripts are sent and compiled once
    before, cpu_s, own_s = await one.broker.client.info("all"), await redis_cpu_s(one), time.process_time()
    await cycle(one, jobs)
    after, redis_s = await one.broker.client.info("all"), await redis_cpu_s(one) - cpu_s

    def per_job(name: str) -> float:
        return round((after.get(name, 0) - before.get(name, 0)) / jobs, 1)

    return Cost(
        redis_us=round(redis_s / jobs * 1e6, 2),
        in_bytes=per_job("total_net_input_bytes"),
        out_bytes=per_job("total_net_output_bytes"),
        kept_bytes=per_job("used_memory"),
        aof_bytes=per_job("aof_current_size"),
        client_us=round((time.process_time() - own_s) / jobs * 1e6, 2),
    )


async def _floor_us(one: Rig, jobs: int) -> float:
    """Return the CPU of Redis per job of a stream alone, in the same batches."""
    client, stream, payload = one.broker.client, "floor", b"x" * 200
    await client.xgroup_create(stream, WORKER, id="0", mkstream=True)
    before = await redis_cpu_s(one)
    for _ in range(jobs // BATCH):
        submitting = client.pipeline(transaction=False)
        for _ in range(BATCH):
            submitting.xadd(stream, {b"payload": payload})
        await submitting.execute()
        [[_, entries]] = await client.xreadgroup(WORKER, WORKER, {stream: ">"}, count=BATCH)
        ids = [entry for entry, _ in entries]
        ending = client.pipeline(transaction=False)
        ending.xack(stream, WORKER, *ids)
        ending.xdel(stream, *ids)
        await ending.execute()
    return (await redis_cpu_s(one) - before) / jobs * 1e6


async def _log_to_disk(one: Rig) -> None:
    client = one.broker.client
    await client.config_set("auto-aof-rewrite-percentage", "0")
    await client.config_set("appendonly", "yes")
    while (await client.info("persistence"))["aof_rewrite_in_progress"]:
        await anyio.sleep(0.01)


def _medians(costs: list[Cost]) -> Cost:
    return Cost(*(round(median([getattr(cost, name) for cost in costs]), 2) for name in Cost.__struct_fields__))
