"""Measures how much of its time a worker gives to handlers that wait: jobs of 10 ms, a hundred at once."""

from argparse import Namespace
from typing import Any

from draining import drain
from rig import fill, median, report, rig

from millstream_contracts import DEFAULT_TENANT, JobType, Queue

IO = Queue(DEFAULT_TENANT, JobType("bench.io"))
WAITS_S = 0.01


async def main(options: Namespace) -> dict[str, Any]:
    """Measure, and print the medians beside the limit that the waiting sets."""
    limit = options.concurrency / WAITS_S
    drained = []
    for _ in range(options.rounds):
        async with rig() as one:
            await fill(one, options.jobs, IO)
            drained.append(await drain(one, concurrency=options.concurrency, queues=[IO]))
    rate = median([one.jobs_per_s for one in drained])
    return report(
        "io_jobs",
        [
            ("jobs/s, one worker process", f"{rate:,.0f}"),
            ("limit: concurrency / 10 ms", f"{limit:,.0f}"),
            ("CPU of the worker, us/job", f"{median([one.worker_us for one in drained]):.1f}"),
            ("CPU of Redis, us/job", f"{median([one.redis_us for one in drained]):.1f}"),
            ("round trips per job", f"{median([one.scripts for one in drained]):.3f}"),
        ],
        measured={"io_share": rate / limit},
        jobs=options.jobs,
        rounds=options.rounds,
        concurrency=options.concurrency,
        jobs_per_s=[round(one.jobs_per_s) for one in drained],
    )
