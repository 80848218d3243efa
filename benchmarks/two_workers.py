"""Measures what a second worker process adds on the same machine, with Redis on its cores too.

One worker and Redis may fill two cores already, so the most that the cores allow is printed beside the figure. Handlers
that compute show what the second process is for.
"""

import os
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from draining import Drained, drain
from rig import NOOP, fill, median, report, rig

from millstream_contracts import DEFAULT_TENANT, JobType, Queue

PROCESSES = (1, 2)
BUSY = Queue(DEFAULT_TENANT, JobType("bench.busy"))
WORKS = {"no-op": NOOP, "100 us of work": BUSY}
LONGER = 4
"""How many times as many jobs as other benchmarks use, since both workers must be at work before the clock starts."""


async def main(options: Namespace) -> dict[str, Any]:
    """Measure one and two workers in turn, with handlers that do nothing and handlers that compute."""
    rows: list[tuple[str, str]] = []
    ratios, figures = {}, {}
    for work, queue in WORKS.items():
        found: dict[int, list[Drained]] = {count: [] for count in PROCESSES}
        for _ in range(options.rounds):
            for count in PROCESSES:
                async with rig() as one:
                    await fill(one, LONGER * options.jobs, queue)
                    drained = await drain(one, concurrency=options.concurrency, processes=count, queues=[queue])
                    found[count].append(drained)
        rates = {count: _rate(some) for count, some in found.items()}
        ratios[work] = rates[2] / rates[1]
        figures[work] = {
            "jobs_per_s": {count: [round(one.jobs_per_s) for one in some] for count, some in found.items()},
            "ratio": round(ratios[work], 3),
            "most": round(_most(found[1]), 3),
        }
        rows += [(f"{work}: jobs/s, {count} process(es)", f"{rate:,.0f}") for count, rate in rates.items()]
        rows += [
            (f"{work}: CPU of workers / Redis, {count} process(es), us/job", f"{_cpu(some)}")
            for count, some in found.items()
        ]
        rows += [
            (f"{work}: ratio", f"{ratios[work]:.2f}"),
            (f"{work}: most that the cores allow, as a ratio", f"{_most(found[1]):.2f}"),
        ]
    return report(
        "two_workers",
        rows,
        measured={"two_workers": ratios["no-op"]},
        jobs=LONGER * options.jobs,
        rounds=options.rounds,
        concurrency=options.concurrency,
        works=figures,
    )


def _rate(some: Sequence[Drained]) -> float:
    return median([one.jobs_per_s for one in some])


def _most(alone: Sequence[Drained]) -> float:
    """Return the most that two workers could reach, with all cores busy at the cost of one worker and Redis."""
    busy_us = median([one.worker_us + one.redis_us for one in alone])
    return (os.cpu_count() or 1) * 1e6 / busy_us / _rate(alone)


def _cpu(some: Sequence[Drained]) -> str:
    return f"{median([one.worker_us for one in some]):.1f} / {median([one.redis_us for one in some]):.1f}"
