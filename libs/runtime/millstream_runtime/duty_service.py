"""Runs a service that consists of duties until the order to stop."""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import structlog

from millstream_runtime.duties import DutyRunner
from millstream_runtime.stopping import StopOrders


async def _nothing() -> None:
    """Run nothing beside the duties."""


async def run_duties(
    runner: DutyRunner, orders: StopOrders, *, beside: Callable[[], Coroutine[Any, Any, None]] = _nothing
) -> None:
    """Run duties until the order to stop; the runner finishes passes that are under way, or cuts them off.

    `beside` runs concurrently and is cancelled at the end.
    """
    log = structlog.get_logger()
    log.info("started")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beside)
        await runner.run(orders.stop)
        tasks.cancel_scope.cancel()
    log.info("stopped")
