"""Runs a service that is nothing but duties, until it is told to stop."""

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import structlog

from millstream_runtime.duties import DutyRunner
from millstream_runtime.stopping import StopOrders


async def _nothing() -> None:
    """Stand for a service that has nothing beside its duties."""


async def run_duties(
    runner: DutyRunner, orders: StopOrders, *, beside: Callable[[], Coroutine[Any, Any, None]] = _nothing
) -> None:
    """Run duties until the order to stop; a pass that is under way is finished, if that does not take long.

    `beside` runs next to them and is cancelled at the end.
    """
    log = structlog.get_logger()
    log.info("started")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beside)
        await runner.run(orders.stop)
        tasks.cancel_scope.cancel()
    log.info("stopped")
