"""A handler process starts with the surroundings of its worker's start, below a guard that only its worker ends."""

import os
import resource
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from waiting import wait_until
from workers.plant import python_path, runs

from millstream_workers.isolation.guard import FOR_THE_WORKER
from millstream_workers.isolation.launcher import Launcher
from millstream_workers.isolation.pooled_process import PooledProcess
from millstream_workers.isolation.surroundings import Surroundings

NICE = 7
REFS = ("workers.upkeep_app:app",)


def status(pid: int, field: str) -> str:
    """Return a field of the status of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{field}:"))


def signals(pid: int, field: str) -> set[int]:
    """Return the signals in a mask of the status of a process."""
    mask = int(status(pid, field), 16)
    return {number for number in range(1, 65) if mask >> number - 1 & 1}


def files_of(pid: int) -> dict[int, str]:
    """Return the files that a process has open."""
    return {int(entry.name): str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}


def file_of(pid: int, number: int) -> os.stat_result:
    """Return what a file descriptor of a process stands for."""
    return Path(f"/proc/{pid}/fd/{number}").stat()


def nice_of(pid: int) -> int:
    """Return how nice a process is."""
    return os.getpriority(os.PRIO_PROCESS, pid)


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Launcher:
    """Return a launcher that has captured a niceness, an ignored and a blocked signal."""
    monkeypatch.setenv("PYTHONPATH", python_path())
    made = Launcher(REFS)
    made._surroundings = replace(
        made._surroundings,
        nice=made._surroundings.nice + NICE,
        ignored=[*made._surroundings.ignored, signal.SIGUSR2],
        blocked=[*made._surroundings.blocked, signal.SIGWINCH],
    )
    return made


@pytest.fixture
async def process(launcher: Launcher) -> AsyncIterator[PooledProcess]:
    """Yield a handler process that this launcher has started."""
    # As a handler of the worker that has ignored a signal since: that is nothing for later processes.
    before = signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
    try:
        started = await PooledProcess.start(launcher)
    finally:
        signal.signal(signal.SIGVTALRM, before)
    yield started
    await started.kill()
    launcher.close()


async def test_a_handler_process_has_the_niceness_and_the_signals_that_were_captured(process: PooledProcess) -> None:
    """Niceness, ignored and blocked signals are those of the worker at its start, whatever a handler changed since."""
    pid = process._pid
    assert nice_of(pid) == nice_of(os.getpid()) + NICE
    assert signal.SIGUSR2 in signals(pid, "SigIgn")
    assert signal.SIGVTALRM not in signals(pid, "SigIgn")
    assert signals(pid, "SigBlk") == {signal.SIGWINCH}
    assert not signals(pid, "SigIgn") & {*FOR_THE_WORKER}


async def test_a_guard_heeds_no_signal_that_is_for_the_whole_service(process: PooledProcess) -> None:
    """A guard goes on after the signals that reach every process of a service, and ends its process when it is told."""
    guard = process._guard.pid
    for number in (*FOR_THE_WORKER, signal.SIGUSR1, signal.SIGQUIT, signal.SIGALRM):
        os.kill(guard, number)
    await wait_until(lambda: not signals(guard, "SigPnd") | signals(guard, "ShdPnd"), "it has taken the signals")
    assert runs(guard)
    assert runs(process._pid)
    assert not process.has_ended
    await process.kill()
    assert not runs(process._pid)


async def test_a_guard_holds_neither_output_nor_channel(process: PooledProcess) -> None:
    """What reads the output of worker and handlers does not wait for a guard, nor does the end of the channel."""
    files = files_of(process._guard.pid)
    assert files[1] == files[2] == os.devnull
    assert not [name for name in files.values() if "socket" in name]


async def test_a_handler_process_reads_the_end_of_an_empty_input(process: PooledProcess) -> None:
    """The input of a handler process is empty, and not the orders for its guard."""
    assert files_of(process._pid)[0] == os.devnull


async def test_what_a_handler_prints_goes_to_the_error_output_of_its_worker(process: PooledProcess) -> None:
    """Output and error output of a handler process are the error output of the worker, whose output is its own."""
    wanted = os.fstat(2)
    assert all(os.path.samestat(file_of(process._pid, number), wanted) for number in (1, 2))


def test_the_surroundings_are_those_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is captured is the state of this process, and stays as it was when that changes."""
    monkeypatch.setenv("CAPTURED", "before")
    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
    try:
        found = Surroundings.capture()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR2, before)
    os.close(found.error_output)
    monkeypatch.setenv("CAPTURED", "after")
    assert found.environment["CAPTURED"] == "before"
    assert {*found.blocked} == {*mask, signal.SIGWINCH}
    assert signal.SIGUSR2 in found.ignored
    assert signal.SIGUSR1 not in found.ignored
    assert (found.folder, found.nice) == (str(Path.cwd()), nice_of(0))
    assert found.limits["RLIMIT_NOFILE"] == resource.getrlimit(resource.RLIMIT_NOFILE)
