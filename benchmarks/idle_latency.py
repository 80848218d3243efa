"""Measures the time from a submission to the start of its handler in an idle system, and that of redis-py."""

import os
import statistics
import sys
import time
from argparse import Namespace
from typing import Any

import anyio
import msgspec
from latency_floor import READY, SENT, STREAM
from rig import HERE, Rig, report, rig, services, wait_for_workers

from millstream import Client
from millstream_cli.embedded import free_ports
from millstream_cli.readiness import wait_until_ready
from millstream_contracts import DEFAULT_TENANT, JobType, Queue, Submission, new_job_id
from millstream_streams import assemble

STAMP = Queue(DEFAULT_TENANT, JobType("bench.stamp"))
SAMPLES = 400
WARM_UP = 20
PAUSE_S = 0.005
"""The pause between two submissions, in which the worker goes back to waiting."""


async def main(_: Namespace) -> dict[str, Any]:
    """Measure the floor, the store and HTTP, and print percentiles."""
    async with rig() as one:
        [port] = free_ports(1)
        commands = {"worker": ("worker", "noop_app:app"), "ingest": ("ingest", "--port", str(port))}
        async with services(one, **commands):
            await wait_until_ready([f"http://127.0.0.1:{port}/readyz"], timeout_s=60)
            await wait_for_workers(one, 1)
            floor, store = await _in_turn(one)
            async with Client(f"http://127.0.0.1:{port}") as client:
                http = [await _through_http(client) for _ in range(SAMPLES + WARM_UP)][WARM_UP:]
    figures = {name: _percentiles(took) for name, took in (("floor", floor), ("store", store), ("http", http))}
    labels = {"floor": "floor: XADD to a blocking read", "store": "store to handler", "http": "HTTP to handler"}
    rows = [(f"{labels[name]}, p50 / p99 ms", f"{p50:.2f} / {p99:.2f}") for name, (p50, p99) in figures.items()]
    measured = {"idle_http": figures["http"][0], "idle_store": figures["store"][0] / figures["floor"][0]}
    return report("idle_latency", rows, measured=measured, samples=SAMPLES, **figures)


async def _in_turn(one: Rig) -> tuple[list[float], list[float]]:
    """Measure the floor and the store in turn, sample by sample, so that a slow minute affects both."""
    command = [sys.executable, str(HERE / "latency_floor.py"), str(SAMPLES + WARM_UP)]
    store = []
    async with await anyio.open_process(
        command, env={**os.environ, "MILLSTREAM_REDIS_URL": one.redis_url}, stderr=None
    ) as process:
        while not await one.broker.client.exists(READY):
            await anyio.sleep(PAUSE_S)
        for _ in range(SAMPLES + WARM_UP):
            await anyio.sleep(PAUSE_S)
            await one.broker.client.xadd(STREAM, {SENT: time.time_ns()})
            store.append(await _through_store(one))
        assert process.stdout is not None
        printed = b"".join([part async for part in process.stdout])
    return msgspec.json.decode(printed, type=list[float])[WARM_UP:], store[WARM_UP:]


async def _through_store(one: Rig) -> float:
    await anyio.sleep(PAUSE_S)
    job = assemble(new_job_id(STAMP), Submission(type=STAMP.type), msgspec.msgpack.encode(None))
    begun = time.time_ns()
    await one.broker.store.enqueue(STAMP, [job])
    while True:
        # Before the job is submitted: a read while it is on its way would be measured too.
        await anyio.sleep(PAUSE_S)
        found = await one.broker.views.job(STAMP, job.id)
        if found is not None and found.result is not None:
            return (found.result - begun) / 1e6


async def _through_http(client: Client) -> float:
    await anyio.sleep(PAUSE_S)
    begun = time.time_ns()
    job = await client.submit(STAMP.type)
    return (await job.result() - begun) / 1e6


def _percentiles(values: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return round(cuts[49], 3), round(cuts[98], 3)
