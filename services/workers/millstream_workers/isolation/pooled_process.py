"""One handler process, from the side of its worker."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial

import anyio
import structlog

from millstream_contracts import UNDECODABLE, KeptLines
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.secret_texts import progress_without
from millstream_workers.children.ask_desk import AskDesk
from millstream_workers.children.running_parent import RunningParent
from millstream_workers.errors import ProcessDiedError, RemoteError
from millstream_workers.isolation.crash_file import CrashFile
from millstream_workers.isolation.frames import (
    MAX_FRAME_BYTES,
    AnswerPart,
    AnyOrder,
    AskPart,
    EndReport,
    FailureReport,
    FrameBuffer,
    Order,
    ProgressReport,
    ReadyReport,
    Report,
    StackOrder,
    StackReport,
    StopOrder,
    decode_report,
    encode_frame,
)
from millstream_workers.isolation.guard import KILL, LEAVE, LEAVE_WITHIN_S
from millstream_workers.isolation.launcher import Launcher
from millstream_workers.isolation.line_file import LineFile

START_WITHIN_S = 300.0
"""How long a process may take to load its apps. Without a bound one that hangs would keep its job for ever."""

DEAF_S = 5.0
"""How long a process that can no longer report may go on: it may be another program by now, about to end."""

END_WITHIN_S = 5.0
"""How long a guard may take to end its process, before the worker goes on without it."""

_READ_BYTES = 65_536


class NotBegunError(ProcessDiedError):
    """The process ended before it called the handler."""

    # Errors of jobs are stored with the names of their types: this one keeps the name that it has had.
    __module__ = "millstream_workers.pooled_process"


class PooledProcess:
    """Runs one job at a time in a process. Lives on the event loop."""

    def __init__(
        self, guard: "subprocess.Popen[bytes]", channel: socket.socket, crashes: CrashFile, lines: LineFile
    ) -> None:
        self._guard = guard
        self._crashes = crashes
        self._lines = lines
        self._last_lines: KeptLines | None = None
        """Of the job that it ran when it ended."""
        self._crash = ""
        """Where a signal has ended it, as text."""
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._frames = FrameBuffer()
        self._unread_bytes = 0
        self._news = asyncio.Event()
        self._is_deaf = False
        """Whether the channel is closed at the other end."""
        self._has_ended = asyncio.Event()
        self._has_lost_status = False
        """Whether only the end of the process is known, and not its status."""
        self._pid = 0
        self._stack_waiters: list[asyncio.Future[str]] = []
        self._number = 0
        """The number of the current order."""
        self._desk: AskDesk | None = None
        """What answers its handler."""
        self._loop.add_reader(channel.fileno(), self._read)
        threading.Thread(target=self._watch, name="process-watch", daemon=True).start()

    @classmethod
    async def start(cls, launcher: Launcher) -> "PooledProcess":
        """Start a process and wait until it has loaded the apps. Raises: OSError, ProcessDiedError, RemoteError."""
        process = cls(*launcher.launch())
        try:
            await process._wait_started()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await process.kill()
            raise
        return process

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone, with all that it started."""
        return self._has_ended.is_set()

    async def begin(self, order: Order, parent: RunningParent | None) -> None:
        """Send it a job; return when its handler is about to be called. Raises: NotBegunError, RemoteError.

        `parent` stands for the job where it submits others.
        """
        self._number = order.number
        self._desk = None if parent is None else AskDesk(parent, partial(self._reply, order.number))
        self._send(order)
        try:
            await self._wait_ready()
        except ProcessDiedError as error:
            raise NotBegunError(str(error)) from None

    async def end(self, running: Running) -> EndReport:
        """Return how its job has ended. Raises: ProcessDiedError."""
        while True:
            report = await self._receive()
            match report:
                case ProgressReport(progress=progress):
                    running.progress = progress_without(progress, running.secrets)
                case StackReport(stack=stack, is_asked=True):
                    self._answer_stack(stack)
                case StackReport(stack=stack):
                    running.stack = stack
                case ReadyReport():
                    pass  # of a job that was stopped before its handler was called
                case AskPart():
                    self._take(report)
                case _:
                    return report

    def finish(self) -> KeptLines | None:
        """End what waits for its handler, and what its handler waits for. Returns: the last log lines of the job."""
        self._answer_stack("")
        if self._desk is not None:
            self._desk.close()
            self._desk = None
        return self._last_lines if self.has_ended else self._lines.read(self._number)

    def stop(self) -> None:
        """Order it to stop its job, which then ends in its own way."""
        self._send(StopOrder(self._number))

    async def stack(self) -> str:
        """Return where its handler is. It may never answer: native code need not give up the interpreter."""
        waiter: asyncio.Future[str] = self._loop.create_future()
        self._stack_waiters.append(waiter)
        self._send(StackOrder(self._number))
        return await waiter

    def _answer_stack(self, stack: str) -> None:
        for waiter in self._stack_waiters:
            if not waiter.done():
                waiter.set_result(stack)
        self._stack_waiters.clear()

    def dismiss(self) -> None:
        """Order the process to close the lifespans of its apps, and to end, which its guard enforces."""
        with suppress(OSError):
            self._channel.shutdown(socket.SHUT_WR)
        self._tell(LEAVE)

    async def leave(self) -> None:
        """Dismiss the process, and wait until it is gone."""
        self.dismiss()
        if not await self._ends_within(LEAVE_WITHIN_S + END_WITHIN_S):
            await self.kill()

    async def kill(self) -> None:
        """End the process at once, with all that it started, and wait until it is gone."""
        self._tell(KILL)
        if await self._ends_within(END_WITHIN_S):
            return
        self._guard.kill()
        if not await self._ends_within(END_WITHIN_S):
            # It hangs in the kernel, on a disk that does not answer; its guard ends it when it can be ended.
            structlog.get_logger().error("handler process does not end", pid=self._pid)

    def _take(self, part: AskPart) -> None:
        if self._desk is None:
            raise _garbled()
        try:
            self._desk.take(part.ask, part.data, is_last=part.is_last)
        except (ValueError, *UNDECODABLE):
            raise _garbled() from None

    def _reply(self, number: int, ask: int, data: bytes, is_last: bool) -> None:
        if number == self._number and not self.has_ended:
            self._send(AnswerPart(number, ask, data, is_last))

    def _send(self, order: AnyOrder) -> None:
        # Not `sock_sendall`, which a cancellation would leave in the middle of an order.
        self._unsent += encode_frame(order)
        self._send_more()

    def _send_more(self) -> None:
        try:
            del self._unsent[: self._channel.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # `_read` and `_watch` notice its end
            return
        if self._unsent:
            self._loop.add_writer(self._channel.fileno(), self._send_more)
        else:
            self._loop.remove_writer(self._channel.fileno())

    async def _ends_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._has_ended.wait()
        return self.has_ended

    def _tell(self, order: bytes) -> None:
        assert self._guard.stdin is not None
        with suppress(BrokenPipeError, ValueError):  # ValueError: closed, because it has ended
            self._guard.stdin.write(order)

    async def _wait_started(self) -> None:
        with anyio.move_on_after(START_WITHIN_S):
            return await self._wait_ready()
        raise ProcessDiedError(f"the handler's process was not ready within {START_WITHIN_S:g} s")

    async def _wait_ready(self) -> None:
        match await self._receive():
            case ReadyReport(pid=pid):
                self._pid = pid or self._pid
            case FailureReport(error=error):
                raise RemoteError(error)
            case _:
                raise _garbled()

    async def _receive(self) -> Report:
        """Return the next report about the current order. Raises: ProcessDiedError."""
        while True:
            try:
                body = self._frames.take()
                report: Report | None = None if body is None else decode_report(body)
            except (ValueError, *UNDECODABLE):
                raise _garbled() from None
            if report is None:
                await self._wait_news()
            elif report.number == self._number:
                return report

    async def _wait_news(self) -> None:
        if self._is_deaf or self.has_ended:
            raise ProcessDiedError(await self._exit_reason(), self._crash)
        self._news.clear()
        self._unread_bytes = 0
        await self._news.wait()

    def _read(self) -> None:
        try:
            data = self._channel.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._frames.feed(data)
        self._unread_bytes += len(data)
        if not data or self._unread_bytes > 2 * MAX_FRAME_BYTES:
            self._is_deaf = True
            self._loop.remove_reader(self._channel.fileno())
        self._news.set()

    def _watch(self) -> None:
        """Wait for the end of the guard, in a thread: handlers may have changed how this process treats SIGCHLD."""
        try:
            if sys.platform == "linux":
                os.waitid(os.P_PID, self._guard.pid, os.WEXITED | os.WNOWAIT)
            else:
                self._guard.wait()
        except ChildProcessError:  # a handler in this process ignores SIGCHLD, or has waited for all children
            self._has_lost_status = True
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._note_end)

    def _note_end(self) -> None:
        if self._guard.wait() == -signal.SIGKILL and self._pid:
            # Perhaps the guard alone was killed: its handler process dies with it, the rest of the group does not.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
        while not self._is_deaf and self._has_unread():
            self._read()
        self._loop.remove_reader(self._channel.fileno())
        self._loop.remove_writer(self._channel.fileno())
        self._channel.close()
        self._crash = self._crashes.read()
        self._crashes.close()
        self._last_lines = self._lines.read(self._number)
        self._lines.close()
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._has_ended.set()
        self._news.set()

    def _has_unread(self) -> bool:
        try:
            return bool(self._channel.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    async def _exit_reason(self) -> str:
        if not await self._ends_within(DEAF_S):
            return "the handler's process closed its connection to the worker"
        if self._has_lost_status:
            return "the handler's process ended"
        code = self._guard.returncode
        if code < 0:
            return f"the handler's process was ended by {_signal_name(-code)}"
        return f"the handler's process exited with status {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time signals have no name
        return f"signal {number}"


def _garbled() -> ProcessDiedError:
    """Return the error for bytes that are no report. Since what follows has no meaning, the process is killed."""
    return ProcessDiedError("the handler's process sent what is no report")
