"""What a second worker process adds on the same machine, Redis on its cores too.

One worker and Redis at work side by side may fill two cores already: what the cores allow at most is printed as well.
"""

import os
from argparse import Namespace
from typing import Any

from draining import Drained, drain
from rig import fill, median, report, rig

PROCESSES = (1, 2)


async def main(options: Namespace) -> dict[str, Any]:
    """Measure one and two workers in turn, and print the medians."""
    found: dict[int, list[Drained]] = {count: [] for count in PROCESSES}
    for _ in range(options.rounds):
        for count in PROCESSES:
            async with rig() as one:
                await fill(one, options.jobs)
                found[count].append(await drain(one, concurrency=options.concurrency, processes=count))
    rates = {count: median([one.jobs_per_s for one in some]) for count, some in found.items()}
    rows = []
    for count, some in found.items():
        rows += [
            (f"jobs/s, {count} process(es)", f"{rates[count]:,.0f}"),
            (f"CPU of workers, {count} process(es), us/job", f"{median([one.worker_us for one in some]):.1f}"),
            (f"CPU of Redis, {count} process(es), us/job", f"{median([one.redis_us for one in some]):.1f}"),
        ]
    alone = found[1]
    busy_us = median([one.worker_us + one.redis_us for one in alone])
    most = (os.cpu_count() or 1) * 1e6 / busy_us / rates[1]
    rows.append(("most that the cores allow, as a ratio", f"{most:.2f}"))
    return report(
        "two_workers",
        rows,
        measured={"two_workers": rates[2] / rates[1]},
        most=round(most, 3),
        jobs=options.jobs,
        rounds=options.rounds,
        concurrency=options.concurrency,
        jobs_per_s={count: [round(one.jobs_per_s) for one in some] for count, some in found.items()},
    )
