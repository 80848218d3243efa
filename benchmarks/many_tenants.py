"""Measures what queues cost in which nothing is to do: those of a thousand tenants with ten job types each.

A worker for all tenants starts beside a job in each queue, and then waits. All services are watched while every queue
is active, as it is for five minutes after its last job, and while all are dormant, where the benchmark does not wait
but lets them rest. Single jobs say how soon one starts that wakes its queue.
"""

import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import anyio
import msgspec
from many_app import TYPES
from msgspec import Struct
from rig import (
    Rig,
    median,
    noop_jobs,
    process_cpu_s,
    process_rss_bytes,
    redis_cpu_s,
    report,
    rig,
    services,
    wait_for_workers,
)

from millstream_cli.embedded import free_ports
from millstream_cli.readiness import wait_until_ready
from millstream_contracts import JobId, JobType, Queue, Tenant

TYPES_OF_A_TENANT = 10
TENANTS = (1, 10, 100, 1000)
SAMPLES = 50
PAUSE_S = 0.05
GIVEN_UP_S = 15.0
"""The time within which a worker has given up the queues that are dormant."""
SETTLE_S = 10.0
"""The time after which every service has looked at each queue twice."""
POLL_S = 0.002
MIB = 1 << 20


class Seen(Struct, frozen=True):
    """The measurements with one number of tenants."""

    start_s: float
    """From the start of the process until a job of every queue has ended."""
    active_ms: float
    """From the submission of a job to its end in an idle system, median."""
    dormant_ms: float
    """The same where its queue is dormant."""
    active: dict[str, float]
    """Shares of a core by process, while all queues are active and nothing happens."""
    dormant: dict[str, float]
    """The same while all are dormant."""
    rss: dict[str, int]
    """Memory by process, MiB."""


async def main(options: Namespace) -> dict[str, Any]:
    """Measure with each number of tenants, and print the results."""
    found: dict[int, Seen] = {}
    rows: list[tuple[str, str]] = []
    for tenants in map(int, options.only or TENANTS):
        seen = found[tenants] = await _measure(tenants, options.seconds)
        name = f"{tenants * TYPES_OF_A_TENANT:,} queues"
        rows += [
            (f"{name}: start with a job in each, s", f"{seen.start_s:.2f}"),
            (f"{name}, active: submission to end of a job, p50 ms", f"{seen.active_ms:.2f}"),
            (f"{name}, dormant: submission to end of a job, p50 ms", f"{seen.dormant_ms:.2f}"),
            (f"{name}, active: share of a core", _shares(seen.active)),
            (f"{name}, dormant: share of a core", _shares(seen.dormant)),
            (f"{name}: memory, MiB", ", ".join(f"{process} {size}" for process, size in seen.rss.items())),
        ]
    queues, last = max(found) * TYPES_OF_A_TENANT, found[max(found)]
    measured = {
        "queues_start": last.start_s / max(1.0, queues / 1000),
        "queues_dormant": last.dormant["worker"] + last.dormant["redis"],
    }
    return report(
        "many_tenants",
        rows,
        measured=measured,
        seen={str(name): msgspec.to_builtins(one) for name, one in found.items()},
    )


async def _measure(tenants: int, seconds: float) -> Seen:
    types = [JobType(name) for name in TYPES[:TYPES_OF_A_TENANT]]
    queues = [Queue(Tenant(f"tenant-{number:04d}"), one) for number in range(tenants) for one in types]
    chosen = [word for one in types for word in ("--types", one)]
    [port] = free_ports(1)
    commands = {
        "worker": ("worker", "many_app:app", "--tenants", "all", *chosen),
        "dispatcher": ("dispatcher",),
        "reaper": ("reaper",),
        "ingest": ("ingest", "--port", str(port)),
    }
    async with rig() as one:
        await one.broker.registry.add_queues(queues)
        for queue in queues:
            await one.broker.store.enqueue(queue, noop_jobs(1, queue))
        begun = time.monotonic()
        async with services(one, worker=commands.pop("worker")) as alone:
            await wait_for_workers(one, 1)
            await _wait_until_empty(one, queues)
            start_s = time.monotonic() - begun
            async with services(one, **commands) as others:
                await wait_until_ready([f"http://127.0.0.1:{port}/readyz"], timeout_s=60)
                pids = {"worker": alone.pid("worker")} | {name: others.pid(name) for name in commands}
                await anyio.sleep(SETTLE_S)
                active = await _watch(one, pids, seconds)
                active_ms = median([await _latency_ms(one, queue) for queue in _some(queues)])
                rss = {name: process_rss_bytes(pid) // MIB for name, pid in (pids | {"redis": one.redis_pid}).items()}
                await one.broker.registry.rest_queues(queues, one.broker.clock.now_ms())
                await anyio.sleep(GIVEN_UP_S)
                dormant = await _watch(one, pids, seconds)
                dormant_ms = median([await _latency_ms(one, queue) for queue in _some(queues)])
                return Seen(start_s, active_ms, dormant_ms, active, dormant, rss)


def _some(queues: list[Queue]) -> list[Queue]:
    """Return some queues, each once where there are enough."""
    return [queues[number * len(queues) // SAMPLES] for number in range(SAMPLES)]


async def _wait_until_empty(one: Rig, queues: list[Queue]) -> None:
    for queue in reversed(queues):
        while True:
            depths = await one.broker.store.measure(queue)
            if not sum(depths.queued) + depths.running:
                break
            await anyio.sleep(POLL_S)


async def _watch(one: Rig, pids: Mapping[str, int | None], seconds: float) -> dict[str, float]:
    before = {name: process_cpu_s(pid) for name, pid in pids.items()} | {"redis": await redis_cpu_s(one)}
    await anyio.sleep(seconds)
    after = {name: process_cpu_s(pid) for name, pid in pids.items()} | {"redis": await redis_cpu_s(one)}
    return {name: round((after[name] - before[name]) / seconds, 4) for name in after}


async def _latency_ms(one: Rig, queue: Queue) -> float:
    await anyio.sleep(PAUSE_S)
    [job] = noop_jobs(1, queue)
    begun = time.monotonic()
    await one.broker.registry.add_queues([queue])
    await one.broker.store.enqueue(queue, [job])
    while not await _has_ended(one, queue, job.id):
        await anyio.sleep(POLL_S)
    return (time.monotonic() - begun) * 1000


async def _has_ended(one: Rig, queue: Queue, job_id: JobId) -> bool:
    found = await one.broker.views.job(queue, job_id)
    return found is not None and found.finished_at is not None


def _shares(cpu: dict[str, float]) -> str:
    return ", ".join(f"{process} {share:.2%}" for process, share in cpu.items())
