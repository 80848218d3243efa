"""Watches queues with limits: no job that may start waits beside idle workers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
from chaos.gatherer import in_hand
from chaos.stage import Stage
from redis.exceptions import RedisError

from millstream_contracts import Queue
from millstream_streams import StoreError

LOOK_EVERY_S = 0.2


@asynccontextmanager
async def watching(stage: Stage, queues: Sequence[Queue]) -> AsyncIterator[None]:
    """Watch queues while the block lasts, with patience for what a killed worker holds."""
    async with anyio.create_task_group() as tasks:
        for queue in queues:
            tasks.start_soon(watch, stage, queue, 2 * stage.timing.lease_s + stage.timing.interval_s)
        yield
        tasks.cancel_scope.cancel()


async def watch(stage: Stage, queue: Queue, patience_s: float) -> None:
    """Complain when jobs that may start wait in lanes beside idle workers, and for so long nothing happens to any."""
    since, seen = anyio.current_time(), -1
    while True:
        await anyio.sleep(LOOK_EVERY_S)
        try:
            depths = await stage.broker.store.measure(queue)
            busy = sum((await in_hand(stage.broker)).values())
            happened = await _happened(stage, queue)
        except (RedisError, StoreError):  # it is dead just now, and nothing can start
            since = anyio.current_time()
            continue
        may_start = depths.parked > depths.unstartable
        if not may_start or happened != seen or busy >= stage.timing.concurrency:
            since, seen = anyio.current_time(), happened
        elif anyio.current_time() - since > patience_s:
            stage.expect(None, f"{depths.parked} jobs of {queue.tag} wait for {patience_s:g} s beside idle workers")
            since = anyio.current_time()


async def _happened(stage: Stage, queue: Queue) -> int:
    """Return how many events there are of a queue: nothing starts without one."""
    return int(await stage.broker.client.xlen(stage.broker.keys.of(queue).events))
