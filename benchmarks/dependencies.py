"""Measures what jobs that wait for others cost: many children of one job, and children of many jobs.

Each shape has as many edges, so that the cost of one can be compared.
"""

import time
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import anyio
from msgspec import Struct, convert, to_builtins
from msgspec.structs import replace
from rig import BATCH, NOOP, POLL_S, Rig, median, noop_jobs, process_cpu_s, report, rig, services

from millstream_contracts import DEFAULT_TENANT, JobId, JobType, Queue
from millstream_streams import Blocked, NewJob, Parents
from millstream_submission import Dependencies

PARENTS = Queue(DEFAULT_TENANT, JobType("bench.parent"))
STARTED_S = 2.0
"""The time for a dispatcher to start, which is not measured."""


class Shape(Struct, frozen=True):
    """Families of jobs: each child waits for each parent of its family."""

    families: int
    parents: int
    children: int

    @property
    def edges(self) -> int:
        """Return how often a job waits for another."""
        return self.families * self.parents * self.children


class Cost(Struct, frozen=True):
    """What edges cost. CPU in us for each."""

    store_us: float
    """Of Redis, to store the children and to have their parents know of them."""
    tell_us: float
    """Of Redis, to tell the children of the end of their parents."""
    dispatcher_us: float
    seconds: float
    """From the end of the parents until all children are ready."""

    @property
    def line(self) -> str:
        """Return it in words."""
        return (
            f"Redis {self.store_us:.0f} us to store and {self.tell_us:.0f} us to tell, "
            f"dispatcher {self.dispatcher_us:.0f} us, {self.seconds:.2f} s"
        )

    @property
    def cpu_us(self) -> float:
        """Return all of it."""
        return self.store_us + self.tell_us + self.dispatcher_us


SMALL, LARGE, WIDE = "1,000 children of one", "10,000 children of one", "children of 1,000"
SHAPES = {SMALL: Shape(10, 1, 1_000), LARGE: Shape(1, 1, 10_000), WIDE: Shape(1, 1_000, 10)}


async def main(options: Namespace) -> dict[str, Any]:
    """Measure each shape, and print the medians, of one edge."""
    costs = {name: _median([await _measure(shape) for _ in range(options.rounds)]) for name, shape in SHAPES.items()}
    return report(
        "dependencies",
        [(name, cost.line) for name, cost in costs.items()],
        measured={"fan_out_growth": costs[LARGE].cpu_us / costs[SMALL].cpu_us},
        rounds=options.rounds,
        costs=to_builtins(costs),
    )


def _median(costs: Sequence[Cost]) -> Cost:
    return convert({name: median([getattr(one, name) for one in costs]) for name in Cost.__struct_fields__}, Cost)


async def _measure(shape: Shape) -> Cost:
    async with rig() as one:
        await one.broker.registry.add_queues([NOOP, PARENTS])
        parents = [await _store(one, PARENTS, noop_jobs(shape.parents, PARENTS)) for _ in range(shape.families)]
        begun_s = process_cpu_s(one.redis_pid)
        for some in parents:
            await _block(one, some, shape.children)
        store_s = process_cpu_s(one.redis_pid) - begun_s
        async with services(one, dispatcher=("dispatcher",)) as supervisor:
            await anyio.sleep(STARTED_S)
            own_s, redis_s = process_cpu_s(supervisor.pid("dispatcher")), process_cpu_s(one.redis_pid)
            begun = time.perf_counter()
            await _end(one, [job_id for some in parents for job_id in some])
            while await one.broker.client.xlen(one.broker.keys.of(NOOP).ready[1]) < shape.families * shape.children:
                await anyio.sleep(POLL_S)
            seconds = time.perf_counter() - begun
            own_s = process_cpu_s(supervisor.pid("dispatcher")) - own_s
            redis_s = process_cpu_s(one.redis_pid) - redis_s
    store_us, tell_us, dispatcher_us = (spent_s / shape.edges * 1e6 for spent_s in (store_s, redis_s, own_s))
    return Cost(store_us, tell_us, dispatcher_us, seconds)


async def _block(one: Rig, parents: Sequence[JobId], children: int) -> None:
    """Store jobs that wait for all of these, whatever becomes of them, and have their parents know of them."""
    waits = Parents(all=tuple(parents), open=tuple(parents), after_failure="run")
    ids = await _store(one, NOOP, [replace(job, parents=waits) for job in noop_jobs(children)])
    dependencies = Dependencies(one.broker.dependencies, one.broker.views)
    for start in range(0, children, BATCH):
        await dependencies.link(NOOP, [Blocked(job_id, list(parents)) for job_id in ids[start : start + BATCH]])


async def _store(one: Rig, queue: Queue, jobs: Sequence[NewJob]) -> list[JobId]:
    for start in range(0, len(jobs), BATCH):
        await one.broker.store.enqueue(queue, jobs[start : start + BATCH])
    return [job.id for job in jobs]


async def _end(one: Rig, parents: Sequence[JobId]) -> None:
    for start in range(0, len(parents), BATCH):
        await one.broker.store.cancel(PARENTS, parents[start : start + BATCH])
