"""Measures the console over 200 queues and a large history: its pages, and what five and five hundred viewers cost."""

import asyncio
import gzip
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import anyio
import httpx2
from filled_history import fill_history
from msgspec import Struct
from rig import HERE, Rig, noop_jobs, process_cpu_s, process_rss_bytes, report, rig, services, wait_for_search

from millstream_cli.embedded import free_ports
from millstream_cli.readiness import wait_until_ready
from millstream_cli.supervisor import Supervisor
from millstream_contracts import DEFAULT_TENANT, JobType, Queue
from millstream_history import migrate
from millstream_history.connection.address import parse_history_url
from millstream_history.connection.database import make_engine

sys.path.append(str(HERE.parent / "tests"))
from topologies.postgres import find_postgres, local_postgres

QUEUES = 200
DAYS = 10
REQUESTS = 60
"""Requests of each page."""
FEW, MANY = 5, 500
"""Viewers, spread evenly over the pages of `VIEWED`."""
SETTLE_S = 5.0
PAGES: Mapping[str, str] = {
    "overview": "/",
    "queues": "/queues",
    "queue": "/queues/email.send",
    "jobs, newest": "/jobs",
    "jobs, dead of a type": "/jobs?q=state%3Adead+type%3Aemail.send",
    "errors": "/errors",
    "operations": "/operations",
    "workers": "/workers",
    "system": "/system",
}
VIEWED = ("/", "/queues", "/queues/email.send", "/workers", "/operations")
MEMORY = {"shared_buffers": "1GB", "maintenance_work_mem": "256MB", "max_wal_size": "4GB"}


class Shown(Struct, frozen=True):
    """The answers of one page. Times in seconds, sizes in bytes, packed."""

    took_s: list[float]
    size: int

    @property
    def p95_s(self) -> float:
        """Return the time within which 95 of 100 answers came."""
        return statistics.quantiles(self.took_s, n=20)[-1]


class Cost(Struct, frozen=True):
    """What some viewers cost, a second."""

    console_ms: float
    ingest_ms: float
    redis_commands: float
    ticks: int
    """How often a page of any of them was fresh."""


class Viewer(asyncio.Protocol):
    """An open page, without the cost of a browser."""

    def __init__(self, path: str) -> None:
        self.ticks = 0
        self._path = path
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for what keeps the page fresh."""
        lines = (f"GET {self._path} HTTP/1.1", "Host: localhost", "Accept: text/html, text/event-stream", "", "")
        # That of uvloop is no `asyncio.Transport`.
        cast("asyncio.Transport", transport).write("\r\n".join(lines).encode())

    def data_received(self, data: bytes) -> None:
        """Count how often the page was fresh."""
        text = self._rest + data
        self.ticks += text.count(b"event: tick\n")
        self._rest = text[-11:] if not text.endswith(b"event: tick\n") else b""


async def main(options: Namespace) -> dict[str, Any]:
    """Open pages, and print what they took and cost."""
    programs = find_postgres()
    if programs is None:
        return report("console", [("not measured", "there is no PostgreSQL; on Debian: apt-get install postgresql")])
    with local_postgres(programs, {"fsync": "off", **MEMORY}) as postgres:
        await migrate(postgres.url)
        engine = make_engine(parse_history_url(postgres.url), answer_within_s=None, isolation_level="AUTOCOMMIT")
        filled = await fill_history(engine, options.history_jobs, DAYS)
        await engine.dispose()
        async with _running(postgres.url) as (one, supervisor, url):
            await _fill_queues(one)
            shown = {name: await _ask(url, path) for name, path in PAGES.items()}
            few, many = [await _view(one, supervisor, url, count, options.seconds) for count in (FEW, MANY)]
            memory = process_rss_bytes(supervisor.pid("console"))
    return _report(shown, few, many, memory, filled.jobs)


@asynccontextmanager
async def _running(history_url: str) -> AsyncIterator[tuple[Rig, Supervisor, str]]:
    api, console = free_ports(2)
    settings = {
        "MILLSTREAM_HISTORY_URL": history_url,
        "MILLSTREAM_PORT": str(api),
        "MILLSTREAM_URL": f"http://127.0.0.1:{api}",
        "MILLSTREAM_CONSOLE_PORT": str(console),
    }
    async with rig() as one, services(one, settings, ingest=("ingest",), console=("console",)) as supervisor:
        url = f"http://127.0.0.1:{console}"
        await wait_until_ready([f"{url}/readyz", f"http://127.0.0.1:{api}/readyz"], timeout_s=60)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{api}", trust_env=False, timeout=60) as http:
            await wait_for_search(http, "")
        yield one, supervisor, url


async def _fill_queues(one: Rig) -> None:
    """Have some jobs wait in each of the queues."""
    names = ["email.send", *(f"bench.type-{number}" for number in range(QUEUES - 1))]
    queues = [Queue(DEFAULT_TENANT, JobType(name)) for name in names]
    await one.broker.registry.add_queues(queues)
    for queue in queues:
        await one.broker.store.enqueue(queue, noop_jobs(3, queue))


async def _ask(url: str, path: str) -> Shown:
    took, size = [], 0
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60) as http:
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            response = await http.get(path)
            took.append(time.perf_counter() - begun)
            response.raise_for_status()
            size = len(gzip.compress(response.content, 5))
    return Shown(took, size)


async def _view(one: Rig, supervisor: Supervisor, url: str, count: int, seconds: float) -> Cost:
    """Have pages open for a while."""
    loop, port = asyncio.get_running_loop(), int(url.rpartition(":")[2])
    opened = [
        await loop.create_connection(partial(Viewer, VIEWED[n % len(VIEWED)]), "127.0.0.1", port) for n in range(count)
    ]
    await anyio.sleep(SETTLE_S)
    before, ticks = await _spent(one, supervisor), sum(viewer.ticks for _, viewer in opened)
    begun = time.monotonic()
    await anyio.sleep(seconds)
    after, took_s = await _spent(one, supervisor), time.monotonic() - begun
    ticks = sum(viewer.ticks for _, viewer in opened) - ticks
    for transport, _ in opened:
        transport.abort()
    console, ingest, commands = ((now - then) / took_s for now, then in zip(after, before, strict=True))
    return Cost(console * 1000, ingest * 1000, commands, ticks)


async def _spent(one: Rig, supervisor: Supervisor) -> tuple[float, float, float]:
    """Return the CPU seconds of the console and of ingest so far, and the commands that Redis has run."""
    stats = await one.broker.client.info("stats")
    services = (process_cpu_s(supervisor.pid(name)) for name in ("console", "ingest"))
    return (*services, float(stats["total_commands_processed"]))  # type: ignore[return-value]


def _report(shown: Mapping[str, Shown], few: Cost, many: Cost, memory_bytes: int, jobs: int) -> dict[str, Any]:
    def cost(word: str, one: Cost) -> tuple[str, str]:
        spent = f"{one.console_ms:.0f} ms/s of the console, {one.ingest_ms:.1f} ms/s of ingest"
        return word, f"{spent}, {one.redis_commands:.0f} commands/s, {one.ticks:,} ticks"

    rows = [
        ("queues; jobs of the history", f"{QUEUES}; {jobs:,}"),
        *(
            (name, f"p50 {statistics.median(one.took_s) * 1000:.0f} ms, p95 {one.p95_s * 1000:.0f} ms, {one.size:,} B")
            for name, one in shown.items()
        ),
        cost(f"{FEW} viewers", few),
        cost(f"{MANY} viewers", many),
        ("memory of the console", f"{memory_bytes / 2**20:.0f} MiB"),
    ]
    worst = max(shown.values(), key=lambda one: one.p95_s)
    return report(
        "console",
        rows,
        measured={
            "console_p95": worst.p95_s * 1000,
            "console_fan_out": many.ingest_ms / few.ingest_ms if few.ingest_ms else 0.0,
        },
        jobs=jobs,
        p95_ms={name: round(one.p95_s * 1000, 1) for name, one in shown.items()},
        bytes={name: one.size for name, one in shown.items()},
        ingest_ms={FEW: round(few.ingest_ms, 2), MANY: round(many.ingest_ms, 2)},
        redis_commands={FEW: round(few.redis_commands), MANY: round(many.redis_commands)},
        console_ms={FEW: round(few.console_ms, 1), MANY: round(many.console_ms, 1)},
        memory_bytes=memory_bytes,
    )
