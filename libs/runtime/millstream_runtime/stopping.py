"""Signals of a service, from its start to its end.

A signal without a handler kills a process at once, and has no effect on the first process of a container.
docs/operations.md has the table.
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
"""Signals that write the stack of every thread, also while the event loop hangs."""
_IDLE_SIGNALS = (signal.SIGUSR2,)
"""Signals that are logged and ignored."""
_STDERR = 2


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that stop a service; SIGHUP only where it was not ignored from the start, as by `nohup`."""
    by_terminal = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    return (signal.SIGTERM, signal.SIGINT, *by_terminal)


def prepare_signals() -> None:
    """Keep signals that are no order from ending this process. Call it in the main thread and first of all."""
    for number in STACK_SIGNALS:
        # By descriptor: this writes whatever `sys.stderr` has become, and while the event loop is stuck.
        faulthandler.register(number, file=_STDERR, all_threads=True, chain=False)
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (*_IDLE_SIGNALS, signal.SIGALRM):
        # Not SIG_IGN, which programs that a handler starts would inherit.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _do_nothing)


def ignore_late_signals() -> None:
    """Ignore signals for the rest of this process, so that none turns its end into a failure.

    For a process that starts no others any more: they would inherit it.
    """
    for number in (*stop_signals(), *_IDLE_SIGNALS):
        signal.signal(number, signal.SIG_IGN)


def _do_nothing(_number: int, _frame: object) -> None:
    """Ignore a signal."""


class StopOrders:
    """The orders of the first three signals; later signals are none."""

    def __init__(self) -> None:
        self.stop = anyio.Event()
        """Take no more work; let running work end."""
        self.hurry = anyio.Event()
        """Cut running work short."""
        self.abandon = anyio.Event()
        """Leave without waiting for anything."""

    async def unless_stopped(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """Return the result of a call, or None after cancelling it when the order to stop comes first."""
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
                # A terminal that closes sends several: one comes from the shell, one from the kernel.
                log.info("stopping already", signal=received.name)
            else:
                name, order = next(orders, ("stopping already", anyio.Event()))
                log.info(name, signal=received.name)
                order.set()


@asynccontextmanager
async def heed_stop_signals() -> AsyncIterator[StopOrders]:
    """Turn signals into orders while the block lasts. Call it in the main thread."""
    orders = StopOrders()
    with anyio.open_signal_receiver(*stop_signals(), *_IDLE_SIGNALS) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(orders._heed, signals)  # noqa: SLF001 - its own module
            yield orders
            tasks.cancel_scope.cancel()
