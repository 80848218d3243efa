"""How many no-op jobs a second one worker process works off, against the least that redis-py can do."""

import time
from argparse import Namespace

import anyio
from rig import (
    BATCH,
    NOOP,
    Rig,
    fill,
    left,
    median,
    pause,
    process_cpu_s,
    redis_cpu_s,
    report,
    rig,
    script_calls,
    services,
    wait_for_workers,
)

from millstream_streams.keys import GROUP

WORKER = ("worker", "noop_app:app", "--types", "bench.noop", "--concurrency")


async def main(options: Namespace) -> None:
    """Measure floor and worker in turn, and print the medians."""
    floors, rates, redis_us, worker_us, calls = [], [], [], [], []
    for _ in range(options.rounds):
        async with rig() as one:
            floors.append(await _floor(one, options.jobs))
        async with rig() as one:
            rate, redis_s, worker_s, scripts = await _drain(one, options.jobs, options.concurrency)
            calls.append(scripts / options.jobs)
            rates.append(rate)
            redis_us.append(redis_s / options.jobs * 1e6)
            worker_us.append(worker_s / options.jobs * 1e6)
    report(
        "noop_drain",
        [
            ("jobs/s, one worker process", f"{median(rates):,.0f}"),
            ("floor: redis-py, read + ack + delete", f"{median(floors):,.0f}"),
            ("ratio to the floor", f"{median(rates) / median(floors):.3f}"),
            ("CPU of the worker, us/job", f"{median(worker_us):.1f}"),
            ("CPU of Redis, us/job", f"{median(redis_us):.1f}"),
            ("round trips per job, polling of this benchmark included", f"{median(calls):.3f}"),
        ],
        jobs=options.jobs,
        rounds=options.rounds,
        concurrency=options.concurrency,
        jobs_per_s=[round(rate) for rate in rates],
        floor_per_s=[round(rate) for rate in floors],
        worker_cpu_us=[round(value, 1) for value in worker_us],
        round_trips_per_job=[round(value, 4) for value in calls],
        redis_cpu_us=[round(value, 1) for value in redis_us],
    )


async def _drain(one: Rig, jobs: int, concurrency: int) -> tuple[float, float, float, int]:
    """Return jobs/s, the CPU seconds of Redis and of the worker, and the scripts that were run."""
    await pause(one, paused=True)
    await fill(one, jobs)
    async with services(one, worker=(*WORKER, str(concurrency))) as supervisor:
        await wait_for_workers(one, 1)
        pid = supervisor.pid("worker")
        redis_before, worker_before, scripts_before = (
            await redis_cpu_s(one),
            process_cpu_s(pid),
            await script_calls(one),
        )
        await pause(one, paused=False)
        while await left(one) == jobs:
            await anyio.sleep(0.001)
        begun = time.perf_counter()
        while await left(one):
            await anyio.sleep(0.02)
        took = time.perf_counter() - begun
        scripts = await script_calls(one) - scripts_before
        return jobs / took, await redis_cpu_s(one) - redis_before, process_cpu_s(pid) - worker_before, scripts


async def _floor(one: Rig, jobs: int) -> float:
    """Return jobs/s of a loop that reads batches of 100, acknowledges and deletes them, and does nothing else."""
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
