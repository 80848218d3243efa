"""Measures how fast one dispatcher projects events into PostgreSQL, and its lag at 5,000 jobs/s beside searches."""

import itertools
import sys
import time
from argparse import Namespace
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
from draining import drain
from msgspec import Struct
from rig import (
    HERE,
    NOOP,
    POLL_S,
    Rig,
    fill,
    median,
    noop_jobs,
    process_cpu_s,
    redis_cpu_s,
    report,
    rig,
    services,
    wait_for_search,
    wait_for_workers,
)
from sqlalchemy import text

from millstream_cli.embedded import free_ports
from millstream_history import migrate, open_history
from millstream_history.connection.database import open_engine

sys.path.append(str(HERE.parent / "tests"))
from topologies.postgres import LocalPostgres, find_postgres, local_postgres

RATE_PER_S = 5_000
BATCH = 50
TIMES = 3
"""How many times the number of jobs of other benchmarks, with which the run would end while it still warms up."""
SEARCHES_PER_S = 20
SEARCHES = ("", "type:bench.noop", "state:succeeded", "state:dead", "tag.customer:c1", "payload.user.id:1")
"""The queries that are asked in turn while the lag is measured."""
SECONDS = 15.0
WARM_S = 3.0
"""The time before the lag counts, in which connections, caches and statements are made."""


class Projected(Struct, frozen=True):
    """The cost of a projection."""

    jobs_per_s: float
    dispatcher_us: float
    """CPU per job."""
    postgres_us: float
    redis_us: float


async def main(options: Namespace) -> dict[str, Any]:
    """Measure both, and print the medians."""
    programs = find_postgres()
    if programs is None:
        # No end of the whole run: the others have been measured.
        return report("history", [("not measured", "there is no PostgreSQL; on Debian: apt-get install postgresql")])
    rates: list[Projected] = []
    lags: list[float] = []
    for _ in range(options.rounds):
        # With fsync, as where it matters.
        with local_postgres(programs, {}) as postgres:
            await _prepare(postgres)
            async with rig() as one:
                rates.append(await _project(one, postgres, TIMES * options.jobs, options.concurrency))
        with local_postgres(programs, {}) as postgres:
            await _prepare(postgres)
            async with rig() as one:
                lags += await _lags(one, postgres)
    lags.sort()
    rate = median([one.jobs_per_s for one in rates])
    return report(
        "history",
        [
            ("jobs/s, one dispatcher", f"{rate:,.0f}"),
            ("CPU of the dispatcher, us/job", f"{median([one.dispatcher_us for one in rates]):.1f}"),
            ("CPU of PostgreSQL, us/job", f"{median([one.postgres_us for one in rates]):.1f}"),
            ("CPU of Redis, us/job", f"{median([one.redis_us for one in rates]):.1f}"),
            (f"lag at {RATE_PER_S:,} jobs/s and {SEARCHES_PER_S} searches/s, median, s", f"{median(lags):.3f}"),
            (f"lag at {RATE_PER_S:,} jobs/s and {SEARCHES_PER_S} searches/s, longest, s", f"{lags[-1]:.3f}"),
        ],
        measured={"history_rate": rate, "history_lag": lags[-1]},
        postgres=programs.version,
        jobs=TIMES * options.jobs,
        rounds=options.rounds,
        jobs_per_s=[round(one.jobs_per_s) for one in rates],
        dispatcher_cpu_us=[round(one.dispatcher_us, 1) for one in rates],
        postgres_cpu_us=[round(one.postgres_us, 1) for one in rates],
        redis_cpu_us=[round(one.redis_us, 1) for one in rates],
        lag_median_s=round(median(lags), 4),
        lag_longest_s=round(lags[-1], 4),
    )


async def _prepare(postgres: LocalPostgres) -> None:
    """Make the tables and their days, which a dispatcher makes once for two weeks."""
    await migrate(postgres.url)
    async with open_history(postgres.url) as history:
        await history.days.make(datetime.now(UTC).date())


async def _project(one: Rig, postgres: LocalPostgres, jobs: int, concurrency: int) -> Projected:
    """Let a dispatcher store the events of jobs that have all ended."""
    await fill(one, jobs)
    await drain(one, concurrency=concurrency)
    settings = {"MILLSTREAM_HISTORY_URL": postgres.url}
    events = one.broker.keys.of(NOOP).events
    last = (await one.broker.client.xrevrange(events, count=1))[0][0]
    async with services(one, settings, dispatcher=("dispatcher",)) as supervisor:
        while not await one.broker.client.xinfo_groups(events):
            await anyio.sleep(POLL_S)
        begun = time.perf_counter()
        before = await _cpu(one, supervisor.pid("dispatcher"), postgres)
        while not await _is_done(one, events, last):
            await anyio.sleep(POLL_S)
        took_s = time.perf_counter() - begun
        after = await _cpu(one, supervisor.pid("dispatcher"), postgres)
    await _check(postgres, jobs)
    used = [(late - early) / jobs * 1e6 for early, late in zip(before, after, strict=True)]
    return Projected(jobs / took_s, *used)


async def _is_done(one: Rig, events: str, last: bytes) -> bool:
    (group,) = await one.broker.client.xinfo_groups(events)
    return group["last-delivered-id"] == last and group["pending"] == 0


async def _cpu(one: Rig, dispatcher: int | None, postgres: LocalPostgres) -> tuple[float, float, float]:
    """Return the CPU seconds of dispatcher, PostgreSQL and Redis."""
    return process_cpu_s(dispatcher), _family_cpu_s(postgres.pid), await redis_cpu_s(one)


def _family_cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and its children; PostgreSQL has one for each connection."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(process_cpu_s, [pid, *map(int, children)]))


async def _check(postgres: LocalPostgres, jobs: int) -> None:
    """Check that everything that was measured is stored."""
    counts = "SELECT (SELECT count(*) FROM jobs WHERE state = 'succeeded'), (SELECT count(*) FROM transitions)"
    async with open_engine(postgres.url) as engine, engine.connect() as connection:
        found = tuple((await connection.execute(text(counts))).one())
    assert found == (jobs, 3 * jobs), found


async def _lags(one: Rig, postgres: LocalPostgres) -> list[float]:
    """Return lags, as the dispatcher shows them, while jobs are submitted, run and searched at steady rates."""
    port, api_port = free_ports(2)
    settings = {"MILLSTREAM_HISTORY_URL": postgres.url}
    dispatcher = {**settings, "MILLSTREAM_ADMIN_PORT": str(port)}
    await one.broker.registry.add_queues([NOOP])
    async with (
        services(one, worker=("worker", "noop_app:app", "--types", NOOP.type)),
        services(one, dispatcher, dispatcher=("dispatcher",)),
        services(one, {**settings, "MILLSTREAM_PORT": str(api_port)}, ingest=("ingest",)),
        httpx2.AsyncClient(trust_env=False) as http,
        anyio.create_task_group() as tasks,
    ):
        await wait_for_workers(one, 1)
        await wait_for_search(http, f"http://127.0.0.1:{api_port}")
        tasks.start_soon(_submit, one)
        tasks.start_soon(_search, http, f"http://127.0.0.1:{api_port}")
        await anyio.sleep(WARM_S)
        lags = [lag async for lag in _shown(http, port)]
        tasks.cancel_scope.cancel()
    return lags


async def _shown(http: httpx2.AsyncClient, port: int) -> AsyncIterator[float]:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        said = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
        (line,) = [line for line in said.splitlines() if line.startswith("millstream_history_lag_seconds ")]
        yield float(line.split()[1])
        await anyio.sleep(0.1)


async def _submit(one: Rig) -> None:
    """Submit at a steady rate until cancelled."""
    due = time.monotonic()
    while True:
        await one.broker.store.enqueue(NOOP, noop_jobs(BATCH))
        due += BATCH / RATE_PER_S
        await anyio.sleep(max(0.0, due - time.monotonic()))


async def _search(http: httpx2.AsyncClient, url: str) -> None:
    """Search at a steady rate until cancelled."""
    due = time.monotonic()
    for query in itertools.cycle(SEARCHES):
        answer = await http.get(f"{url}/v1/jobs", params={"q": query})
        assert answer.is_success, answer.text
        due += 1 / SEARCHES_PER_S
        await anyio.sleep(max(0.0, due - time.monotonic()))
