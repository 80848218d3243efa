"""Millstream itself, measured as its peers are: it submits through the store, as ingest does, and runs its worker."""

import asyncio
import sys

import msgspec
import uvloop
from jobs import IO_S, redis_url
from rig import fill_queue
from submitter import obey_async
from tally import Tally

from millstream import App
from millstream_contracts import DEFAULT_TENANT, JobType, Queue, Submission, new_job_id
from millstream_streams import assemble, open_broker

tally = Tally()
app = App("bench")
STAMP = Queue(DEFAULT_TENANT, JobType("bench.stamp"))


@app.job("bench.noop")
async def noop(_payload: str) -> None:
    """Do nothing."""
    tally.done()


@app.job("bench.io")
async def io(_payload: str) -> None:
    """Wait as if for I/O."""
    await asyncio.sleep(IO_S)
    tally.done()


@app.job("bench.stamp")
async def stamp(sent_ns: int) -> None:
    """Report the latency."""
    tally.stamped(sent_ns)


async def _main() -> None:
    async with open_broker(redis_url()) as broker:

        async def fill(job: str, count: int) -> None:
            await fill_queue(broker, count, Queue(DEFAULT_TENANT, JobType(f"bench.{job}")))

        async def submit(sent_ns: int) -> None:
            job = assemble(new_job_id(STAMP), Submission(type=STAMP.type), msgspec.msgpack.encode(sent_ns))
            await broker.store.enqueue(STAMP, [job])

        await obey_async(fill, submit)


if __name__ == "__main__":
    uvloop.run(_main())
elif "worker" in sys.argv:
    tally.enter()
