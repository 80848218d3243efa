"""streaQ on Redis Streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop
from jobs import BULK, IO_S, PAYLOAD, concurrency, redis_url
from streaq import Worker
from submitter import in_batches, obey_async
from tally import Tally

tally = Tally()


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Wait at the turnstile."""
    tally.enter()
    yield


worker = Worker(
    redis_url=redis_url(),
    queue_name="bench",
    concurrency=concurrency(),
    lifespan=lifespan,
    anyio_kwargs={"use_uvloop": True},
)


@worker.task(silent=True, ttl=0)
async def noop(_payload: str) -> None:
    """Do nothing."""
    tally.done()


@worker.task(silent=True, ttl=0)
async def io(_payload: str) -> None:
    """Wait as if for I/O."""
    await asyncio.sleep(IO_S)
    tally.done()


@worker.task(silent=True, ttl=0)
async def stamp(sent_ns: int) -> None:
    """Report the latency."""
    tally.stamped(sent_ns)


async def _fill(job: str, count: int) -> None:
    task = {"noop": noop, "io": io}[job]
    for size in in_batches(count, BULK):
        await worker.enqueue_many([task.enqueue(PAYLOAD) for _ in range(size)])


async def _submit(sent_ns: int) -> None:
    await stamp.enqueue(sent_ns)


async def _main() -> None:
    async with worker:
        await obey_async(_fill, _submit)


if __name__ == "__main__":
    uvloop.run(_main())
