"""Processes for handlers with `isolation="process"`: one job at a time each, killed when the job must stop."""

import math
import signal
import sys
from collections.abc import Callable, Sequence
from subprocess import PIPE
from typing import Any

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from millstream import Dead, Discard, RetryAfter, Snooze
from millstream_contracts import JobError
from millstream_workers.errors import ProcessDiedError, RemoteError
from millstream_workers.frames import (
    HEADER,
    Order,
    ProgressReport,
    RaiseReport,
    Report,
    ReturnReport,
    decode_report,
    encode_frame,
)
from millstream_workers.running import Running

_WISHES: dict[str, Callable[[Any], Exception]] = {
    "RetryAfter": RetryAfter,
    "Snooze": Snooze,
    "Discard": Discard,
    "Dead": Dead,
}


class ProcessPool:
    """Keeps idle processes for the next job; there are never more than handlers run at once."""

    def __init__(self, app_refs: Sequence[str]) -> None:
        self._command = [sys.executable, "-m", "millstream_workers.handler_process", *app_refs]
        self._idle: list[HandlerProcess] = []

    async def call(self, job_type: str, running: Running, timeout_s: float | None) -> Any:
        """Run a job's handler in a process. Raises: what the handler raised, RemoteError, ProcessDiedError."""
        process = self._idle.pop() if self._idle else await self._start(running)
        reusable = False
        try:
            value = await process.run(job_type, running, timeout_s)
            reusable = True
        except (RetryAfter, Snooze, Discard, Dead, RemoteError):
            reusable = True
            raise
        finally:
            if reusable:
                self._idle.append(process)
            else:
                with anyio.CancelScope(shield=True):
                    await process.kill()
        return value

    async def _start(self, running: Running) -> "HandlerProcess":
        """Start a process. The job's time runs from when it is ready."""
        deadline, running.scope.deadline = running.scope.deadline, math.inf
        begun = anyio.current_time()
        process = await HandlerProcess.start(self._command)
        running.scope.deadline = deadline + anyio.current_time() - begun
        return process

    async def close(self) -> None:
        """End the idle processes."""
        while self._idle:
            await self._idle.pop().kill()


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

        Raises: ProcessDiedError.
        """
        process = cls(await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None))
        try:
            await process._receive()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await process.kill()
            raise
        return process

    async def run(self, job_type: str, running: Running, timeout_s: float | None) -> Any:
        """Run one job and return what its handler returned."""
        delivery = running.delivery
        order = Order(
            job_type=job_type,
            job_id=delivery.id,
            attempt=delivery.attempts + 1,
            fence=delivery.deliveries,
            spec=msgspec.msgpack.encode(delivery.spec),
            timeout_s=timeout_s,
        )
        try:
            await self._orders.send(encode_frame(order))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise ProcessDiedError(await self._epitaph()) from None
        while True:
            match await self._receive():
                case ProgressReport(progress):
                    running.progress = progress
                case ReturnReport(value):
                    return value
                case RaiseReport(kind, argument, error):
                    raise _raised(kind, argument, error)

    async def kill(self) -> None:
        """End the process at once."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.aclose()

    async def _receive(self) -> Report:
        try:
            (length,) = HEADER.unpack(await self._reports.receive_exactly(HEADER.size))
            report: Report = decode_report(await self._reports.receive_exactly(length))
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise ProcessDiedError(await self._epitaph()) from None
        return report

    async def _epitaph(self) -> str:
        code = await self._process.wait()
        if code < 0:
            return f"the handler's process was ended by {signal.Signals(-code).name}"
        return f"the handler's process exited with status {code}"


def _raised(kind: str, argument: Any, error: JobError | None) -> Exception:
    wish = _WISHES.get(kind)
    if wish is not None:
        return wish(argument)
    assert error is not None
    return RemoteError(error)
