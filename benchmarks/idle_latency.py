"""How long it takes from a submission to the start of its handler in an idle system."""

import statistics
import time
from argparse import Namespace

import anyio
import msgspec
from rig import Rig, report, rig, services, wait_for_workers

from millstream import Client
from millstream_cli.readiness import wait_until_ready
from millstream_cli.system import free_ports
from millstream_contracts import DEFAULT_TENANT, JobType, Queue, Submission, new_job_id
from millstream_streams import assemble

STAMP = Queue(DEFAULT_TENANT, JobType("bench.stamp"))
SAMPLES = 400
WARM_UP = 20
PAUSE_S = 0.005
"""Between two submissions, so that the worker is waiting again."""


async def main(_: Namespace) -> None:
    """Measure the loopback, the store and HTTP, and print percentiles."""
    async with rig() as one:
        [port] = free_ports(1)
        commands = {"worker": ("worker", "noop_app:app"), "ingest": ("ingest", "--port", str(port))}
        async with services(one, **commands):
            await wait_until_ready([f"http://127.0.0.1:{port}/readyz"], timeout_s=60)
            await wait_for_workers(one, 1)
            ping = [await _ping(one) for _ in range(SAMPLES)]
            store = [await _through_store(one) for _ in range(SAMPLES + WARM_UP)][WARM_UP:]
            async with Client(f"http://127.0.0.1:{port}") as client:
                http = [await _through_http(client) for _ in range(SAMPLES + WARM_UP)][WARM_UP:]
    rows = []
    for label, values in (("PING on loopback", ping), ("store to handler", store), ("HTTP to handler", http)):
        p50, p99 = _percentiles(values)
        rows += [(f"{label}, p50 ms", f"{p50:.2f}"), (f"{label}, p99 ms", f"{p99:.2f}")]
    figures = {name: _percentiles(values) for name, values in (("ping", ping), ("store", store), ("http", http))}
    report("idle_latency", rows, samples=SAMPLES, **figures)


async def _ping(one: Rig) -> float:
    begun = time.perf_counter()
    await one.broker.client.ping()
    return (time.perf_counter() - begun) * 1000


async def _through_store(one: Rig) -> float:
    await anyio.sleep(PAUSE_S)
    job = assemble(new_job_id(STAMP), Submission(type=STAMP.type), msgspec.msgpack.encode(None))
    begun = time.time_ns()
    await one.broker.store.enqueue(STAMP, [job])
    while True:
        found = await one.broker.views.job(STAMP, job.id)
        if found is not None and found.result is not None:
            return (found.result - begun) / 1e6
        await anyio.sleep(0.001)


async def _through_http(client: Client) -> float:
    await anyio.sleep(PAUSE_S)
    begun = time.time_ns()
    job = await client.submit(STAMP.type)
    return (await job.result() - begun) / 1e6


def _percentiles(values: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return round(cuts[49], 3), round(cuts[98], 3)
