"""SAQ on Redis."""

import asyncio
from typing import Any

import uvloop
from jobs import IO_S, PAYLOAD, concurrency, redis_url
from saq import Queue
from submitter import in_parallel, obey_async
from tally import Tally

ENQUEUERS = 20  # as in SAQ's own benchmark, and as many as a queue lets through at a time
KEEP_NOTHING = -1

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
tally = Tally()
queue = Queue.from_url(redis_url(), name="bench")


async def enter(_: dict[str, Any]) -> None:
    """Wait at the turnstile."""
    tally.enter()


async def noop(_: dict[str, Any], *, _payload: str) -> None:
    """Do nothing."""
    tally.done()


async def io(_: dict[str, Any], *, _payload: str) -> None:
    """Wait as if for I/O."""
    await asyncio.sleep(IO_S)
    tally.done()


async def stamp(_: dict[str, Any], *, sent_ns: int) -> None:
    """Report the latency."""
    tally.stamped(sent_ns)


settings = {"queue": queue, "functions": [noop, io, stamp], "concurrency": concurrency(), "startup": enter}


async def _fill(job: str, count: int) -> None:
    await in_parallel(lambda: queue.enqueue(job, _payload=PAYLOAD, ttl=KEEP_NOTHING), count, ENQUEUERS)


async def _submit(sent_ns: int) -> None:
    await queue.enqueue("stamp", sent_ns=sent_ns, ttl=KEEP_NOTHING)


async def _main() -> None:
    await queue.connect()
    await obey_async(_fill, _submit)
    await queue.disconnect()


if __name__ == "__main__":
    asyncio.run(_main())
