"""Measures what a million jobs leave behind: memory of worker, dispatcher, reaper and Redis, and keys at the end.

Jobs are submitted as fast as they are run, so that there is always a backlog. Their results live for ten seconds, the
shortest `result_ttl`: memory settles within the first tenth of the run, and has to stay there.
"""

import math
import time
from argparse import Namespace
from collections import Counter
from typing import Any

import anyio
from msgspec import Struct
from rig import BATCH, Rig, left, median, noop_jobs, process_rss_bytes, report, rig, services, wait_for_workers

from millstream_cli.supervisor import Supervisor
from millstream_contracts import DEFAULT_TENANT, JobType, Queue

SOAK = Queue(DEFAULT_TENANT, JobType("bench.soak"))
WORKER = ("worker", "noop_app:app", "--types", "bench.soak", "--concurrency")
BACKLOG = 10_000
SAMPLE_EVERY_S = 0.5
FORGOTTEN_WITHIN_S = 60.0
EVENTS_LEFT = 2_000
"""The reaper keeps 1,000 entries, and the rest of the stream node that holds the last of them."""
MIB = 1 << 20


class Sample(Struct, frozen=True):
    """Memory at one moment, in bytes, by what holds it."""

    finished: int
    held: dict[str, int]


async def main(options: Namespace) -> dict[str, Any]:
    """Run the soak, and print the memory early and late, and the keys that are left."""
    async with rig() as one:
        await one.broker.registry.add_queues([SOAK])
        commands = {"worker": (*WORKER, str(options.concurrency)), "dispatcher": ("dispatcher",), "reaper": ("reaper",)}
        async with services(one, **commands) as supervisor:
            await wait_for_workers(one, 1)
            begun = time.perf_counter()
            samples = await _soak(one, supervisor, options.jobs)
            took = time.perf_counter() - begun
            forgotten_s = await _wait_forgotten(one)
            await _wait_trimmed(one)
            used_bytes = int((await one.broker.client.info("memory"))["used_memory"])
        keys = await _keys_by_pattern(one)
    return _report(options, samples, took, forgotten_s, used_bytes, keys)


async def _soak(one: Rig, supervisor: Supervisor, jobs: int) -> list[Sample]:
    samples: list[Sample] = []
    submitted, sample_at = 0, time.monotonic()
    while True:
        waiting = await left(one, SOAK)
        if time.monotonic() >= sample_at:
            samples.append(await _sample(one, supervisor, submitted - waiting))
            sample_at += SAMPLE_EVERY_S
        if submitted == jobs and not waiting:
            return samples
        room = min(jobs - submitted, BACKLOG - waiting)
        for start in range(0, room, BATCH):
            await one.broker.store.enqueue(SOAK, noop_jobs(min(BATCH, room - start), SOAK))
        submitted += max(0, room)
        await anyio.sleep(0.1)


async def _sample(one: Rig, supervisor: Supervisor, finished: int) -> Sample:
    pids = {name: supervisor.pid(name) for name in ("worker", "dispatcher", "reaper")}
    memory = await one.broker.client.info("memory")
    rss = {name: process_rss_bytes(pid) for name, pid in pids.items()}
    # Results of the last ten seconds are kept: how many that are changes with the rate.
    used_per_job = int(memory["used_memory"]) // max(1, await one.broker.client.dbsize())
    return Sample(finished, {**rss, "redis, per job it keeps": used_per_job})


async def _wait_forgotten(one: Rig) -> float:
    """Return after how many seconds no job was left in Redis, or infinity."""
    begun = time.monotonic()
    while time.monotonic() < begun + FORGOTTEN_WITHIN_S:
        if not (await _keys_by_pattern(one))[":job:<id>"]:
            return time.monotonic() - begun
        await anyio.sleep(1.0)
    return math.inf


async def _wait_trimmed(one: Rig) -> None:
    """Wait until the reaper has trimmed the events of the last jobs."""
    with anyio.move_on_after(FORGOTTEN_WITHIN_S):
        while await one.broker.client.xlen(one.broker.keys.of(SOAK).events) > EVENTS_LEFT:
            await anyio.sleep(1.0)


async def _keys_by_pattern(one: Rig) -> Counter[str]:
    found: Counter[str] = Counter()
    async for key in one.broker.client.scan_iter(match=f"{one.broker.keys.namespace}:*", count=10_000):
        name = key.decode().rpartition("}")[2] or key.decode()
        found[":job:<id>" if name.startswith(":job:") else name] += 1
    return found


def _report(
    options: Namespace,
    samples: list[Sample],
    took: float,
    forgotten_s: float,
    used_bytes: int,
    keys: Counter[str],
) -> dict[str, Any]:
    early = [one for one in samples if options.jobs * 0.1 <= one.finished < options.jobs * 0.3]
    late = [one for one in samples if options.jobs * 0.8 <= one.finished < options.jobs]
    rows = [("jobs", f"{options.jobs:,}"), ("jobs/s", f"{options.jobs / took:,.0f}")]
    growth = {}
    for name in samples[0].held:
        before, after = (median([one.held[name] for one in some]) for some in (early, late))
        growth[name] = round(after / before - 1, 4)
        unit, scale = ("B", 1) if "per job" in name else ("MiB", MIB)
        rows.append(
            (f"{name}, {unit} early > late", f"{before / scale:,.1f} > {after / scale:,.1f} ({growth[name]:+.1%})")
        )
    rows.append(("last job forgotten after, s", f"{forgotten_s:.0f}"))
    rows.append(("redis, once all is forgotten, MiB", f"{used_bytes / MIB:.1f}"))
    rows += [(f"keys left: {name}", str(count)) for name, count in sorted(keys.items())]
    return report(
        "soak",
        rows,
        measured={"worker_growth": growth["worker"]},
        jobs=options.jobs,
        growth=growth,
        forgotten_s=round(forgotten_s),
        used_bytes=used_bytes,
        keys=dict(keys),
    )
