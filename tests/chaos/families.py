"""The scenario of jobs that wait for others: each starts once, after all of them, whichever processes are killed."""

from collections.abc import Iterator

import anyio
from chaos.evidence import Evidence
from chaos.kills import kills
from chaos.stage import Stage
from chaos.submitter import Wish

PARENTS = (
    Wish(type="chaos.quick"),
    Wish(type="chaos.spread"),
    Wish(type="chaos.slow", seconds=(0.2, 2.0)),
    Wish(type="chaos.flaky", times=(1, 2)),
    Wish(type="chaos.hopeless"),
)
CHILDREN = ("chaos.quick", "chaos.spread")
MOST_PARENTS = 4
FAMILIES_PER_S = 6.0


async def dependencies(stage: Stage) -> None:
    """Kill every service while jobs wait for others: each starts once, and after all that it waits for."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_found_families, stage.apart("families"))
        await kills(stage)


async def _found_families(stage: Stage) -> None:
    ends_at = anyio.current_time() + stage.seconds
    async with anyio.create_task_group() as tasks:
        while anyio.current_time() < ends_at:
            tasks.start_soon(_found_family, stage)
            await anyio.sleep(stage.rng.uniform(0.5, 1.5) / FAMILIES_PER_S)


async def _found_family(stage: Stage) -> None:
    """Submit some jobs, one that waits for all of them, and one that waits for that one."""
    parents: list[str] = []
    for _ in range(stage.rng.randint(1, MOST_PARENTS)):
        parents += (await stage.submitter.submit(stage.rng.choice(PARENTS))).ids
    for _ in range(2):
        if parents:
            child = Wish(type=stage.rng.choice(CHILDREN), after=tuple(parents))
            parents = [*(await stage.submitter.submit(child)).ids]


def some_job_waited(evidence: Evidence) -> Iterator[str]:
    """Complain when no job waited for another, because then nothing was shown."""
    if not any(entry.after and entry.ids for entry in evidence.ledger.entries):
        yield "no job waited for another"


def describe_families(evidence: Evidence) -> str:
    """Return how many jobs waited, and for how many."""
    waited = [entry.after for entry in evidence.ledger.entries if entry.after and entry.ids]
    return f"{len(waited)}, for {sum(map(len, waited))} others"
