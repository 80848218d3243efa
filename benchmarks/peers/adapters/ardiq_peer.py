"""ArdiQ: a Rust core over Redis Streams."""

import asyncio
from collections.abc import AsyncIterator

import uvloop
from ardiq import Ardiq
from jobs import BULK, IO_S, PAYLOAD, concurrency, redis_url
from submitter import in_batches, obey_async
from tally import Tally

tally = Tally()
app = Ardiq(redis_url=redis_url(), queue_name="bench", concurrency=concurrency(), result_ttl_ms=0)


@app.lifespan
async def enter() -> AsyncIterator[None]:
    """Wait at the turnstile."""
    tally.enter()
    yield


@app.task(name="noop")
async def noop(_payload: str) -> None:
    """Do nothing."""
    tally.done()


@app.task(name="io")
async def io(_payload: str) -> None:
    """Wait as if for I/O."""
    await asyncio.sleep(IO_S)
    tally.done()


@app.task(name="stamp")
async def stamp(sent_ns: int) -> None:
    """Report the latency."""
    tally.stamped(sent_ns)


async def _fill(job: str, count: int) -> None:
    task = {"noop": noop, "io": io}[job]
    for size in in_batches(count, BULK):
        await app.enqueue_many([task.prepare(PAYLOAD) for _ in range(size)])


if __name__ == "__main__":
    uvloop.run(obey_async(_fill, stamp.enqueue))
