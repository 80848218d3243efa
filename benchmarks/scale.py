"""Measures how the cost of a job changes with backlog, job types, workers, delayed jobs and dead letters.

It writes a chart of each into docs/scale/. Costs are CPU and not time, because with more processes than cores time says
little. The speed of a machine varies: so an empty Redis does the same work at the same time as the one that grows, and
costs are scaled as if the empty one had always cost what it did at first.
"""

import os
from argparse import Namespace
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
from chart import Line, draw
from draining import Drained, drain, waiting
from filling import batch, bury, pour
from many_app import TYPES
from msgspec import Struct
from redis_cpu import cycle
from rig import BATCH, NOOP, Rig, fill, median, redis_cpu_s, report, rig

from millstream_contracts import DEFAULT_TENANT, JobType, Queue

JOBS = (10_000, 100_000, 300_000, 1_200_000, 3_000_000, 5_000_000)
"""A number away from powers of two, at which Redis doubles its hash table. It moves each key once then, step by step,
and the calls of that minute cost more: near 2,000,000 jobs 64 us a job were measured instead of 39.
"""
UP_TO_A_MILLION = JOBS[:4]
SOON_MS = 1
LONGER = 5
"""How many times as many jobs as other benchmarks use: enough for full batches of 200 types, and for 16 workers."""

REDIS = "CPU of Redis, us/job"
Costs = dict[str, float]
Points = list[tuple[int, Costs]]
Pair = tuple[Costs, Costs]
"""A measurement, and the same work beside it."""


class Part(Struct, frozen=True):
    """One direction of growth."""

    title: str
    x_label: str
    measure: Callable[[Namespace], Awaitable[Points]]
    target: str | None = None
    """The target that the first of its costs is compared with."""


async def main(options: Namespace) -> dict[str, Any]:
    """Measure, draw, and print the change of each cost from its first point."""
    rows: list[tuple[str, str]] = []
    measured: dict[str, float] = {}
    seen: dict[str, Points] = {}
    for name in options.only or PARTS:
        part = PARTS[name]
        points = seen[name] = await part.measure(options)
        for cost in points[0][1]:
            values = ", ".join(f"{size:,}: {costs[cost]:.1f}" for size, costs in points)
            rows.append((f"{name}: {cost}", f"{values} (change {_change(points, cost):.0%})"))
        if part.target:
            measured[part.target] = _change(points, next(iter(points[0][1])))
        _write(options.docs / "scale" / f"{name}.svg", part, points)
    return report("scale", rows, measured=measured, jobs=options.jobs, points=seen)


def _change(points: Points, cost: str) -> float:
    """Return the largest change from the first point, as a share."""
    first = points[0][1][cost]
    return max(abs(costs[cost] / first - 1) for _, costs in points)


def _write(file: Path, part: Part, points: Points) -> None:
    lines = [Line(cost, [(size, costs[cost]) for size, costs in points]) for cost in points[0][1]]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(draw(part.title, part.x_label, "us of CPU per job", lines))


async def _backlog(options: Namespace) -> Points:
    """Run the jobs that wait longest while as many are submitted."""
    by_hundreds, by_worker = f"{REDIS}: submit, claim, commit by hundreds", f"{REDIS}: claim, commit by a worker"

    async def measure(one: Rig, size: int) -> Costs:
        cost = await _redis_us(one, options.jobs, cycle)
        await fill(one, options.jobs)
        drained = await drain(one, concurrency=options.concurrency, keep=size)
        # The worker does not stop at a job; what it took beyond is put back.
        await fill(one, size - await waiting(one, [NOOP]))
        return {by_hundreds: cost, by_worker: drained.redis_us, "CPU of the worker, us/job": drained.worker_us}

    return await _beside_empty("queued", JOBS, options, measure)


async def _types(options: Namespace) -> Points:
    """Spread the same number of jobs over more and more types, with one worker for all, beside one of a single type."""

    async def spread(one: Rig, count: int) -> Callable[[], Awaitable[Costs]]:
        queues = [Queue(DEFAULT_TENANT, JobType(name)) for name in TYPES[:count]]
        for queue in queues:
            await fill(one, LONGER * options.jobs // count, queue)
        return lambda: work_off(one, queues)

    async def work_off(one: Rig, queues: Sequence[Queue]) -> Costs:
        return _costs(await drain(one, concurrency=options.concurrency, queues=queues, app="many_app:app"))

    async def pair(count: int) -> Pair:
        async with rig() as one, rig() as other:
            _share_a_core(one, other)
            return await _side_by_side(await spread(one, count), await spread(other, 1))

    counts = (1, 10, 50, len(TYPES))
    return _as_at_first([(count, [await pair(count) for _ in range(options.rounds)]) for count in counts])


async def _workers(options: Namespace) -> Points:
    """Let more and more processes run the same number of jobs of one type."""

    async def run(count: int) -> Costs:
        async with rig() as one:
            await fill(one, LONGER * options.jobs)
            return _costs(await drain(one, concurrency=options.concurrency, processes=count))

    # Not side by side, for the cores are what these processes share; but every size in every round.
    sizes = (1, 2, 4, 8, 16)
    rounds = [[await run(size) for size in sizes] for _ in range(options.rounds)]
    return [(size, _medians([one[at] for one in rounds])) for at, size in enumerate(sizes)]


def _costs(drained: Drained) -> Costs:
    return {
        "CPU of workers and Redis, us/job": drained.worker_us + drained.redis_us,
        "CPU of workers, us/job": drained.worker_us,
        REDIS: drained.redis_us,
    }


async def _delayed(options: Namespace) -> Points:
    """Submit jobs that are due in a moment and release them, beside those that are due tomorrow."""

    async def measure(one: Rig, _: int) -> Costs:
        return {f"{REDIS}: submit, release": await _redis_us(one, options.jobs, _delay_and_release)}

    return await _beside_empty("delayed", UP_TO_A_MILLION, options, measure)


async def _delay_and_release(one: Rig, jobs: int) -> None:
    released = 0
    for _ in range(jobs // BATCH):
        await one.broker.store.enqueue(NOOP, batch(SOON_MS))
        released += (await one.broker.store.release_due(NOOP)).released
    while released < jobs // BATCH * BATCH:
        released += (await one.broker.store.release_due(NOOP)).released


async def _dead(options: Namespace) -> Points:
    """Bury jobs, list the newest dead letters and redrive them, beside those that stay dead."""

    async def measure(one: Rig, _: int) -> Costs:
        costs = {
            f"{REDIS}: submit, claim, bury": await _redis_us(one, options.jobs, _die),
            f"{REDIS}: list, redrive": await _redis_us(one, options.jobs, _redrive),
        }
        await cycle(one, options.jobs, submit=False)
        return costs

    return await _beside_empty("dead", UP_TO_A_MILLION, options, measure)


async def _die(one: Rig, jobs: int) -> None:
    for _ in range(jobs // BATCH):
        await one.broker.store.enqueue(NOOP, batch())
        await bury(one.broker)


async def _redrive(one: Rig, jobs: int) -> None:
    for _ in range(jobs // BATCH):
        page = await one.broker.listing.dead([NOOP], cursor=None, limit=BATCH)
        await one.broker.store.redrive(NOOP, [letter.id for letter in page.items])


async def _beside_empty(
    kind: str, sizes: Sequence[int], options: Namespace, measure: Callable[[Rig, int], Awaitable[Costs]]
) -> Points:
    """Measure a Redis that fills up with jobs of a kind, and an empty one at the same time."""
    measured: list[tuple[int, list[Pair]]] = []
    async with rig() as one, rig() as empty:
        _share_a_core(one, empty)
        for size, missing in _growing(sizes, options.max):
            await pour(one, kind, missing)
            # What it freed or moved while it was filled is done before the clock starts.
            await measure(one, size)
            pairs = [
                await _side_by_side(lambda size=size: measure(one, size), lambda: measure(empty, 0))
                for _ in range(options.rounds)
            ]
            measured.append((size, pairs))
    return _as_at_first(measured)


def _medians(runs: Sequence[Costs]) -> Costs:
    return {name: median([run[name] for run in runs]) for name in runs[0]}


def _as_at_first(measured: Sequence[tuple[int, Sequence[Pair]]]) -> Points:
    """Return the costs by size as if the reference had always cost what it did at first."""
    first = _medians([beside for _, beside in measured[0][1]])
    return [
        (size, {name: first[name] * median([costs[name] / beside[name] for costs, beside in pairs]) for name in first})
        for size, pairs in measured
    ]


def _share_a_core(*rigs: Rig) -> None:
    """Keep the Redis servers on one core, so that other load on it affects both alike."""
    core = max(os.sched_getaffinity(0))
    for one in rigs:
        os.sched_setaffinity(one.redis_pid, {core})


async def _side_by_side(measure: Callable[[], Awaitable[Costs]], beside: Callable[[], Awaitable[Costs]]) -> Pair:
    """Measure both at once, call by call, so that other load affects both alike."""
    found: list[Costs] = [{}, {}]

    async def run(place: int, action: Callable[[], Awaitable[Costs]]) -> None:
        found[place] = await action()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, 0, measure)
        tasks.start_soon(run, 1, beside)
    return found[0], found[1]


async def _redis_us(one: Rig, jobs: int, action: Callable[[Rig, int], Awaitable[None]]) -> float:
    """Return the CPU of Redis per job of an action."""
    before = await redis_cpu_s(one)
    await action(one, jobs)
    return (await redis_cpu_s(one) - before) / jobs * 1e6


def _growing(sizes: Sequence[int], largest: int) -> Iterator[tuple[int, int]]:
    """Yield sizes up to the largest allowed, each with its difference to the one before."""
    chosen = [size for size in sizes if size <= largest] or [largest]
    for smaller, size in zip([0, *chosen], chosen, strict=False):
        yield size, size - smaller


PARTS = {
    "backlog": Part("Cost of a job by backlog", "jobs waiting", _backlog, "flat_backlog"),
    "types": Part("Cost of a job by job types", "job types", _types, "flat_types"),
    "workers": Part("Cost of a job by worker processes", "worker processes on one Redis", _workers),
    "delayed": Part("Cost of a delayed job", "jobs that wait for their time", _delayed),
    "dead": Part("Cost of a dead letter", "dead letters", _dead),
}
