"""Docket on Redis Streams."""

import asyncio
import sys
from datetime import timedelta

import uvloop
from docket import ConcurrencyLimit, Docket, RateLimit, Worker
from jobs import HELD_AT_ONCE, IO_S, MANY, PAYLOAD, concurrency, redis_url
from submitter import obey_async
from tally import Tally

tally = Tally()
CHECK_INTERVAL = timedelta(milliseconds=5)
WIDE = ConcurrencyLimit(max_concurrent=MANY)
NARROW = ConcurrencyLimit(max_concurrent=HELD_AT_ONCE)
RATE = RateLimit(MANY, per=timedelta(seconds=1))


async def noop(_payload: str) -> None:
    """Do nothing."""
    tally.done()


async def io(_payload: str) -> None:
    """Wait as if for I/O."""
    await asyncio.sleep(IO_S)
    tally.done()


async def limited(_payload: str, _limit: ConcurrencyLimit = WIDE) -> None:
    """Do nothing, under a concurrency limit."""
    tally.done()


async def rated(_payload: str, _limit: RateLimit = RATE) -> None:
    """Do nothing, under a rate."""
    tally.done()


async def held(_payload: str, _limit: ConcurrencyLimit = NARROW) -> None:
    """Wait as if for I/O, a few at once over all processes."""
    await asyncio.sleep(IO_S)
    tally.done()


async def stamp(sent_ns: int) -> None:
    """Report the latency."""
    tally.stamped(sent_ns)


TASKS = {"noop": noop, "io": io, "limited": limited, "rated": rated, "held": held}


def _docket() -> Docket:
    # As documented: more connections than jobs at a time. With the 100 of redis-py jobs fail for want of one.
    return Docket(name="bench", url=f"{redis_url()}?max_connections={4 * concurrency()}", execution_ttl=timedelta(0))


async def _work() -> None:
    async with _docket() as docket:
        for task in (*TASKS.values(), stamp):
            docket.register(task)
        tally.enter()
        async with Worker(docket, concurrency=concurrency(), minimum_check_interval=CHECK_INTERVAL) as worker:
            await worker.run_forever()


async def _submit_all() -> None:
    async with _docket() as docket:

        async def fill(job: str, count: int) -> None:
            await docket.add_many([docket.call(TASKS[job])(PAYLOAD) for _ in range(count)])

        async def submit(sent_ns: int) -> None:
            await docket.add(stamp)(sent_ns)

        await obey_async(fill, submit)


if __name__ == "__main__":
    uvloop.run(_work() if "work" in sys.argv else _submit_all())
