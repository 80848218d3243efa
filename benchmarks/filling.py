"""Fills queues quickly, with several batches under way at once, and several processes for large numbers.

`pour` runs it as `python filling.py KIND COUNT`, with Redis by MILLSTREAM_REDIS_URL.
"""

import os
import sys
from itertools import count

import anyio
import msgspec
from rig import BATCH, HERE, NOOP, Rig, noop_jobs

from millstream_contracts import Dead, JobError, new_job_id
from millstream_streams import Broker, Commit, NewJob, open_broker

DAY_MS = 86_400_000
AT_ONCE = 4
PROCESSES = 2
LARGE = 50_000
"""The number of jobs from which on a second process is worth its start."""
DIED = Dead("attempts", JobError(type="ValueError", message="benchmark", fingerprint="0123456789abcdef"))

_nonces = count()


async def pour(one: Rig, kind: str, jobs: int) -> None:
    """Add `count` jobs, a multiple of 100, to the queue of no-op jobs: `queued`, `delayed` by a day, or `dead`."""
    await one.broker.registry.add_queues([NOOP])
    if jobs < LARGE:
        await _pour(one.broker, kind, jobs)
        return
    share = jobs // PROCESSES // BATCH * BATCH
    shares = [share] * (PROCESSES - 1) + [jobs - share * (PROCESSES - 1)]
    env = {**os.environ, "MILLSTREAM_REDIS_URL": one.redis_url}
    async with anyio.create_task_group() as tasks:
        for part in shares:
            command = [sys.executable, str(HERE / "filling.py"), kind, str(part)]
            tasks.start_soon(lambda command=command: anyio.run_process(command, env=env, stdout=None, stderr=None))


async def _pour(broker: Broker, kind: str, jobs: int) -> None:
    batches = iter(range(jobs // BATCH))

    async def work() -> None:
        for _ in batches:
            await broker.store.enqueue(NOOP, batch(DAY_MS if kind == "delayed" else None))
            if kind == "dead":
                await bury(broker)

    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(work)


def batch(delay_ms: int | None = None) -> list[NewJob]:
    """Return a hundred new jobs that differ only by their ids."""
    [first] = noop_jobs(1)
    return [msgspec.structs.replace(first, id=new_job_id(NOOP), delay_ms=delay_ms) for _ in range(BATCH)]


async def bury(broker: Broker) -> None:
    """Bury a hundred waiting jobs."""
    nonce = f"{os.getpid():x}.{next(_nonces):x}"
    claim = await broker.store.claim(NOOP, consumer="bench", nonce=nonce, limit=BATCH)
    commits = [Commit(job, DIED, 0) for job in claim.deliveries]
    await broker.store.commit(NOOP, worker="bench", commits=commits)


async def main() -> None:
    """Fill, as a process of `pour`."""
    async with open_broker(os.environ["MILLSTREAM_REDIS_URL"]) as broker:
        await _pour(broker, sys.argv[1], int(sys.argv[2]))


if __name__ == "__main__":
    anyio.run(main, backend_options={"use_uvloop": True})
