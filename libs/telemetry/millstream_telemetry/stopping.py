"""Hears the signals to stop, from the first moment of a service to its last.

A signal that nobody listens for kills a process where it stands, and has no effect at all on the first process of a
container.
"""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import structlog

T = TypeVar("T")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopOrders:
    """What the first three signals mean; later ones mean nothing more."""

    def __init__(self) -> None:
        self.stop = anyio.Event()
        """Take no more work; let what runs end in its time."""
        self.hurry = anyio.Event()
        """Cut short what still runs."""
        self.abandon = anyio.Event()
        """Wait for nothing any more."""

    async def unless_stopped(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Return what a call returns; None when the order to stop comes first, and then the call is cancelled."""
        result: T | None = None
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await self.stop.wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(cancel)
            result = await call()
            tasks.cancel_scope.cancel()
        return result

    async def _heed(self, signals: AsyncIterator[signal.Signals]) -> None:
        log = structlog.get_logger()
        orders = iter((("stopping", self.stop), ("hurrying", self.hurry), ("abandoning", self.abandon)))
        async for received in signals:
            name, order = next(orders, ("stopping already", anyio.Event()))
            log.info(name, signal=received.name)
            order.set()


@asynccontextmanager
async def heed_stop_signals() -> AsyncIterator[StopOrders]:
    """Turn SIGTERM and SIGINT into orders for as long as the block lasts. Use it in the main thread."""
    orders = StopOrders()
    with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orders._heed, signals)  # noqa: SLF001 - its own module
            yield orders
            tasks.cancel_scope.cancel()
