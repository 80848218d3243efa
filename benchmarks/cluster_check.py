"""Checks the capacity model on a real cluster of three nodes: a hot type over 1, 2 and 3 partitions.

On one machine nodes cannot be faster together than its cores, so the check compares CPU: a node of a type over n
partitions should spend an n-th of what the node of an unpartitioned one spends on each job.
"""

import sys
import tempfile
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from draining import drain
from hot_app import NODES, hot_queues
from msgspec import Struct
from rig import HERE, Rig, fill, median, redis_cpu_by_node_s, rig_of

from millstream_cli.redis_finder import find_redis

sys.path.append(str(HERE.parent / "tests"))
from topologies.cluster import three_primaries


class Spread(Struct, frozen=True):
    """CPU per job of a type over some partitions, in us."""

    partitions: int
    total_us: float
    """CPU of all nodes per job."""
    busiest_us: float
    """CPU of the node that works most, per job of all."""


async def check(options: Namespace) -> list[Spread]:
    """Measure each number of partitions in turn, and return the medians."""
    found: dict[int, list[Spread]] = {count: [] for count in range(1, NODES + 1)}
    for _ in range(options.rounds):
        for partitions, some in found.items():
            async with _cluster() as one:
                some.append(await _measure(one, partitions, options.jobs, options.concurrency))
    return [
        Spread(count, median([one.total_us for one in some]), median([one.busiest_us for one in some]))
        for count, some in found.items()
    ]


@asynccontextmanager
async def _cluster() -> AsyncIterator[Rig]:
    settings = {"hash-max-ziplist-value": 1024}
    with tempfile.TemporaryDirectory() as folder, three_primaries(Path(folder), find_redis(), settings) as cluster:
        async with rig_of(cluster.url, cluster.nodes[0].pid) as one:
            yield one


async def _measure(one: Rig, partitions: int, jobs: int, concurrency: int) -> Spread:
    """Submit jobs and let a worker process run them; return what each node spent."""
    queues = hot_queues(partitions)
    before = await redis_cpu_by_node_s(one)
    for queue in queues:
        await fill(one, jobs // partitions, queue)
    filled = await redis_cpu_by_node_s(one)
    # Not what lies between: the start of a worker is no cost of a job.
    drained = await drain(one, concurrency=concurrency, queues=queues, app="hot_app:app")
    submit_us = [(late - early) / jobs * 1e6 for early, late in zip(before, filled, strict=True)]
    spent_us = [submit + work for submit, work in zip(submit_us, drained.node_us, strict=True)]
    return Spread(partitions, sum(spent_us), max(spent_us))
