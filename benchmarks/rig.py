"""What benchmarks share: a Redis and service processes of their own, clocks, and how results are printed."""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from msgspec import Struct

from millstream_cli.child import ChildSpec
from millstream_cli.embedded import start_embedded_redis
from millstream_cli.supervisor import Supervisor, supervise
from millstream_contracts import DEFAULT_TENANT, JobType, Queue, Submission, new_job_id
from millstream_streams import Broker, NewJob, assemble, open_broker

HERE = Path(__file__).parent
NOOP = Queue(DEFAULT_TENANT, JobType("bench.noop"))
BATCH = 100
POLL_S = 0.005


class Rig(Struct, frozen=True):
    """A Redis and the way to it."""

    broker: Broker
    redis_url: str
    redis_pid: int


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    """Start a Redis without persistence."""
    with tempfile.TemporaryDirectory() as folder, start_embedded_redis(Path(folder)) as redis:
        async with open_broker(redis.url) as broker:
            await broker.client.config_set("appendonly", "no")
            yield Rig(broker, redis.url, redis.pid)


@asynccontextmanager
async def services(rig: Rig, **commands: Sequence[str]) -> AsyncIterator[Supervisor]:
    """Run service processes by name; what they complain of goes to the error output."""
    env = {**os.environ, "MILLSTREAM_REDIS_URL": rig.redis_url, "MILLSTREAM_LOG_LEVEL": "warning"}
    prefix = (sys.executable, "-m", "millstream_cli.main")
    env["PYTHONPATH"] = str(HERE)
    specs = [ChildSpec(name=name, argv=(*prefix, *argv), env=env) for name, argv in commands.items()]
    async with supervise(specs, lambda name, line: print(f"{name}: {line}", file=sys.stderr)) as supervisor:
        yield supervisor


async def fill(rig: Rig, count: int) -> None:
    """Put no-op jobs into the queue."""
    await rig.broker.registry.add_queues([NOOP])
    for start in range(0, count, BATCH):
        await rig.broker.store.enqueue(NOOP, noop_jobs(min(BATCH, count - start)))


def noop_jobs(count: int, queue: Queue = NOOP) -> list[NewJob]:
    """Return new no-op jobs with the 200-byte payload that peers are measured with."""
    payload = b"\xd9\xc6" + b"x" * 198
    submission = Submission(type=queue.type)
    return [assemble(new_job_id(queue), submission, payload) for _ in range(count)]


async def left(rig: Rig, queue: Queue = NOOP) -> int:
    """Return how many no-op jobs have not ended."""
    depths = await rig.broker.store.measure(queue)
    return sum(depths.queued) + depths.running + depths.scheduled


async def pause(rig: Rig, *, paused: bool) -> None:
    """Pause or open the queue of no-op jobs."""
    await rig.broker.client.hset(rig.broker.keys.of(NOOP).settings, "paused", "1" if paused else "0")


async def redis_cpu_s(rig: Rig) -> float:
    """Return the CPU seconds that Redis has used."""
    info = await rig.broker.client.info("cpu")
    return float(info["used_cpu_sys"]) + float(info["used_cpu_user"])


async def script_calls(rig: Rig) -> int:
    """Return how many scripts Redis has run."""
    stats = await rig.broker.client.info("commandstats")
    return sum(int(stats[name]["calls"]) for name in ("cmdstat_evalsha", "cmdstat_eval") if name in stats)


def process_cpu_s(pid: int | None) -> float:
    """Return the CPU seconds that a process has used; 0 where the system does not tell."""
    stat = Path(f"/proc/{pid}/stat")
    if pid is None or not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def wait_for_workers(rig: Rig, count: int) -> None:
    """Wait until so many workers have registered."""
    while len(await rig.broker.registry.workers()) < count:
        await anyio.sleep(POLL_S)


@asynccontextmanager
async def stopwatch() -> AsyncIterator[list[float]]:
    """Measure a block. Yields: a list that holds the seconds afterwards."""
    took: list[float] = []
    begun = time.perf_counter()
    async with AsyncExitStack():
        yield took
    took.append(time.perf_counter() - begun)


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def report(name: str, rows: Sequence[tuple[str, str]], **figures: Any) -> None:
    """Print a table for people and a JSON line for programs."""
    width = max(len(label) for label, _ in rows)
    print(f"\n{name}")
    for label, value in rows:
        print(f"  {label:<{width}}  {value:>14}")
    print(json.dumps({"benchmark": name, **figures}))
