"""The parts that benchmarks share: a Redis and service processes of their own, clocks, and printed results."""

import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import httpx2
import msgspec
from msgspec import Struct
from span_sink import span_sink
from targets import judge, lines_of

from millstream_cli.child import ChildSpec
from millstream_cli.embedded import start_embedded_redis
from millstream_cli.supervisor import Supervisor, supervise
from millstream_contracts import DEFAULT_TENANT, JobType, Queue, Submission, new_job_id
from millstream_streams import Broker, NewJob, assemble, open_broker
from millstream_telemetry.tracing.setup import DEFAULT_SAMPLED_SHARE

HERE = Path(__file__).parent
CLI = (sys.executable, "-m", "millstream_cli.main")
NOOP = Queue(DEFAULT_TENANT, JobType("bench.noop"))
BATCH = 100
BATCHES_AT_ONCE = 2
"""As in ingest: the next 100 jobs are built while Redis stores the last ones."""
POLL_S = 0.005


class Rig(Struct, frozen=True):
    """A Redis and a connection to it."""

    broker: Broker
    redis_url: str
    redis_pid: int


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    """Start a Redis without persistence."""
    with tempfile.TemporaryDirectory() as folder, start_embedded_redis(Path(folder)) as redis:
        async with rig_of(redis.url, redis.pid) as one:
            await one.broker.client.config_set("appendonly", "no")
            yield one


@asynccontextmanager
async def rig_of(redis_url: str, redis_pid: int) -> AsyncIterator[Rig]:
    """Open a Redis, or a cluster, that already runs."""
    async with open_broker(redis_url) as broker:
        yield Rig(broker, redis_url, redis_pid)


@asynccontextmanager
async def services(rig: Rig, settings: Mapping[str, str] = {}, **commands: Sequence[str]) -> AsyncIterator[Supervisor]:
    """Run service processes by name; their warnings and errors go to standard error.

    `settings` are MILLSTREAM_* variables beside those that every benchmark has.
    """
    lines = {name: (*CLI, *arguments) for name, arguments in commands.items()}
    async with processes(rig, lines, settings) as supervisor:
        yield supervisor


@asynccontextmanager
async def processes(
    rig: Rig, commands: Mapping[str, Sequence[str]], settings: Mapping[str, str] = {}
) -> AsyncIterator[Supervisor]:
    """Run processes by name with all features on; spans go to a sink, at the default sampling."""
    async with span_sink() as tracing:
        env = {**os.environ, **tracing, "PYTHONPATH": str(HERE)}
        env |= {"MILLSTREAM_REDIS_URL": rig.redis_url, "MILLSTREAM_LOG_LEVEL": "warning", **settings}
        specs = [ChildSpec(name=name, argv=tuple(argv), env=env) for name, argv in commands.items()]
        async with supervise(specs, lambda name, line: print(f"{name}: {line}", file=sys.stderr)) as supervisor:
            yield supervisor
        if supervisor.signals:
            # The block was ended in the middle, without an error: what follows it has nothing to report.
            sys.exit(f"stopped by {supervisor.signals[0].name}")


async def fill(rig: Rig, count: int, queue: Queue = NOOP) -> None:
    """Put no-op jobs into a queue."""
    await fill_queue(rig.broker, count, queue)


async def fill_queue(broker: Broker, count: int, queue: Queue) -> None:
    """Put no-op jobs into a queue, without a rig."""
    await broker.registry.add_queues([queue])
    sizes = iter([min(BATCH, count - start) for start in range(0, count, BATCH)])

    async def work() -> None:
        for size in sizes:
            await broker.store.enqueue(queue, noop_jobs(size, queue))

    async with anyio.create_task_group() as tasks:
        for _ in range(BATCHES_AT_ONCE):
            tasks.start_soon(work)


def noop_jobs(count: int, queue: Queue = NOOP) -> list[NewJob]:
    """Return new no-op jobs with the 200-byte payload of the peers' measurements, and traces as ingest makes them."""
    payload = b"\xd9\xc6" + b"x" * 198
    submission = Submission(type=queue.type)
    return [assemble(new_job_id(queue), submission, payload, traceparent=new_traceparent()) for _ in range(count)]


def new_traceparent() -> str:
    """Return the trace context that ingest stores in a job; one of a hundred is recorded."""
    flags = "01" if random.random() < DEFAULT_SAMPLED_SHARE else "00"
    return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-{flags}"


async def left(rig: Rig, queue: Queue = NOOP) -> int:
    """Return the number of no-op jobs that have not ended."""
    depths = await rig.broker.store.measure(queue)
    return sum(depths.queued) + depths.running + depths.scheduled


async def pause(rig: Rig, queue: Queue = NOOP, *, paused: bool) -> None:
    """Pause or resume a queue."""
    await rig.broker.client.hset(rig.broker.keys.of(queue).settings, "paused", "1" if paused else "0")


async def redis_cpu_s(rig: Rig) -> float:
    """Return the CPU seconds of Redis, of all nodes of a cluster together."""
    return sum(await redis_cpu_by_node_s(rig))


async def redis_cpu_by_node_s(rig: Rig) -> list[float]:
    """Return the CPU seconds of each node, or of the single server."""
    return [float(info["used_cpu_sys"]) + float(info["used_cpu_user"]) for info in await _infos(rig, "cpu")]


async def script_calls(rig: Rig) -> int:
    """Return how many scripts Redis has run."""
    names = ("cmdstat_evalsha", "cmdstat_eval")
    return sum(int(info[name]["calls"]) for info in await _infos(rig, "commandstats") for name in names if name in info)


async def _infos(rig: Rig, section: str) -> list[dict[str, Any]]:
    if not rig.broker.address.is_cluster:
        return [await rig.broker.client.info(section)]
    by_node = await rig.broker.client.info(section, target_nodes="all")
    return [by_node[name] for name in sorted(by_node)]


def process_cpu_s(pid: int | None) -> float:
    """Return the CPU seconds of a process; 0 where the system does not report them."""
    stat = Path(f"/proc/{pid}/stat")
    if pid is None or not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def process_rss_bytes(pid: int | None) -> int:
    """Return the memory of a process; 0 where the system does not report it."""
    status = Path(f"/proc/{pid}/status")
    if pid is None or not status.exists():
        return 0
    fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


async def wait_for_workers(rig: Rig, count: int) -> None:
    """Wait until this number of workers has registered."""
    while len(await rig.broker.registry.workers()) < count:
        await anyio.sleep(POLL_S)


async def wait_for_search(http: httpx2.AsyncClient, url: str) -> None:
    """Wait until an ingest answers searches."""
    while True:
        with suppress(httpx2.HTTPError):
            if (await http.get(f"{url}/v1/jobs", params={"q": ""})).is_success:
                return
        await anyio.sleep(POLL_S)


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def report(
    name: str, rows: Sequence[tuple[str, str]], *, measured: Mapping[str, float] | None = None, **figures: Any
) -> dict[str, Any]:
    """Print a table for people and a JSON line for programs; return the contents of the line.

    `measured` are figures by the names of their targets: the table says how far each is from it.
    """
    verdicts = {target: judge(target, value) for target, value in (measured or {}).items()}
    show(name, rows)
    show("measured / target", lines_of(verdicts))
    record = {"benchmark": name, **figures, "targets": msgspec.to_builtins(verdicts)}
    print(json.dumps(record), flush=True)
    return record


def show(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Print a table; nothing when it has no rows."""
    if not rows:
        return
    width = max(len(label) for label, _ in rows)
    print(f"\n{title}")
    for label, value in rows:
        print(f"  {label:<{width}}  {value:>14}")
