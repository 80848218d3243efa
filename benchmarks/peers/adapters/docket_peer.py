"""Docket on Redis Streams."""

import asyncio
import sys
from datetime import timedelta

import uvloop
from docket import Docket, Worker
from jobs import IO_S, PAYLOAD, concurrency, redis_url
from submitter import obey_async
from tally import Tally

tally = Tally()
CHECK_INTERVAL = timedelta(milliseconds=5)


async def noop(_payload: str) -> None:
    """Do nothing."""
    tally.done()


async def io(_payload: str) -> None:
    """Wait as if for I/O."""
    await asyncio.sleep(IO_S)
    tally.done()


async def stamp(sent_ns: int) -> None:
    """Report the latency."""
    tally.stamped(sent_ns)


def _docket() -> Docket:
    # As documented: more connections than jobs at a time. With the 100 of redis-py jobs fail for want of one.
    return Docket(name="bench", url=f"{redis_url()}?max_connections={4 * concurrency()}", execution_ttl=timedelta(0))


async def _work() -> None:
    async with _docket() as docket:
        for task in (noop, io, stamp):
            docket.register(task)
        tally.enter()
        async with Worker(docket, concurrency=concurrency(), minimum_check_interval=CHECK_INTERVAL) as worker:
            await worker.run_forever()


async def _submit_all() -> None:
    async with _docket() as docket:

        async def fill(job: str, count: int) -> None:
            task = {"noop": noop, "io": io}[job]
            await docket.add_many([docket.call(task)(PAYLOAD) for _ in range(count)])

        async def submit(sent_ns: int) -> None:
            await docket.add(stamp)(sent_ns)

        await obey_async(fill, submit)


if __name__ == "__main__":
    uvloop.run(_work() if "work" in sys.argv else _submit_all())
