"""Millstream itself, measured as its peers are: it submits through the store, as ingest does, and runs its worker."""

import asyncio
import sys

import msgspec
import uvloop
from jobs import HELD_AT_ONCE, IO_S, MANY, flow_width, redis_url
from rig import fill_queue
from submitter import obey_async
from tally import Tally

from millstream import App
from millstream_contracts import DEFAULT_TENANT, JobType, Queue, QueueLimits, Submission, new_job_id
from millstream_streams import Broker, assemble, open_broker

tally = Tally()
app = App("bench")
FLOW = Queue(DEFAULT_TENANT, JobType("bench.flow"))
STAMP = Queue(DEFAULT_TENANT, JobType("bench.stamp"))
LIMITS = {
    "limited": QueueLimits(concurrency=MANY),
    "rated": QueueLimits(rate=f"{MANY}/s"),
    "held": QueueLimits(concurrency=HELD_AT_ONCE),
}
"""Of the types of these names, set as an operator sets them before their jobs are submitted."""


@app.job("bench.noop")
async def noop(_payload: str) -> None:
    """Do nothing."""
    tally.done()


@app.job("bench.flow")
async def flow(_payload: dict[str, str]) -> None:
    """Do nothing, as a node of a workflow."""
    tally.done()


@app.job("bench.io")
async def io(_payload: str) -> None:
    """Wait as if for I/O."""
    await asyncio.sleep(IO_S)
    tally.done()


@app.job("bench.limited")
async def limited(_payload: str) -> None:
    """Do nothing, under a concurrency limit."""
    tally.done()


@app.job("bench.rated")
async def rated(_payload: str) -> None:
    """Do nothing, under a rate."""
    tally.done()


@app.job("bench.held")
async def held(_payload: str) -> None:
    """Wait as if for I/O, a few at once over all processes."""
    await asyncio.sleep(IO_S)
    tally.done()


@app.job("bench.stamp")
async def stamp(sent_ns: int) -> None:
    """Report the latency."""
    tally.stamped(sent_ns)


async def _fill_flows(broker: Broker, count: int) -> None:
    # A worker has no use for what this imports, and would be measured with it.
    from workflows import new_workflow  # noqa: PLC0415

    width = flow_width()
    parents = (*((),) * width, tuple(range(width)))
    for _ in range(count // len(parents)):
        await broker.workflows.create(DEFAULT_TENANT, new_workflow(broker, FLOW, parents))


async def _main() -> None:
    async with open_broker(redis_url()) as broker:

        async def fill(job: str, count: int) -> None:
            if job == "flow":
                await _fill_flows(broker, count)
                return
            queue = Queue(DEFAULT_TENANT, JobType(f"bench.{job}"))
            if job in LIMITS:
                await broker.registry.add_queues([queue])
                await broker.settings.limit(queue, LIMITS[job])
            await fill_queue(broker, count, queue)

        async def submit(sent_ns: int) -> None:
            job = assemble(new_job_id(STAMP), Submission(type=STAMP.type), msgspec.msgpack.encode(sent_ns))
            await broker.store.enqueue(STAMP, [job])

        await obey_async(fill, submit)


if __name__ == "__main__":
    uvloop.run(_main())
elif "worker" in sys.argv:
    tally.enter()
