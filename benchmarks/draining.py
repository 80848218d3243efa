"""Measures how fast worker processes drain queues that were filled before; all processes start together."""

import time
from collections.abc import Sequence

import anyio
from msgspec import Struct
from rig import NOOP, Rig, pause, process_cpu_s, redis_cpu_by_node_s, script_calls, services, wait_for_workers

from millstream_contracts import Queue

GROUP = "workers"
STARTED_EVERY_S = 0.001
ENDED_EVERY_S = 0.02
QUEUES_PER_LOOK = 10
"""The number of queues beyond which depths are read more rarely, because the reads would distort the measurement."""


class TooFewJobsError(Exception):
    """The queue was empty before the measurement could begin."""


class Drained(Struct, frozen=True):
    """The cost of a drain."""

    jobs_per_s: float
    node_us: list[float]
    """CPU of each node of Redis per job; a single Redis is one node."""
    worker_us: float
    """CPU of all workers per job."""
    scripts: float
    """Scripts per job: round trips."""

    @property
    def redis_us(self) -> float:
        """CPU of Redis per job, all nodes together."""
        return sum(self.node_us)


class _Clock(Struct, frozen=True):
    node_s: list[float]
    worker_s: float
    scripts: int


async def drain(
    one: Rig,
    *,
    concurrency: int,
    processes: int = 1,
    queues: Sequence[Queue] = (NOOP,),
    app: str = "noop_app:app",
    keep: int = 0,
) -> Drained:
    """Let this number of workers drain filled queues until `keep` jobs are left.

    The clock starts when every worker has claimed jobs, since each checks paused queues once a second: for several
    workers, fill in enough jobs for that.
    """
    types = [word for job_type in sorted({queue.type for queue in queues}) for word in ("--types", job_type)]
    command = ("worker", app, *types, "--concurrency", str(concurrency))
    pace = max(1.0, len(queues) / QUEUES_PER_LOOK)
    for queue in queues:
        await pause(one, queue, paused=True)
    names = [f"worker-{number + 1}" for number in range(processes)]
    async with services(one, **dict.fromkeys(names, command)) as supervisor:
        await wait_for_workers(one, processes)
        pids = [supervisor.pid(name) for name in names]
        filled = await waiting(one, queues)
        before = await _read(one, pids)
        for queue in queues:
            await pause(one, queue, paused=False)
        while (first_left := await waiting(one, queues)) == filled or await _at_work(
            one, queues, processes
        ) < processes:
            await anyio.sleep(STARTED_EVERY_S * pace)
        if first_left <= keep:
            raise TooFewJobsError(f"{filled} jobs were over before all of {processes} workers were at work")
        begun = time.perf_counter()
        while (left := await waiting(one, queues)) > keep:
            await anyio.sleep(ENDED_EVERY_S * pace)
        took_s, after = time.perf_counter() - begun, await _read(one, pids)
    jobs = filled - left
    return Drained(
        jobs_per_s=(first_left - left) / took_s,
        node_us=[(late - early) / jobs * 1e6 for early, late in zip(before.node_s, after.node_s, strict=True)],
        worker_us=(after.worker_s - before.worker_s) / jobs * 1e6,
        scripts=(after.scripts - before.scripts) / jobs,
    )


async def waiting(one: Rig, queues: Sequence[Queue]) -> int:
    """Return the number of unfinished jobs of normal priority, by the length of the streams, which is cheap."""
    pipeline = one.broker.client.pipeline(transaction=False)
    for queue in queues:
        pipeline.xlen(one.broker.keys.of(queue).ready[1])
    return sum(await pipeline.execute())


async def _at_work(one: Rig, queues: Sequence[Queue], processes: int) -> int:
    """Return how many workers have claimed jobs, since each becomes a consumer then; for a single worker, 1."""
    if processes == 1:
        return 1
    names: set[bytes] = set()
    for queue in queues:
        stream = one.broker.keys.of(queue).ready[1]
        names |= {row["name"] for row in await one.broker.client.xinfo_consumers(stream, GROUP)}
    return len(names)


async def _read(one: Rig, pids: Sequence[int | None]) -> _Clock:
    return _Clock(await redis_cpu_by_node_s(one), sum(map(process_cpu_s, pids)), await script_calls(one))
