"""Measures searches over HTTP in a large history: the pages of many random queries of each kind."""

import random
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
from filled_history import TYPES, USERS, WORKERS, fill_history
from msgspec import Struct
from rig import HERE, report, rig, services, wait_for_search
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from millstream_cli.embedded import free_ports
from millstream_history import migrate
from millstream_history.connection.address import parse_history_url
from millstream_history.connection.database import make_engine

sys.path.append(str(HERE.parent / "tests"))
from topologies.postgres import find_postgres, local_postgres

DAYS = 10
QUERIES = 100
"""Random queries of each kind."""
PAGE = 50
MEMORY = {"shared_buffers": "1GB", "maintenance_work_mem": "256MB", "max_wal_size": "4GB", "work_mem": "16MB"}

Draw = Callable[["Sample"], str]


class Sample(Struct, frozen=True):
    """Values that the history has, to search for."""

    fingerprints: list[str]
    traces: list[str]
    workflows: list[str]
    dice: random.Random

    @property
    def type(self) -> str:
        """Return one of the types."""
        variant = self.dice.randrange(4, 10)
        return self.dice.choice(TYPES) + (f".v{variant}" if variant > 4 else "")

    @property
    def user(self) -> int:
        """Return a user: most of them have few jobs, and some have very many."""
        return int(USERS ** self.dice.random())


INDEXED: Mapping[str, Draw] = {
    "newest": lambda _: "",
    "state": lambda one: f"state:{one.dice.choice(('dead', 'cancelled', 'expired'))}",
    "type": lambda one: f"type:{one.type}",
    "type and state": lambda one: f"type:{one.type} state:dead",
    "fingerprint": lambda one: f"fingerprint:{one.dice.choice(one.fingerprints)}",
    "workflow": lambda one: f"workflow:{one.dice.choice(one.workflows)}",
    "trace": lambda one: f"trace:{one.dice.choice(one.traces)}",
    "tag, many customers": lambda one: f"tag.customer:c{one.user % 20000}",
    "tag, two values": lambda one: f"tag.env:{one.dice.choice(('prod', 'staging'))}",
    "payload, frequent and rare": lambda one: f"payload.user.id:{one.user}",
    "payload, rare": lambda one: f"payload.user.id:{one.dice.randrange(USERS)}",
    "payload, within a list": lambda one: f"payload.items.sku:SKU-{one.dice.randrange(5000)}",
    "text": lambda one: f"error:mail{one.dice.randrange(17)}.example.com",
    "text, absent": lambda one: f'"ord_{one.dice.getrandbits(48):012x}"',
    "type and payload": lambda one: f"type:{one.type} payload.user.id:{one.user}",
    "type and text": lambda one: f"type:{one.type} error:mail{one.dice.randrange(17)}.example.com",
}
"""Kinds of queries that an index serves, each with a way to draw one."""

WALKED: Mapping[str, Draw] = {
    "worker": lambda one: f"worker:worker-{one.dice.randrange(WORKERS)}",
    "result": lambda one: f"result.ref:{one.dice.getrandbits(64):016x}",
    "payload, compared": lambda one: f"payload.amount:>{one.dice.randrange(9000, 9999)}",
}
"""Kinds without an index: their pages may be partial."""


class Pages(Struct, frozen=True):
    """The pages of one kind of query. Times in seconds."""

    took_s: list[float]
    partial: int

    @property
    def p95_s(self) -> float:
        """Return the time within which 95 of 100 pages came."""
        return statistics.quantiles(self.took_s, n=20)[-1]


async def main(options: Namespace) -> dict[str, Any]:
    """Fill a history, search it, and print the times of pages by kind."""
    programs = find_postgres()
    if programs is None:
        return report("search", [("not measured", "there is no PostgreSQL; on Debian: apt-get install postgresql")])
    with local_postgres(programs, {"fsync": "off", **MEMORY}) as postgres:
        await migrate(postgres.url)
        engine = make_engine(parse_history_url(postgres.url), answer_within_s=None, isolation_level="AUTOCOMMIT")
        begun = time.perf_counter()
        filled = await fill_history(engine, options.history_jobs, DAYS)
        print(f"filled {filled.jobs:,} jobs in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
        sample = await _sample(engine)
        await engine.dispose()
        found = await _search_all(postgres.url, sample)
    worst = max(found[kind].p95_s for kind in INDEXED)
    rows = [(kind, _line(pages)) for kind, pages in found.items()]
    return report(
        "search",
        [("jobs; size", f"{filled.jobs:,} in {filled.days} days; {filled.bytes / 1e9:.1f} GB"), *rows],
        measured={"search_p95": worst * 1000},
        postgres=programs.version,
        jobs=filled.jobs,
        size_bytes=filled.bytes,
        p95_ms={kind: round(pages.p95_s * 1000, 1) for kind, pages in found.items()},
        median_ms={kind: round(statistics.median(pages.took_s) * 1000, 1) for kind, pages in found.items()},
        partial={kind: pages.partial for kind, pages in found.items()},
    )


def _line(pages: Pages) -> str:
    partial = f", {pages.partial} of {len(pages.took_s)} partial" if pages.partial else ""
    return f"p50 {statistics.median(pages.took_s) * 1000:.1f} ms, p95 {pages.p95_s * 1000:.1f} ms{partial}"


async def _sample(engine: AsyncEngine) -> Sample:
    async def some(column: str) -> list[str]:
        statement = f"SELECT DISTINCT {column} FROM jobs TABLESAMPLE system (1) WHERE {column} IS NOT NULL LIMIT 500"
        async with engine.connect() as connection:
            return list((await connection.execute(text(statement))).scalars())

    return Sample(await some("fingerprint"), await some("trace_id"), await some("workflow_id"), random.Random(14))


async def _search_all(url: str, sample: Sample) -> dict[str, Pages]:
    (port,) = free_ports(1)
    settings = {"MILLSTREAM_HISTORY_URL": url, "MILLSTREAM_PORT": str(port), "MILLSTREAM_ADMIN_PORT": "0"}
    async with (
        rig() as one,
        services(one, settings, ingest=("ingest",)),
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http,
    ):
        await wait_for_search(http, str(http.base_url))
        return {kind: await _search(http, draw, sample) for kind, draw in {**INDEXED, **WALKED}.items()}


async def _search(http: httpx2.AsyncClient, draw: Draw, sample: Sample) -> Pages:
    times, partial = [], 0
    for _ in range(QUERIES):
        query = {"q": draw(sample), "limit": str(PAGE)}
        begun = time.perf_counter()
        answer = await http.get("/v1/jobs", params=query)
        times.append(time.perf_counter() - begun)
        assert answer.is_success, answer.text
        partial += not answer.json()["complete"]
    return Pages(times, partial)
