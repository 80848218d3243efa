"""The submitting process of a system: it carries out the driver's orders on standard input, and prints the times.

Runs in the peers' own environments: standard library only.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable


def obey(fill: Callable[[str, int], None], submit: Callable[[int], None]) -> None:
    """Carry out orders until the driver closes the pipe.

    `fill(job, count)` submits `count` jobs, `submit(sent_ns)` one `stamp` with that time as its payload.
    """
    _answer()
    for line in sys.stdin:
        job, count = json.loads(line)
        begun, cpu = time.perf_counter(), time.process_time()
        if job == "stamp":
            submit(time.monotonic_ns())
        else:
            fill(job, count)
        _answer(took_s=time.perf_counter() - begun, cpu_s=time.process_time() - cpu)


async def obey_async(fill: Callable[[str, int], Awaitable[None]], submit: Callable[[int], Awaitable[object]]) -> None:
    """Carry out orders as `obey` does, on an event loop."""
    _answer()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        job, count = json.loads(line)
        begun, cpu = time.perf_counter(), time.process_time()
        if job == "stamp":
            await submit(time.monotonic_ns())
        else:
            await fill(job, count)
        _answer(took_s=time.perf_counter() - begun, cpu_s=time.process_time() - cpu)


async def in_parallel(call: Callable[[], Awaitable[object]], count: int, at_a_time: int) -> None:
    """Make `count` calls, of which a bounded number run at once."""
    left = iter(range(count))

    async def caller() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(caller() for _ in range(at_a_time)))


def in_batches(count: int, size: int) -> list[int]:
    """Return the sizes of the batches that make up `count`."""
    return [min(size, count - start) for start in range(0, count, size)]


def _answer(**figures: float) -> None:
    print(json.dumps(figures), flush=True)
