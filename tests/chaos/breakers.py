"""The scenario of unique jobs and of a circuit breaker, under which every service and Redis itself are killed."""

from collections.abc import Iterator

import anyio
from chaos.effects import DOWN
from chaos.evidence import Evidence
from chaos.kills import kills_beside_redis
from chaos.stage import Stage
from chaos.standstill import watching
from chaos.submitter import Wish
from chaos.unique_jobs import SOLE

from millstream_contracts import DEFAULT_TENANT, Breaker, BreakerState, JobType, Queue, QueueLimits

BREAKABLE = Queue(DEFAULT_TENANT, JobType("chaos.brittle"))
_BREAKER = Breaker(ratio=0.5, window_s=4.0, minimum=4, cool_down_s=1.0, cap_s=2.0, probes=2)
BRITTLE = Wish(type=BREAKABLE.type, weight=40, seconds=(0.05, 0.3))
MIX = (SOLE, BRITTLE)
TURNS_WITHIN_S = 30.0
"""The time within which the breaker must open, and close again: it may have to wait for leases of killed workers."""
OPENED = "breaker opened"


async def flow(stage: Stage) -> None:
    """Kill every service and Redis beside unique jobs and a breaker: no key has two jobs, and no job stands still."""
    await set_breaker(stage)
    async with watching(stage, [BREAKABLE]), anyio.create_task_group() as faults:
        faults.start_soon(kills_beside_redis, stage.apart("kills"))
        await break_and_mend(stage)


async def set_breaker(stage: Stage) -> None:
    """Give one type a circuit breaker."""
    await stage.broker.registry.add_queues([BREAKABLE])
    await stage.broker.settings.limit(BREAKABLE, QueueLimits(breaker=_BREAKER))


async def break_and_mend(stage: Stage) -> None:
    """Let what the jobs need be away until the breaker has opened, and be there again until it has closed."""
    ends_at, opened = anyio.current_time() + stage.seconds, 0
    while opened == 0 or anyio.current_time() < ends_at:
        word = stage.fleet.effects / DOWN
        word.touch()
        await _turns(stage, {BreakerState.OPEN, BreakerState.HALF_OPEN}, "open")
        opened += 1
        await anyio.sleep(stage.rng.uniform(0.0, 2.0))
        word.unlink()
        await _turns(stage, {BreakerState.CLOSED}, "closed")
    stage.figures[OPENED] = f"{opened} times"


async def _turns(stage: Stage, states: set[BreakerState], words: str) -> None:
    async def has_turned() -> bool:
        return (await stage.broker.store.measure(BREAKABLE)).breaker in states

    await stage.wait(has_turned, f"the breaker is {words}", TURNS_WITHIN_S)


def attempts_were_spared(evidence: Evidence) -> Iterator[str]:
    """Complain when no job of the type failed, because then no breaker opened and nothing was shown."""
    if not any(job.attempts > 1 for job in evidence.jobs.values() if job.type == BREAKABLE.type):
        yield f"no attempt of {BREAKABLE.type} failed: nothing was shown"
