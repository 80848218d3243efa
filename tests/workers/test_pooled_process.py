"""A worker goes on whatever the process at the other end of a channel does or leaves undone."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from structlog.testing import capture_logs
from waiting import wait_until
from workers.plant import runs

from millstream_contracts import Progress
from millstream_workers.errors import ProcessDiedError
from millstream_workers.isolation import guard, pooled_process
from millstream_workers.isolation.crash_file import CrashFile
from millstream_workers.isolation.frames import (
    Order,
    ProgressReport,
    ReadyReport,
    Report,
    ReturnReport,
    StackOrder,
    StackReport,
    StopOrder,
    encode_frame,
)
from millstream_workers.isolation.guard import KILL, LEAVE
from millstream_workers.isolation.line_file import LineFile
from millstream_workers.isolation.pooled_process import PooledProcess

PROGRAM = """
import json, os, pathlib, sys, time
channel, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
def note(name, data):
    with (folder / name).open("ab") as file:
        file.write(data)
for step, value in json.loads((folder / "steps").read_text()):
    if step == "write":
        data = bytes.fromhex(value)
        while data:
            data = data[os.write(channel, data):]
    elif step == "close":
        os.close(channel)
    elif step == "read":
        note("read", os.read(channel, 65536) or b"the end")
    elif step == "take":
        while value:
            value -= len(os.read(channel, min(value, 65536)))
    elif step == "order":
        note("orders", os.read(0, 1))
    elif step == "stay":
        time.sleep(600)
    else:
        os._exit(value)
"""

STAY = ("stay", None)
READ = ("read", None)
ORDER = ("order", None)
CLOSE = ("close", None)


def said(*reports: Report) -> tuple[str, str]:
    """Return the step of a program that sends reports."""
    return "write", b"".join(map(encode_frame, reports)).hex()


READY = said(ReadyReport(0, 0))


class Actor:
    """Launches a program that takes steps in the place of a handler process and its guard."""

    def __init__(self, folder: Path, *steps: tuple[str, Any]) -> None:
        self.folder = folder
        (folder / "steps").write_text(json.dumps(steps))
        self.program: subprocess.Popen[bytes] | None = None

    def launch(self) -> tuple["subprocess.Popen[bytes]", socket.socket, CrashFile, LineFile]:
        """Start the program, as a launcher does."""
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-S", "-c", PROGRAM, str(number), str(self.folder)]
            self.program = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(number,), bufsize=0)
        ours.setblocking(False)
        return self.program, ours, CrashFile(), LineFile(0)

    async def start(self) -> PooledProcess:
        """Start the program and wait until it says that it is ready."""
        return await PooledProcess.start(self)  # type: ignore[arg-type]

    @property
    def status(self) -> int | None:
        """How the program has ended."""
        assert self.program is not None
        return self.program.returncode

    def noted(self, name: str) -> bytes:
        """Return what the program has read."""
        path = self.folder / name
        return path.read_bytes() if path.exists() else b""


def order(number: int) -> Order:
    """Return an order to run a job."""
    return Order(number, "email.send", "email.send_1", 1, 1, b"", None)


def running() -> Any:
    """Return what a worker knows of a job that runs."""
    return SimpleNamespace(progress=None, stack="", secrets=None)


async def test_a_process_that_is_never_ready_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that does not get ready in its time is ended, and its job learns why."""
    monkeypatch.setattr(pooled_process, "START_WITHIN_S", 0.1)
    actor = Actor(tmp_path, ORDER)
    with pytest.raises(ProcessDiedError, match=r"was not ready within 0\.1 s"):
        await actor.start()
    assert actor.noted("orders") == KILL
    assert actor.status == 0


async def test_a_process_that_closes_its_channel_and_goes_on_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that can no longer report and does not end is told of as such, and is ended."""
    monkeypatch.setattr(pooled_process, "DEAF_S", 0.1)
    actor = Actor(tmp_path, CLOSE, ORDER)
    with pytest.raises(ProcessDiedError, match="closed its connection to the worker"):
        await actor.start()
    assert actor.noted("orders") == KILL


async def test_a_process_that_closes_its_channel_before_it_ends_is_told_of_by_its_end(tmp_path: Path) -> None:
    """The status of a process that is about to end is worth the wait."""
    with pytest.raises(ProcessDiedError, match="exited with status 3"):
        await Actor(tmp_path, CLOSE, ("exit", 3)).start()


async def test_what_is_left_unsaid_floods_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that writes more than any frame has without one that is whole is taken for one that is deaf."""
    monkeypatch.setattr(pooled_process, "MAX_FRAME_BYTES", 1024)
    monkeypatch.setattr(pooled_process, "DEAF_S", 0.1)
    flood = (1 << 20).to_bytes(4) + bytes(10_000)
    actor = Actor(tmp_path, READY, READ, ("write", flood.hex()), STAY)
    process = await actor.start()
    with pytest.raises(ProcessDiedError, match="closed its connection"):
        await process.begin(order(1), None)
    await kill(process, monkeypatch)


async def kill(process: PooledProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """End a process that heeds no order."""
    monkeypatch.setattr(pooled_process, "END_WITHIN_S", 0.1)
    await process.kill()


async def test_a_guard_that_heeds_no_order_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that does not end its process in time is ended itself, and the process counts as gone after that."""
    actor = Actor(tmp_path, READY, STAY)
    process = await actor.start()
    assert not process.has_ended
    await kill(process, monkeypatch)
    assert process.has_ended
    assert actor.status == -signal.SIGKILL


async def test_a_guard_that_is_told_to_end_its_process_is_given_its_time(tmp_path: Path) -> None:
    """A guard that ends after the order is not killed."""
    actor = Actor(tmp_path, READY, ORDER, ("exit", 7))
    process = await actor.start()
    await process.kill()
    assert (actor.noted("orders"), actor.status) == (KILL, 7)


async def test_a_process_that_is_to_leave_is_told_twice(tmp_path: Path) -> None:
    """A process that is not needed reads the end of its orders, so that it closes its apps; its guard hears of it."""
    actor = Actor(tmp_path, READY, READ, ORDER, ("exit", 0))
    process = await actor.start()
    await process.leave()
    assert (actor.noted("read"), actor.noted("orders"), actor.status) == (b"the end", LEAVE, 0)


async def test_a_process_that_does_not_leave_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was told to leave and stays is killed, so that its worker can end."""
    for name in ("LEAVE_WITHIN_S", "END_WITHIN_S"):
        monkeypatch.setattr(pooled_process, name, 0.1)
    actor = Actor(tmp_path, READY, ORDER, ORDER, ("exit", 0))
    process = await actor.start()
    await process.leave()
    assert (actor.noted("orders"), actor.status) == (LEAVE + KILL, 0)


async def test_reports_of_an_earlier_job_are_passed_over(tmp_path: Path) -> None:
    """A late report is never taken for that of the job that runs, and that job's own reports are all heard."""
    late, own = ReturnReport(1, b"late"), ReturnReport(2, b"own")
    progress = ProgressReport(1, Progress(10.0)), ProgressReport(2, Progress(50.0))
    reports = said(late, ReadyReport(2), *progress, StackReport(2, "told to stop"), late, own)
    actor = Actor(tmp_path, READY, READ, reports, ORDER)
    process, job = await actor.start(), running()
    await process.begin(order(2), None)
    assert await process.end(job) == own
    assert (job.progress, job.stack) == (Progress(50.0), "told to stop")
    await process.kill()


async def test_all_who_ask_where_a_handler_is_are_answered(tmp_path: Path) -> None:
    """One report of where a handler is answers all who asked, is none of a job that is stopped, and is not kept."""
    asked = StackReport(1, "here", is_asked=True)
    actor = Actor(tmp_path, READY, READ, said(ReadyReport(1)), READ, said(asked, ReturnReport(1, b"")), ORDER)
    process, job, found = await actor.start(), running(), list[str]()
    await process.begin(order(1), None)

    async def ask() -> None:
        found.append(await process.stack())

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(ask)
        await process.end(job)
    assert (found, job.stack, process._stack_waiters) == (["here", "here"], "", [])
    await process.kill()


async def test_an_order_that_is_larger_than_the_channel_arrives_as_a_whole(tmp_path: Path) -> None:
    """An order that the channel takes in parts is sent to its end, before the next one, while the process reads."""
    large = Order(1, "email.send", "email.send_1", 1, 1, bytes(3 << 20), None)
    size = len(encode_frame(large)) + len(encode_frame(StopOrder(1)))
    actor = Actor(tmp_path, READY, ("take", size), said(ReadyReport(1)), ORDER)
    process = await actor.start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process.begin, large, None)
        await anyio.lowlevel.checkpoint()
        process.stop()
    await process.kill()
    assert actor.noted("orders") == KILL


async def test_a_question_that_the_end_of_a_job_leaves_is_not_answered_for_the_next_one(tmp_path: Path) -> None:
    """Who still asks where a handler is when its job ends is told nothing, and never where that of the next job is."""
    asked = StackReport(2, "of the second", is_asked=True)
    first, second = said(ReturnReport(1, b"")), said(asked, ReturnReport(2, b""))
    steps = (said(ReadyReport(1)), READ, first, READ, said(ReadyReport(2)), READ, second, ORDER)
    process, found = await Actor(tmp_path, READY, READ, *steps).start(), list[str]()

    async def run(number: int) -> None:
        await process.begin(order(number), None)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await process.end(running())
            process.finish()

    async def ask() -> None:
        found.append(await process.stack())

    await run(1)
    await run(2)
    assert found == ["", "of the second"]
    await process.kill()


async def test_who_no_longer_asks_where_a_handler_is_is_passed_over(tmp_path: Path) -> None:
    """A question that was given up hinders neither the answer to another one nor the end of the job."""
    answer = said(StackReport(1, "here", is_asked=True), ReturnReport(1, b""))
    both_questions = ("take", 2 * len(encode_frame(StackOrder(1))))
    process = await Actor(tmp_path, READY, READ, said(ReadyReport(1)), both_questions, answer, ORDER).start()
    found: list[str] = []
    await process.begin(order(1), None)

    async def ask() -> None:
        found.append(await process.stack())

    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(0):
            await process.stack()
        tasks.start_soon(ask)
        assert await process.end(running()) == ReturnReport(1, b"")
    assert found == ["here"]
    await process.kill()


async def test_a_process_may_report_more_in_all_than_the_largest_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the worker has read does not count: only a flood in which no frame ends makes a process deaf."""
    monkeypatch.setattr(pooled_process, "MAX_FRAME_BYTES", 1 << 17)
    reports = [ProgressReport(1, Progress(number / 100, "x" * 100)) for number in range(8_000)]
    last = said(*reports, ReturnReport(1, b"own"))
    assert len(last[1]) // 2 > 3 * pooled_process.MAX_FRAME_BYTES
    process = await Actor(tmp_path, READY, READ, said(ReadyReport(1)), last, ORDER).start()
    await process.begin(order(1), None)
    assert await process.end(running()) == ReturnReport(1, b"own")
    await process.kill()


async def test_what_a_process_has_reported_before_its_end_is_read_after_it(tmp_path: Path) -> None:
    """A report of more than one read that lies in the channel when the end of its process is known is not lost."""
    report = ReturnReport(1, bytes(100_000))
    actor = Actor(tmp_path, READY, READ, said(ReadyReport(1)), READ, said(report), ("exit", 0))
    process = await actor.start()
    await process.begin(order(1), None)
    process.stop()
    assert actor.program is not None
    actor.program.wait()  # the loop reads nothing meanwhile
    assert await process.end(running()) == report
    await process.kill()


async def test_a_process_whose_status_was_taken_has_ended_without_one(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Where a handler of the worker ignores SIGCHLD, the end of a process is told without a wrong status."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    request.addfinalizer(lambda: signal.signal(signal.SIGCHLD, before))
    with pytest.raises(ProcessDiedError, match=r"the handler's process ended$"):
        await Actor(tmp_path, CLOSE, ("exit", 3)).start()


async def test_a_process_that_nothing_ends_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs in the kernel does not keep its worker waiting, which logs its number."""
    actor = Actor(tmp_path, said(ReadyReport(0, 4711)), STAY)
    process = await actor.start()
    assert actor.program is not None
    end = actor.program.kill
    monkeypatch.setattr(actor.program, "kill", lambda: None)
    with capture_logs() as logged:
        await kill(process, monkeypatch)
    assert [(line["event"], line["pid"]) for line in logged] == [("handler process does not end", 4711)]
    assert not process.has_ended
    end()
    await wait_until(lambda: process.has_ended, "the end of the guard is known")


def test_times_of_a_process_have_their_magnitude() -> None:
    """A start may take minutes, an end some seconds: a worker that leaves waits for it, and its grace is 30 s."""
    assert 60.0 <= pooled_process.START_WITHIN_S <= 900.0
    assert 1.0 <= pooled_process.DEAF_S <= 10.0
    assert 1.0 <= guard.LEAVE_WITHIN_S <= 5.0
    assert 1.0 <= pooled_process.END_WITHIN_S <= 10.0
    assert guard.LEAVE_WITHIN_S + 2 * pooled_process.END_WITHIN_S < 30.0


def sleeper() -> "subprocess.Popen[bytes]":
    """Start a process with a group of its own."""
    return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)


async def test_a_process_whose_guard_alone_was_killed_is_ended_with_its_group(tmp_path: Path) -> None:
    """Where the guard is killed, the worker ends the group of the handler process."""
    group = sleeper()
    actor = Actor(tmp_path, said(ReadyReport(0, group.pid)), STAY)
    process = await actor.start()
    assert actor.program is not None
    actor.program.kill()
    await wait_until(lambda: process.has_ended, "the end of the guard is known")
    assert group.wait(20) == -signal.SIGKILL
    assert not runs(group.pid)
