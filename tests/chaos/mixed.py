"""The scenario of all faults in a random order, of processes and of links side by side."""

from collections.abc import Awaitable, Callable

import anyio
from chaos.stage import Stage

Deed = Callable[[Stage], Awaitable[object]]


async def mixed(stage: Stage) -> None:
    """Let all faults storm at once, by the seed, for as long as there is time: all promises hold."""
    with anyio.move_on_after(stage.seconds):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_storm, stage.apart("processes"), PROCESS_DEEDS, (0.5, 3.0))
            tasks.start_soon(_storm, stage.apart("links"), LINK_DEEDS, (0.3, 1.5))


async def _storm(stage: Stage, deeds: dict[Deed, int], pause_s: tuple[float, float]) -> None:
    while True:
        await anyio.sleep(stage.rng.uniform(*pause_s))
        [deed] = stage.rng.choices(list(deeds), list(deeds.values()))
        await deed(stage)


async def _kill(stage: Stage) -> None:
    await stage.kill(stage.rng.choice(stage.fleet.services))


async def _terminate(stage: Stage) -> None:
    await stage.terminate(stage.rng.choice(stage.fleet.services))


async def _freeze(stage: Stage) -> None:
    async with stage.frozen(stage.any_of("worker")):
        await anyio.sleep(stage.rng.uniform(0.5, stage.timing.lease_s + 2.0))


async def _cut(stage: Stage) -> None:
    await stage.cut(stage.rng.choice(stage.fleet.services))


async def _take_away(stage: Stage) -> None:
    how = stage.rng.choice(("refuse", "swallow"))
    async with stage.away(stage.rng.choice(stage.fleet.services), how):
        await anyio.sleep(stage.rng.uniform(0.5, 5.0))


async def _take_away_all(stage: Stage) -> None:
    async with stage.all_away(stage.rng.choice(("refuse", "swallow"))):
        await anyio.sleep(stage.rng.uniform(0.5, 3.0))


async def _slow(stage: Stage) -> None:
    async with stage.slow(stage.rng.choice(stage.fleet.services), delay_s=0.1, bytes_per_s=50_000):
        await anyio.sleep(stage.rng.uniform(0.5, 3.0))


async def _restart_redis(stage: Stage) -> None:
    async with stage.redis_dead():
        await anyio.sleep(stage.rng.uniform(0.1, 2.0))


async def _fill_redis(stage: Stage) -> None:
    async with stage.redis_full():
        await anyio.sleep(stage.rng.uniform(0.5, 2.0))


PROCESS_DEEDS: dict[Deed, int] = {_kill: 4, _terminate: 2, _freeze: 2}
LINK_DEEDS: dict[Deed, int] = {_cut: 4, _take_away: 3, _take_away_all: 1, _slow: 2, _restart_redis: 2, _fill_redis: 1}
"""How often each is drawn. One runs at a time, because healing one must not heal another."""
