"""How a worker stops: no new jobs, running ones finish within the grace, the rest goes back at once."""

import signal
from collections.abc import AsyncIterator, Callable, Iterable

import anyio
import structlog

from millstream_workers.happenings import Interruption
from millstream_workers.running import Running
from millstream_workers.slots import Slots

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Drain:
    """Waits for a signal to stop, and for the running jobs after it."""

    def __init__(self, slots: Slots, running: Callable[[], Iterable[Running]], grace_s: float) -> None:
        self._slots = slots
        self._running = running
        self._grace_s = grace_s
        self._log = structlog.get_logger()

    async def run(self, on_stop: Callable[[], None]) -> None:
        """Return when the worker has been told to stop and no handler runs any more.

        `on_stop` is called at the first signal. A second one, or the end of the grace, hands back what still runs.
        """
        with anyio.open_signal_receiver(*STOP_SIGNALS) as signals:
            async for received in signals:
                self._log.info("draining", signal=received.name, running=self._slots.busy, grace_s=self._grace_s)
                break
            on_stop()
            with anyio.move_on_after(self._grace_s):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._cut_short, signals, tasks.cancel_scope)
                    await self._slots.wait_idle()
                    tasks.cancel_scope.cancel()
        left = list(self._running())
        if left:
            self._log.warning("handing back", running=len(left))
        for running in left:
            running.interrupt(Interruption.DRAINING)
        await self._slots.wait_idle()

    async def _cut_short(self, signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
        async for _ in signals:
            scope.cancel()
            return
