"""Measures how many jobs a second are stored, by the store itself and in batches over HTTP in MessagePack."""

import time
from argparse import Namespace
from typing import Any

import httpx2
import msgspec
from rig import BATCH, NOOP, Rig, fill, median, noop_jobs, process_cpu_s, report, rig, services

from millstream_cli.embedded import free_ports
from millstream_cli.readiness import wait_until_ready

HTTP_BATCH = 1_000


async def main(options: Namespace) -> dict[str, Any]:
    """Measure floor, store and HTTP in turn, and print the medians."""
    floors, direct, http, http_us = [], [], [], []
    for _ in range(options.rounds):
        async with rig() as one:
            floors.append(await _floor(one, options.jobs))
        async with rig() as one:
            begun = time.perf_counter()
            await fill(one, options.jobs)
            direct.append(options.jobs / (time.perf_counter() - begun))
        async with rig() as one:
            rate, cpu_us = await _over_http(one, options.jobs)
            http.append(rate)
            http_us.append(cpu_us)
    return report(
        "bulk_enqueue",
        [
            ("jobs/s through the store, batches of 100", f"{median(direct):,.0f}"),
            ("jobs/s over HTTP, MessagePack, batches of 1,000", f"{median(http):,.0f}"),
            ("CPU of ingest over HTTP, us/job", f"{median(http_us):.1f}"),
            ("floor: redis-py, pipelined HSET + XADD", f"{median(floors):,.0f}"),
            ("ratio of the store to the floor", f"{median(direct) / median(floors):.3f}"),
            ("ratio of HTTP to the floor", f"{median(http) / median(floors):.3f}"),
        ],
        measured={"http_batch": median(http)},
        jobs=options.jobs,
        rounds=options.rounds,
        store_per_s=[round(rate) for rate in direct],
        http_per_s=[round(rate) for rate in http],
        http_cpu_us=[round(value, 1) for value in http_us],
        floor_per_s=[round(rate) for rate in floors],
    )


async def _floor(one: Rig, jobs: int) -> float:
    client, stream = one.broker.client, one.broker.keys.of(NOOP).ready[1]
    batches = [noop_jobs(BATCH) for _ in range(jobs // BATCH)]
    begun = time.perf_counter()
    for batch in batches:
        pipeline = client.pipeline(transaction=False)
        for job in batch:
            pipeline.hset(one.broker.keys.of(NOOP).job(job.id), "spec", job.spec)
            pipeline.xadd(stream, {"id": job.id})
        await pipeline.execute()
    return jobs / (time.perf_counter() - begun)


async def _over_http(one: Rig, jobs: int) -> tuple[float, float]:
    """Return jobs/s, and the CPU of ingest per job in us."""
    [port] = free_ports(1)
    payload = {"type": NOOP.type, "payload": "x" * 198}
    body = msgspec.msgpack.encode({"jobs": [payload] * HTTP_BATCH})
    headers = {"content-type": "application/vnd.msgpack"}
    async with services(one, ingest=("ingest", "--port", str(port))) as supervisor:
        url = f"http://127.0.0.1:{port}"
        await wait_until_ready([f"{url}/readyz"], timeout_s=60)
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
            begun, cpu_s = time.perf_counter(), process_cpu_s(supervisor.pid("ingest"))
            for _ in range(jobs // HTTP_BATCH):
                answer = await client.post("/v1/jobs/batch", content=body)
                answer.raise_for_status()
            cpu_s = process_cpu_s(supervisor.pid("ingest")) - cpu_s
            return jobs / (time.perf_counter() - begun), cpu_s / jobs * 1e6
