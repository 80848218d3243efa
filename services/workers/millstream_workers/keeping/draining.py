"""Stops a worker: it claims no new jobs, running ones end within the grace, and the rest are handed back.

An operator that asks a worker to drain is in no hurry: then the running ones take as long as they take, unless the
order to stop comes meanwhile.
"""

import math
from collections.abc import Callable, Iterable

import anyio
import structlog

from millstream_runtime import StopOrders
from millstream_workers.attempt.attempt_result import Interruption
from millstream_workers.attempt.running import Running
from millstream_workers.fetching.slots import Slots

STUBBORN_S = 1.0
"""A handler that goes on for this long after its time for clean-up is left behind, and its job is handed back."""


class Drain:
    """Waits for the order to stop, and for the running jobs after it."""

    def __init__(
        self,
        orders: StopOrders,
        slots: Slots,
        running: Callable[[], Iterable[Running]],
        *,
        asked: anyio.Event,
        grace_s: float,
        cleanup_s: float,
    ) -> None:
        """`asked` is set when an operator asks this worker to drain."""
        self._orders = orders
        self._asked = asked
        self._slots = slots
        self._running = running
        self._grace_s = grace_s
        self._cleanup_s = cleanup_s
        self._log = structlog.get_logger()

    async def run(self, on_stop: Callable[[], None]) -> list[Running]:
        """Return when the worker was told to stop and its handlers have ended. Returns: those that do not end.

        `on_stop` is called at the first order. A second one, or the end of the grace, stops what still runs.
        """
        await self._first_order()
        if not self._orders.stop.is_set():
            self._log.info("asked to drain", running=self._slots.busy)
            on_stop()
            await self._wait_idle(math.inf, self._orders.stop)
            if not self._orders.stop.is_set():
                return []
        else:
            on_stop()
        self._log.info("draining", running=self._slots.busy, grace_s=self._grace_s)
        await self._wait_idle(self._grace_s, self._orders.hurry)
        left = list(self._running())
        if left:
            self._log.warning("handing back", running=len(left))
        for running in left:
            running.interrupt(Interruption.DRAINING)
        await self._wait_idle(self._cleanup_s + STUBBORN_S)
        return list(self._running())

    async def _first_order(self) -> None:
        async with anyio.create_task_group() as tasks:
            for order in (self._orders.stop, self._asked):
                tasks.start_soon(self._cancel_at, order, tasks.cancel_scope)

    async def _wait_idle(self, within_s: float, cut_short: anyio.Event | None = None) -> None:
        with anyio.move_on_after(within_s):
            async with anyio.create_task_group() as tasks:
                if cut_short:
                    tasks.start_soon(self._cancel_at, cut_short, tasks.cancel_scope)
                await self._slots.wait_idle()
                tasks.cancel_scope.cancel()

    async def _cancel_at(self, event: anyio.Event, scope: anyio.CancelScope) -> None:
        await event.wait()
        scope.cancel()
