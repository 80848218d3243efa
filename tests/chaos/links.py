"""The scenarios of bad links: responses that are lost, and data that is late and little at a time."""

import anyio
from chaos.stage import Stage


async def duplicates(stage: Stage) -> None:
    """Send every request three times with its Idempotency-Key, while answers get lost: one job per key."""
    with anyio.move_on_after(stage.seconds):
        while True:
            await anyio.sleep(stage.rng.uniform(0.2, 0.6))
            await stage.cut(stage.any_of("ingest"))


async def slow_link(stage: Stage) -> None:
    """Delay and throttle between services and Redis: nothing is lost, nothing runs twice without a cause."""
    with anyio.move_on_after(stage.seconds):
        while True:
            service = stage.rng.choice(stage.fleet.services)
            delay_s, bytes_per_s = stage.rng.choice(((0.05, 0), (0.3, 0), (0.0, 20_000), (0.1, 50_000)))
            async with stage.slow(service, delay_s=delay_s, bytes_per_s=bytes_per_s):
                await anyio.sleep(stage.rng.uniform(1.0, 4.0))
