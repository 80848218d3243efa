"""What signals mean to a service, from its first moment to its last.

A signal that nothing listens for kills a process where it stands, and has no effect at all on the first process of a
container. docs/operations.md has the table.
"""

import faulthandler
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import structlog

T = TypeVar("T")

STACK_SIGNALS = (signal.SIGUSR1, signal.SIGQUIT)
"""Each shows what every thread is doing, also of a process whose event loop hangs."""
_IDLE_SIGNALS = (signal.SIGUSR2,)
"""Each does nothing, and says so."""
_STDERR = 2


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that stop a service: SIGHUP is none where it was ignored from the start, as by `nohup`."""
    by_terminal = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGTERM, signal.SIGINT, *by_terminal)


def prepare_signals() -> None:
    """Keep signals from ending this process that are not meant to. Use it in the main thread, as early as can be."""
    for number in STACK_SIGNALS:
        # By number: whatever becomes of `sys.stderr`, and with the event loop stuck, this still writes.
        faulthandler.register(number, file=_STDERR, all_threads=True, chain=False)
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (*_IDLE_SIGNALS, signal.SIGALRM):
        # Not SIG_IGN, which the programs of a handler would inherit.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _do_nothing)


def ignore_late_signals() -> None:
    """Let no signal make a failure of an end that is as good as reached. For a process that starts no more others."""
    for number in (*stop_signals(), *_IDLE_SIGNALS):
        signal.signal(number, signal.SIG_IGN)


def _do_nothing(_number: int, _frame: object) -> None:
    """Outlive a signal."""


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
            if received in _IDLE_SIGNALS:
                log.info("signal ignored", signal=received.name)
            elif received is signal.SIGHUP and self.stop.is_set():
                # One terminal that closes sends several: the shell passes it on, and the kernel sends it as well.
                log.info("stopping already", signal=received.name)
            else:
                name, order = next(orders, ("stopping already", anyio.Event()))
                log.info(name, signal=received.name)
                order.set()


@asynccontextmanager
async def heed_stop_signals() -> AsyncIterator[StopOrders]:
    """Turn signals into orders for as long as the block lasts. Use it in the main thread."""
    orders = StopOrders()
    with anyio.open_signal_receiver(*stop_signals(), *_IDLE_SIGNALS) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orders._heed, signals)  # noqa: SLF001 - its own module
            yield orders
            tasks.cancel_scope.cancel()
