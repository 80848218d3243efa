"""Measures what a batch handler saves: calls for fifty jobs, beside jobs that each use for 1 ms what serves one."""

from argparse import Namespace
from typing import Any

from draining import drain
from rig import fill, median, report, rig

from millstream_contracts import DEFAULT_TENANT, JobType, Queue

ALONE = Queue(DEFAULT_TENANT, JobType("bench.write"))
GATHERED = Queue(DEFAULT_TENANT, JobType("bench.gathered"))


async def main(options: Namespace) -> dict[str, Any]:
    """Measure both in turn, and print the medians and their ratio."""
    drained: dict[Queue, list[Any]] = {ALONE: [], GATHERED: []}
    for _ in range(options.rounds):
        for queue, found in drained.items():
            async with rig() as one:
                await fill(one, options.jobs, queue)
                found.append(await drain(one, concurrency=options.concurrency, queues=[queue]))
    rates = {queue: median([one.jobs_per_s for one in found]) for queue, found in drained.items()}
    cpu = {queue: median([one.worker_us for one in found]) for queue, found in drained.items()}
    return report(
        "batch_handlers",
        [
            ("jobs/s, one by one", f"{rates[ALONE]:,.0f}"),
            ("jobs/s, batch handler of 50", f"{rates[GATHERED]:,.0f}"),
            ("ratio", f"{rates[GATHERED] / rates[ALONE]:.2f}"),
            ("CPU of the worker, us/job, one by one", f"{cpu[ALONE]:.1f}"),
            ("CPU of the worker, us/job, batch handler", f"{cpu[GATHERED]:.1f}"),
        ],
        jobs=options.jobs,
        rounds=options.rounds,
        concurrency=options.concurrency,
        ratio=round(rates[GATHERED] / rates[ALONE], 2),
    )
