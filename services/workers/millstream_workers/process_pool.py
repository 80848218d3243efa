"""Processes for handlers with `isolation="process"`: one job at a time each, killed when the job must stop."""

import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from subprocess import PIPE
from typing import Any

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from millstream import Dead, Discard, RetryAfter, Snooze
from millstream.steering import Steering
from millstream_contracts import UNDECODABLE
from millstream_workers.errors import InvalidResultError, ProcessDiedError, RemoteError
from millstream_workers.frames import (
    HEADER,
    MAX_FRAME_BYTES,
    FailureReport,
    Order,
    ProgressReport,
    Report,
    ReturnReport,
    WishReport,
    decode_report,
    encode_frame,
)
from millstream_workers.results import EncodedResult
from millstream_workers.running import Running

LEAVE_WITHIN_S = 2.0


class ProcessPool:
    """Keeps idle processes for the next job; there are never more than handlers run at once."""

    def __init__(self, app_refs: Sequence[str]) -> None:
        # -P: without it the current folder would come first, and a user's `queue.py` hide the standard one.
        self._command = [sys.executable, "-P", "-m", "millstream_workers.handler_process", *app_refs]
        self._idle: list[HandlerProcess] = []

    async def call(self, job_type: str, running: Running, timeout_s: float | None) -> EncodedResult:
        """Run a job's handler in a process. Raises: what the handler wished, RemoteError, ProcessDiedError."""
        process = await self._engage(_order(job_type, running, timeout_s), running)
        reusable = False
        try:
            result = await process.result(running)
            reusable = True
        except (Steering, RemoteError):
            reusable = True
            raise
        finally:
            if reusable:
                self._idle.append(process)
            else:
                with anyio.CancelScope(shield=True):
                    await process.kill()
        return result

    async def _engage(self, order: Order, running: Running) -> "HandlerProcess":
        """Return a process that has begun the job. One that died while it was idle costs the job no attempt."""
        while process := self._take_idle():
            with suppress(ProcessDiedError):
                await process.begin(order)
                return process
        process = await self._start(running)
        await process.begin(order)
        return process

    def _take_idle(self) -> "HandlerProcess | None":
        return self._idle.pop() if self._idle else None

    async def _start(self, running: Running) -> "HandlerProcess":
        """Start a process. The job's time runs from when it is ready."""
        with running.untimed():
            return await HandlerProcess.start(self._command)

    async def close(self) -> None:
        """End the idle processes, letting them close what their apps opened."""
        async with anyio.create_task_group() as tasks:
            for process in self._idle:
                tasks.start_soon(process.leave)
        self._idle.clear()


class HandlerProcess:
    """One process that runs handlers."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._orders = process.stdin
        self._reports = BufferedByteReceiveStream(process.stdout)

    @classmethod
    async def start(cls, command: Sequence[str]) -> "HandlerProcess":
        """Start a process and wait until it has loaded the apps. What it prints goes to our error output.

        In a session of its own, so that Ctrl-C reaches the worker only, which drains. Raises: ProcessDiedError.
        """
        process = cls(await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None, start_new_session=True))
        try:
            await process._receive()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await process.kill()
            raise
        return process

    async def begin(self, order: Order) -> None:
        """Give it a job, and return once it has begun. Raises: ProcessDiedError, and then the handler never ran."""
        try:
            await self._orders.send(encode_frame(order))
            await self._receive()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self.kill()
            raise ProcessDiedError(await self._epitaph()) from None
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.kill()
            raise

    async def result(self, running: Running) -> EncodedResult:
        """Return the result of the job it has begun. Raises: what the handler wished, RemoteError, ProcessDiedError."""
        while True:
            match await self._receive():
                case ProgressReport(progress):
                    running.progress = progress
                case ReturnReport(result):
                    return EncodedResult(result)
                case WishReport() as wish:
                    raise _wish(wish)
                case FailureReport(error, invalid_result):
                    raise InvalidResultError(error) if invalid_result else RemoteError(error)

    async def leave(self) -> None:
        """Let the process end by itself, and end it if it does not."""
        await self._orders.aclose()
        with anyio.move_on_after(LEAVE_WITHIN_S):
            await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        """End the process at once."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.aclose()

    async def _receive(self) -> Report:
        try:
            (length,) = HEADER.unpack(await self._reports.receive_exactly(HEADER.size))
            if length > MAX_FRAME_BYTES:
                raise _garbled()
            report: Report = decode_report(await self._reports.receive_exactly(length))
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise ProcessDiedError(await self._epitaph()) from None
        except UNDECODABLE:
            raise _garbled() from None
        return report

    async def _epitaph(self) -> str:
        code = await self._process.wait()
        if code < 0:
            return f"the handler's process was ended by {signal.Signals(-code).name}"
        return f"the handler's process exited with status {code}"


def _garbled() -> ProcessDiedError:
    """Return the error for what no handler process says. Whoever called kills it: what follows means nothing either."""
    return ProcessDiedError("the handler's process sent what is no report")


def _order(job_type: str, running: Running, timeout_s: float | None) -> Order:
    delivery = running.delivery
    return Order(
        job_type=job_type,
        job_id=delivery.id,
        attempt=delivery.attempts + 1,
        fence=delivery.deliveries,
        spec=msgspec.msgpack.encode(delivery.spec),
        timeout_s=timeout_s,
    )


def _wish(report: WishReport) -> Any:
    match report.kind:
        case "retry_after":
            return RetryAfter(report.delay_s)
        case "snooze":
            return Snooze(report.delay_s)
        case "discard":
            return Discard(report.reason)
        case "dead":
            return Dead(report.reason)
