"""The handlers that the benchmarks run."""

import time

import anyio

from millstream import App

app = App("bench")


@app.job("bench.noop")
async def noop() -> None:
    """Do nothing."""


@app.job("bench.io")
async def io() -> None:
    """Wait for 10 ms, as for an answer from elsewhere."""
    await anyio.sleep(0.01)


@app.job("bench.soak", result_ttl=10)
async def soak() -> None:
    """Do nothing, and be forgotten soon."""


@app.job("bench.stamp")
async def stamp() -> int:
    """Return the time at which the handler began, in ns since 1970."""
    return time.time_ns()
