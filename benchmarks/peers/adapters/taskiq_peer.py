"""Taskiq on Redis Streams, with and without results."""

import asyncio

import uvloop
from jobs import ENQUEUERS, IO_S, PAYLOAD, redis_url, stores_results
from submitter import in_parallel, obey_async
from tally import Tally
from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

tally = Tally()
# From the stream's beginning: the queue is filled before the first worker makes the group.
broker = RedisStreamBroker(redis_url(), consumer_id="0")
if stores_results():
    broker = broker.with_result_backend(RedisAsyncResultBackend(redis_url(), result_ex_time=600))


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def enter(_: TaskiqState) -> None:
    """Wait at the turnstile."""
    tally.enter()


@broker.task(task_name="noop")
async def noop(_payload: str) -> None:
    """Do nothing."""
    tally.done()


@broker.task(task_name="io")
async def io(_payload: str) -> None:
    """Wait as if for I/O."""
    await asyncio.sleep(IO_S)
    tally.done()


@broker.task(task_name="stamp")
async def stamp(sent_ns: int) -> None:
    """Report the latency."""
    tally.stamped(sent_ns)


async def _fill(job: str, count: int) -> None:
    task = {"noop": noop, "io": io}[job]
    await in_parallel(lambda: task.kiq(PAYLOAD), count, ENQUEUERS)


async def _main() -> None:
    await broker.startup()
    await obey_async(_fill, stamp.kiq)
    await broker.shutdown()


if __name__ == "__main__":
    uvloop.run(_main())
