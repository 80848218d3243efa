"""The pool of handler processes holds nothing of processes that are gone, and none that it may not use."""

import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import msgspec
import pytest
from structlog.testing import capture_logs

from millstream_contracts import JobSpec
from millstream_workers.attempt.running import Running
from millstream_workers.errors import ProcessDiedError
from millstream_workers.isolation.frames import EndReport, Order, ReturnReport, StoppedReport
from millstream_workers.isolation.guard import FOR_THE_WORKER
from millstream_workers.isolation.launcher import Launcher
from millstream_workers.isolation.pooled_process import PooledProcess
from millstream_workers.isolation.process_pool import ProcessPool


def open_files() -> set[str]:
    """Return the files that this process has open, by number and name."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{entry.name} {entry.readlink()}")
        except OSError:
            continue  # the listing itself
    return found


class FakeProcess:
    """A process that ends its jobs with some reports, and notes what becomes of it."""

    def __init__(self, *reports: EndReport | Exception) -> None:
        self.reports = list(reports)
        self.fate: list[str] = []
        self.has_ended = False

    async def begin(self, order: Order, parent: object) -> None:
        """Begin a job."""

    async def end(self, running: Running) -> EndReport:
        """Return the next report, or raise it; without one wait for ever."""
        assert running.ask_process is not None
        if not self.reports:
            await anyio.sleep_forever()
        report = self.reports.pop(0)
        if isinstance(report, Exception):
            raise report
        return report

    async def stack(self) -> str:
        """Return where the handler is."""
        return "here"

    def stop(self) -> None:
        """Take the order to stop."""
        self.fate.append("stop")
        self.reports.append(StoppedReport(0))

    def finish(self) -> None:
        """Take the end of the job."""

    def dismiss(self) -> None:
        """Take the order to leave."""
        self.fate.append("dismiss")

    async def leave(self) -> None:
        """Take the order to leave, and end."""
        self.fate.append("leave")
        self.has_ended = True

    async def kill(self) -> None:
        """End."""
        self.fate.append("kill")
        self.has_ended = True


@pytest.fixture
async def pool():
    """Yield a pool whose processes are made by the test, and close it."""
    made = ProcessPool(())
    yield made
    await made.close()


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[FakeProcess]:
    """Return the processes that the pool will start, in their order."""
    coming: list[FakeProcess] = []

    async def start(launcher: object) -> FakeProcess:
        return coming.pop(0)

    monkeypatch.setattr(PooledProcess, "start", start)
    return coming


async def call(pool: ProcessPool, one: Running | None = None) -> Any:
    """Have the pool run a job."""
    return await pool.call("a.b", one or running(), None)


def running() -> Running:
    """Return a delivery of a job, as far as a pool needs it."""
    delivery: Any = SimpleNamespace(
        id="a.b_1", attempts=0, deliveries=1, spec=JobSpec(payload=msgspec.Raw(b"\xc0"), created_at_ms=0)
    )
    return Running(delivery)


CHANGED = ReturnReport(0, b"", changed=("umask", "threads"))


async def test_a_pool_forgets_the_processes_that_have_left(pool: ProcessPool, started: list[FakeProcess]) -> None:
    """Of the processes that were dismissed the pool holds those alone that have not ended yet."""
    processes = [FakeProcess(CHANGED) for _ in range(20)]
    started.extend(processes)
    for process in processes:
        with capture_logs() as logged:
            await call(pool)
        assert process.fate == ["dismiss"]
        process.has_ended = process is not processes[3]
    (line,) = logged
    told = {name: line[name] for name in ("event", "log_level", "type", "reason")}
    assert told == {
        "event": "handler process not used again", "log_level": "info", "type": "a.b", "reason": "umask, threads"
    }  # fmt: skip
    assert {*pool._leaving} == {processes[3], processes[-1]}


async def test_a_pool_that_closes_waits_for_idle_and_for_leaving_processes(started: list[FakeProcess]) -> None:
    """A pool that closes lets the idle processes leave, and those that were dismissed and have not ended."""
    pool = ProcessPool(())
    leaving, idle = FakeProcess(CHANGED), FakeProcess(ReturnReport(0, b""))
    started.extend([leaving, idle])
    await call(pool)
    await call(pool)
    await pool.close()
    assert (leaving.fate, idle.fate) == (["dismiss", "leave"], ["leave"])


async def test_an_idle_process_that_has_ended_is_not_used(pool: ProcessPool, started: list[FakeProcess]) -> None:
    """A job goes to an idle process that runs, and else to a new one."""
    first, second = FakeProcess(ReturnReport(0, b"1"), ReturnReport(0, b"2")), FakeProcess(ReturnReport(0, b"3"))
    started.extend([first, second])
    results = [(await call(pool)).blob, (await call(pool)).blob]
    first.has_ended = True
    assert [*results, (await call(pool)).blob] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("report", [ReturnReport(0, b""), ProcessDiedError("it has died")])
async def test_nothing_is_asked_of_the_process_of_a_job_that_has_ended(
    pool: ProcessPool, started: list[FakeProcess], report: ReturnReport | ProcessDiedError
) -> None:
    """A job that has ended, however it has, leaves no way to ask its process, which may run another one."""
    process, job = FakeProcess(report), running()
    started.append(process)
    if isinstance(report, ProcessDiedError):
        with pytest.raises(ProcessDiedError):
            await call(pool, job)
        assert process.fate == ["kill"]
    else:
        await call(pool, job)
    assert job.ask_process is None


async def test_a_launch_that_fails_leaves_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that cannot be started, as without memory, leaves neither files nor blocked signals behind."""
    launcher = Launcher(())

    def fail(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    before, mask = open_files(), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    monkeypatch.setattr(subprocess, "Popen", fail)
    with pytest.raises(OSError, match="no more processes"):
        launcher.launch()
    assert open_files() == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
    assert not mask & {*FOR_THE_WORKER}
    launcher.close()


async def test_a_pool_that_is_closed_has_no_file_open() -> None:
    """A pool that is closed, also twice, has closed what it held for the processes that it could have started."""
    before = open_files()
    pool = ProcessPool(())
    assert open_files() != before
    await pool.close()
    assert open_files() == before
    taken = os.open(os.devnull, os.O_RDONLY)  # most likely by the number that was closed
    await pool.close()
    os.close(taken)
