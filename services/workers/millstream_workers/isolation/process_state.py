"""The state of a process that a job may change for later jobs: compared before and after each job."""

import asyncio
import gc
import locale
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from _signal import getsignal  # type: ignore[import-not-found]  # twenty times as fast as that of `signal`
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import structlog

from millstream_workers.isolation.surroundings import current_umask

OWN_THREADS = "millstream-"
"""The prefixes of the names of the threads that this package starts."""

_SIGNALS = sorted(signal.valid_signals())
_LIMITS = [getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")]
_READ_BYTES = 65_536
_ENDING_S = 0.05
"""The time in which a thread that is about to end has to end."""


def _files() -> list[tuple[int, int]]:
    return [(one.st_dev, one.st_ino) for one in map(os.fstat, (0, 1, 2))]


def _logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.level, *map(id, root.handlers), *map(id, structlog.get_config().values())


_LOOKS: dict[str, Callable[[], Any]] = {
    "working directory": os.getcwd,
    "environment": lambda: (id(os.environ), os.environ._data.copy()),  # type: ignore[attr-defined]  # noqa: SLF001 - 50 times as fast
    "umask": current_umask,
    "signal handlers": lambda: list(map(getsignal, _SIGNALS)),
    "signal mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    "locale": lambda: locale.setlocale(locale.LC_ALL),
    "time zone": lambda: (time.tzname, time.timezone),
    "limits": lambda: [resource.getrlimit(limit) for limit in _LIMITS],
    "priority": lambda: os.getpriority(os.PRIO_PROCESS, 0),
    "user": lambda: (os.getresuid(), os.getresgid(), os.getgroups()) if sys.platform == "linux" else os.geteuid(),
    "standard files": lambda: (_files(), id(sys.stdin), id(sys.stdout), id(sys.stderr)),
    "logging": _logging,
    "event loop policy": lambda: type(asyncio.get_event_loop_policy()),
    "interpreter": lambda: (sys.getrecursionlimit(), gc.isenabled(), socket.getdefaulttimeout(), sys.path[:]),
}


class ProcessState:
    """A snapshot of the state of this process."""

    def __init__(self, tasks: Iterable[asyncio.Task[Any]] = ()) -> None:
        """Take the snapshot; `tasks` are those of the process's own loop."""
        self.values = {name: _look(look) for name, look in _LOOKS.items()}
        self.threads = {thread for thread in threading.enumerate() if not thread.name.startswith(OWN_THREADS)}
        self.processes = _processes()
        self.tasks = set(tasks)

    def changes_since(self, before: "ProcessState") -> tuple[str, ...]:
        """Return a word for each thing that has changed or was added."""
        changed = [name for name, value in self.values.items() if value != before.values[name]]
        if _left(self.threads - before.threads):
            changed.append("threads")
        if self.processes - before.processes:
            changed.append("processes")
        if self.tasks - before.tasks:
            changed.append("tasks")
        return tuple(changed)


def _look(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - a folder that was removed, a file that was closed
        return type(error)


def _left(threads: set[threading.Thread]) -> bool:
    """Whether one of these threads goes on. Those of an executor that is shut down may take _ENDING_S to end."""
    end_at = time.monotonic() + _ENDING_S
    for thread in threads:
        thread.join(max(0.0, end_at - time.monotonic()))
    return any(thread.is_alive() for thread in threads)


def _processes() -> set[int]:
    """Return the processes below this one, and those that were left to its guard (Linux)."""
    if sys.platform != "linux":
        return set()
    guard = os.getppid()
    found = _children(guard, guard) - {os.getpid()}
    if _has_children():
        for task in os.scandir("/proc/self/task"):
            found |= _children(os.getpid(), int(task.name))
    return {pid for pid in found if _runs(pid)}


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children(pid: int, task: int) -> set[int]:
    with suppress(OSError):
        children = os.open(f"/proc/{pid}/task/{task}/children", os.O_RDONLY)
        try:
            return {int(child) for child in os.read(children, _READ_BYTES).split()}
        finally:
            os.close(children)
    return set()


def _runs(pid: int) -> bool:
    """Whether a process runs: one that has ended and was not collected does no harm."""
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
        return stat.read().rpartition(b")")[2].split()[0] != b"Z"
    return False
