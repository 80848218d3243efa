"""Makes a handler process ignore the signals that a service manager sends to every process of a service.

The worker drains, and ends its handler processes when it is done. A process that a handler forks handles these signals
again, as a script's children do: `Process.terminate()` of multiprocessing relies on that.
"""

import os
import signal
import threading
from collections.abc import Iterable
from typing import Any

from millstream_workers.isolation.guard import FOR_THE_WORKER

_before_fork = threading.local()


def leave_signals_to_the_worker(blocked: Iterable[int]) -> None:
    """Ignore these signals from now on; the launcher has held them back so far. `blocked` ones stay blocked."""
    for number in FOR_THE_WORKER:
        signal.signal(number, _ignore)  # not SIG_IGN, which the programs of a handler would inherit
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_restore_handlers)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _ignore(*_: object) -> None:
    """Ignore a signal."""


def _block() -> None:
    # A signal that reaches the child before its handlers are restored would be lost.
    _before_fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_THE_WORKER)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _before_fork.mask)


def _restore_handlers() -> None:
    for number in FOR_THE_WORKER:
        if signal.getsignal(number) is _ignore:
            usual: Any = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
    _unblock()
