"""The guard of a handler process, which ends the process with all that it started.

Worker, guard and handler process are parent, child and grandchild. The guard forks the handler process, which leads a
session and a process group of its own, and adopts the processes that it leaves behind, daemons too (Linux). It ends all
of them when the handler process has ended, when the worker orders it, and when the worker has died; then it ends itself
with the status of the handler process. The ends of processes are watched directly and not by pipes, which other
processes may hold open.

It imports the standard library only: it is started for each handler process, and has to stay small.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress
from typing import Any

LEAVE, KILL = b"l", b"k"
"""The orders of a worker: let the process end by itself within `LEAVE_WITHIN_S`; kill it now."""

SIZE_BYTES = 4
"""The size of the length prefix of the settings, the first message of the worker."""

LEAVE_WITHIN_S = 2.0
"""The time that a process has to end by itself, after the order to leave or after the death of the worker."""

_LOOK_EVERY_S = 1.0
"""The interval at which the guard checks whether the worker lives, where no file descriptor shows it."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
FOR_THE_WORKER = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that reach every process of a service; the worker drains, and ends its handler processes when it is done."""

_UNCATCHABLE = {signal.SIGKILL, signal.SIGSTOP}


def main() -> None:
    """Fork the handler process, and guard it."""
    settings = _receive_settings()
    _restore(settings)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    guard = os.getpid()
    handler_process = os.fork()
    if handler_process == 0:
        _run_handlers(settings, guard)
    else:
        os.close(settings["channel"])
        _Guard(handler_process, settings["worker"]).run()


def _receive_settings() -> dict[str, Any]:
    """Read the first message of the worker: JSON behind its length."""
    with os.fdopen(0, "rb", buffering=0, closefd=False) as orders:
        settings: dict[str, Any] = json.loads(orders.read(int.from_bytes(orders.read(SIZE_BYTES))))
    return settings


def _restore(settings: dict[str, Any]) -> None:
    """Restore the surroundings that the worker had when it started, whatever its state is now."""
    for number in signal.valid_signals() - _UNCATCHABLE:
        if number in settings["ignored"]:
            signal.signal(number, signal.SIG_IGN)
        elif signal.getsignal(number) is signal.SIG_IGN and number not in {signal.SIGPIPE, signal.SIGXFSZ}:
            signal.signal(number, signal.SIG_DFL)
    for name, limits in settings["limits"].items():
        with suppress(ValueError, OSError):  # only root gets back a hard limit, or a better priority
            resource.setrlimit(getattr(resource, name), tuple(limits))
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, settings["nice"])


def _run_handlers(settings: dict[str, Any], guard: int) -> None:
    """Become the handler process. The launcher still blocks the signals that are for the worker."""
    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    from millstream_workers.isolation.handler_process import main as run_handlers  # noqa: PLC0415 - the guard stays small

    run_handlers(settings, sys.argv[1:])


def _wake(*_: object) -> None:
    """Let a signal end the wait for events, and nothing else."""


class _Guard:
    def __init__(self, handler_process: int, worker: int) -> None:
        self._handler_process = handler_process
        self._worker = worker
        self._status: int | None = None
        self._end_at: float | None = None
        """When to end the handler process (`time.monotonic`)."""
        self._poll = select.poll()

    def run(self) -> None:
        """Wait until the handler process or the worker ends, or the worker orders the end; then end the rest."""
        self._prepare()
        while self._status is None:
            for descriptor, _ in self._poll.poll(self._wait_ms()):
                self._look(descriptor)
            if os.getppid() != self._worker:
                self._leave_soon()
            if self._end_at is not None and time.monotonic() >= self._end_at:
                self._kill()
            self._reap()
        _end_children()
        _end_as(self._status)

    def _prepare(self) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (1, 2):  # a pipe of the worker's output has to end without the guard
            os.dup2(null, descriptor)
        for number in signal.valid_signals() - _UNCATCHABLE - {signal.SIGCHLD}:
            # A signal to all processes of a service is for the worker, which ends the guard when it has drained.
            with suppress(OSError):
                signal.signal(number, signal.SIG_IGN)
        self._bell, ringing = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(ringing, False)
        signal.set_wakeup_fd(ringing)
        signal.signal(signal.SIGCHLD, _wake)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        watched = _watch(self._worker)
        self._sees_worker = bool(watched)
        for descriptor in (0, self._bell, *watched):
            self._poll.register(descriptor, select.POLLIN)

    def _wait_ms(self) -> int | None:
        if self._end_at is None:
            return None if self._sees_worker else round(_LOOK_EVERY_S * 1000)
        return max(0, round((self._end_at - time.monotonic()) * 1000))

    def _look(self, descriptor: int) -> None:
        if descriptor == self._bell:
            with suppress(BlockingIOError):
                os.read(self._bell, 1024)
            return
        if descriptor == 0 and (order := os.read(0, 64)):
            if KILL in order:
                self._end_at = time.monotonic()
            else:
                self._leave_soon()
            return
        # End of file of the orders, or the end of the worker.
        self._poll.unregister(descriptor)
        self._leave_soon()

    def _leave_soon(self) -> None:
        if self._end_at is None:
            self._end_at = time.monotonic() + LEAVE_WITHIN_S

    def _kill(self) -> None:
        self._end_at = time.monotonic() + _LOOK_EVERY_S  # the kill is repeated: the process may not lead a group yet
        self._kill_group()
        with suppress(ProcessLookupError, PermissionError):
            os.kill(self._handler_process, signal.SIGKILL)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._handler_process, signal.SIGKILL)

    def _reap(self) -> None:
        """Collect ended processes. The number of a group stays its own while it has a process."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._handler_process:
                    self._status = status
                    self._kill_group()


def _watch(pid: int) -> list[int]:
    """Return a file descriptor that is readable once a process has ended; None where the system has no such thing."""
    try:
        return [os.pidfd_open(pid)]
    except (AttributeError, OSError):
        return []


def _end_children() -> None:
    """End the processes that the handler process left, until none is left."""
    pause_s = 0.001
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        for child in _children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.1)


def _children() -> list[int]:
    own, found = os.getpid(), []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError), open(f"{entry.path}/stat", "rb") as stat:  # noqa: PTH123 - pathlib is large
                if int(stat.read().rpartition(b")")[2].split()[1]) == own:
                    found.append(int(entry.name))
    return found


def _end_as(status: int) -> None:
    """End in the way that the handler process did, because the worker reads the status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        _prctl(_PR_SET_DUMPABLE, 0)  # it has dumped its core already
        if number not in _UNCATCHABLE:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    main()
