"""The scenarios of killed and of frozen processes."""

from collections.abc import Iterator

import anyio
from chaos.evidence import Evidence
from chaos.stage import Stage
from chaos.submitter import Wish

HELD_JOBS = 8


async def kills(stage: Stage) -> None:
    """Kill workers, dispatchers, reapers and ingests at random: every accepted job ends, effects at least once."""
    with anyio.move_on_after(stage.seconds):
        while True:
            await anyio.sleep(stage.rng.uniform(0.5, 2.0))
            # Workers twice as often as the others: they are the ones that hold something.
            kind = stage.rng.choice(("worker", "worker", "dispatcher", "reaper", "ingest"))
            await stage.kill(stage.any_of(kind))


async def kills_beside_redis(stage: Stage) -> None:
    """Kill services and Redis itself, which starts again with its data, at random."""
    with anyio.move_on_after(stage.seconds):
        while True:
            await anyio.sleep(stage.rng.uniform(0.5, 2.0))
            kind = stage.rng.choice(("worker", "worker", "dispatcher", "reaper", "ingest", "redis"))
            if kind != "redis":
                await stage.kill(stage.any_of(kind))
                continue
            async with stage.redis_dead():
                await anyio.sleep(stage.rng.uniform(0.1, 0.5))


async def zombie(stage: Stage) -> None:
    """SIGSTOP a worker past its lease, then SIGCONT: its commits are refused, each job has one result."""
    frozen_s = stage.timing.lease_s + stage.timing.interval_s + 1.5
    held = Wish(type="chaos.slow", seconds=(0.5, frozen_s - 0.5))
    ends_at = anyio.current_time() + stage.seconds
    while True:
        await stage.submitter.submit_many(held, HELD_JOBS * len(stage.fleet.of("worker")))
        async with stage.frozen(await stage.busy_worker(HELD_JOBS // 2)):
            await anyio.sleep(frozen_s)
        if anyio.current_time() + frozen_s > ends_at:
            return
        await anyio.sleep(stage.rng.uniform(0.5, 1.5))


def a_zombie_was_refused(evidence: Evidence) -> Iterator[str]:
    """Complain when no zombie tried to commit, because then nothing was shown."""
    if not any(not refusal.given_up for refusal in evidence.refusals):
        yield "no commit was refused: no worker that lost its leases had anything to commit"
