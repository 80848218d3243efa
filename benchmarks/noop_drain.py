"""Measures how many no-op jobs a second one worker process runs, and the least work of redis-py beside it."""

import time
from argparse import Namespace
from typing import Any

from draining import drain
from rig import BATCH, NOOP, Rig, fill, median, report, rig

from millstream_streams.store.keys import GROUP


async def main(options: Namespace) -> dict[str, Any]:
    """Measure floor and worker in turn, and print the medians."""
    floors, drained = [], []
    for _ in range(options.rounds):
        async with rig() as one:
            floors.append(await _floor(one, options.jobs))
        async with rig() as one:
            await fill(one, options.jobs)
            drained.append(await drain(one, concurrency=options.concurrency))
    rate, floor = median([one.jobs_per_s for one in drained]), median(floors)
    worker_us, redis_us = median([one.worker_us for one in drained]), median([one.redis_us for one in drained])
    return report(
        "noop_drain",
        [
            ("jobs/s, one worker process", f"{rate:,.0f}"),
            ("floor: redis-py, read + ack + delete", f"{floor:,.0f}"),
            ("ratio to the floor", f"{rate / floor:.3f}"),
            ("CPU of the worker, us/job", f"{worker_us:.1f}"),
            ("CPU of Redis, us/job", f"{redis_us:.1f}"),
            ("round trips per job", f"{median([one.scripts for one in drained]):.3f}"),
        ],
        jobs=options.jobs,
        rounds=options.rounds,
        concurrency=options.concurrency,
        jobs_per_s=[round(one.jobs_per_s) for one in drained],
        floor_per_s=[round(value) for value in floors],
        worker_cpu_us=[round(one.worker_us, 1) for one in drained],
        redis_cpu_us=[round(one.redis_us, 1) for one in drained],
        round_trips_per_job=[round(one.scripts, 4) for one in drained],
    )


async def _floor(one: Rig, jobs: int) -> float:
    """Return jobs/s of a loop that only reads batches of 100, acknowledges and deletes them."""
    await fill(one, jobs)
    client, stream = one.broker.client, one.broker.keys.of(NOOP).ready[1]
    await client.xgroup_create(stream, GROUP, id="0")
    begun = time.perf_counter()
    for _ in range(jobs // BATCH):
        reply = await client.execute_command(
            *("XREADGROUP", "GROUP", GROUP, "floor", "COUNT", BATCH, "STREAMS", stream, ">")
        )
        entries = [entry for entry, _ in reply[0][1]]
        pipeline = client.pipeline(transaction=False)
        pipeline.xack(stream, GROUP, *entries)
        pipeline.xdel(stream, *entries)
        await pipeline.execute()
    return jobs / (time.perf_counter() - begun)
