"""Measures how fast one dispatcher makes delayed jobs ready that are due at one moment: of one queue, and of many."""

import time
from argparse import Namespace
from typing import Any

import anyio
from msgspec.structs import replace
from rig import BATCH, POLL_S, Rig, median, noop_jobs, process_cpu_s, report, rig, services

from millstream_contracts import DEFAULT_TENANT, JobType, Queue

JOBS = 50_000
QUEUES = {"1 queue": 1, "50 queues": 50}
READY_WITHIN_S = 10.0
"""The time to store all jobs, and for a dispatcher to start, before they are due."""


async def main(options: Namespace) -> dict[str, Any]:
    """Measure each number of queues, and print the medians."""
    rates: dict[str, float] = {}
    rows = []
    for name, queues in QUEUES.items():
        rounds = [await _promote(queues) for _ in range(options.rounds)]
        rate, own_us, redis_us = (median([one[part] for one in rounds]) for part in range(3))
        rates[name] = rate
        rows.append((f"{name}: jobs/s", f"{rate:,.0f}; dispatcher {own_us:.1f} us a job, Redis {redis_us:.1f} us"))
    return report("promotion", rows, measured={"promotion": min(rates.values())}, rounds=options.rounds, rates=rates)


async def _promote(queues: int) -> tuple[float, float, float]:
    """Return the jobs made ready in a second, and the CPU of dispatcher and Redis for each in us."""
    async with rig() as one:
        due_ms = round((time.time() + READY_WITHIN_S) * 1000)
        names = [Queue(DEFAULT_TENANT, JobType(f"bench.delayed{number}")) for number in range(queues)]
        await one.broker.registry.add_queues(names)
        for queue in names:
            await _store(one, queue, JOBS // queues, due_ms)
        async with services(one, dispatcher=("dispatcher",)) as supervisor:
            # What is stored or started too late would be measured as if it took no time.
            late_s = time.time() - due_ms / 1000
            assert late_s < 0, f"{late_s:.1f} s too late"
            await anyio.sleep(-late_s)
            own_s, redis_s = process_cpu_s(supervisor.pid("dispatcher")), process_cpu_s(one.redis_pid)
            while await _ready(one, names) < JOBS:
                await anyio.sleep(POLL_S)
            seconds = time.time() - due_ms / 1000
            own_s = process_cpu_s(supervisor.pid("dispatcher")) - own_s
            redis_s = process_cpu_s(one.redis_pid) - redis_s
    return JOBS / seconds, own_s / JOBS * 1e6, redis_s / JOBS * 1e6


async def _store(one: Rig, queue: Queue, jobs: int, due_ms: int) -> None:
    for start in range(0, jobs, BATCH):
        some = noop_jobs(min(BATCH, jobs - start), queue)
        await one.broker.store.enqueue(queue, [replace(job, run_at_ms=due_ms) for job in some])


async def _ready(one: Rig, queues: list[Queue]) -> int:
    async with one.broker.client.pipeline(transaction=False) as pipeline:
        for queue in queues:
            pipeline.xlen(one.broker.keys.of(queue).ready[1])
        return sum(await pipeline.execute())
