"""arq on Redis."""

import asyncio
from typing import Any, ClassVar

import uvloop
from arq import create_pool
from arq.connections import RedisSettings
from jobs import ENQUEUERS, IO_S, PAYLOAD, concurrency, redis_url
from submitter import in_parallel, obey_async
from tally import Tally

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
tally = Tally()
# `--custom-log-dict`: two lines of log a job are not what is measured.
QUIET = {"version": 1, "disable_existing_loggers": False, "loggers": {"arq": {"level": "WARNING"}}}


async def enter(_: dict[str, Any]) -> None:
    """Wait at the turnstile."""
    tally.enter()


async def noop(_: dict[str, Any], _payload: str) -> None:
    """Do nothing."""
    tally.done()


async def io(_: dict[str, Any], _payload: str) -> None:
    """Wait as if for I/O."""
    await asyncio.sleep(IO_S)
    tally.done()


async def stamp(_: dict[str, Any], sent_ns: int) -> None:
    """Report the latency."""
    tally.stamped(sent_ns)


class WorkerSettings:
    """What `arq arq_peer.WorkerSettings` runs."""

    functions: ClassVar = [noop, io, stamp]
    redis_settings = RedisSettings.from_dsn(redis_url())
    on_startup = enter
    max_jobs = concurrency()
    # Half a second between polls, its default, is at most 1,000 jobs a second. What is running is read again by
    # each poll, so no more is read than may run.
    poll_delay = 0.01
    queue_read_limit = concurrency()
    keep_result = 0
    log_results = False


async def _main() -> None:
    pool = await create_pool(RedisSettings.from_dsn(redis_url()))

    async def fill(job: str, count: int) -> None:
        await in_parallel(lambda: pool.enqueue_job(job, PAYLOAD), count, ENQUEUERS)

    await obey_async(fill, lambda sent_ns: pool.enqueue_job("stamp", sent_ns))
    await pool.aclose()


if __name__ == "__main__":
    asyncio.run(_main())
