"""The handlers that the benchmarks run."""

import time
from typing import Any

import anyio

from millstream import App, Batch

app = App("bench")

BUSY_NS = 100_000
connection = anyio.Lock()


@app.job("bench.noop")
async def noop() -> None:
    """Do nothing."""


@app.job("bench.busy")
async def busy() -> None:
    """Compute for 100 us, about the least work of a real handler."""
    until = time.thread_time_ns() + BUSY_NS
    while time.thread_time_ns() < until:
        pass


@app.job("bench.io")
async def io() -> None:
    """Wait for 10 ms, as for a response of another service."""
    await anyio.sleep(0.01)


@app.job("bench.write")
async def write() -> None:
    """Use for 1 ms what serves one at a time, as a connection to a database."""
    async with connection:
        await anyio.sleep(0.001)


@app.batch("bench.gathered", size=50, wait=0.05)
async def gathered(_jobs: Batch[Any, None]) -> None:
    """Use it once for all jobs."""
    async with connection:
        await anyio.sleep(0.001)


@app.job("bench.soak", result_ttl=10)
async def soak() -> None:
    """Do nothing, with a short `result_ttl`."""


@app.job("bench.stamp")
async def stamp() -> int:
    """Return the time at which the handler began, in ns since 1970."""
    return time.time_ns()
