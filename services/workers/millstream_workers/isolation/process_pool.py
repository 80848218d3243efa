"""Processes for handlers with `isolation="process"`: each runs one job at a time, and ends when a job has to stop."""

import itertools
import math
from collections.abc import Sequence
from contextlib import ExitStack

import anyio
import msgspec
import structlog

from millstream.jobs.submitter import current_submitter
from millstream_telemetry import current_job, current_trace_context
from millstream_workers.attempt.results import EncodedResult
from millstream_workers.attempt.running import NO_THREAD, Running
from millstream_workers.children.running_parent import RunningParent
from millstream_workers.isolation.frames import EndReport, Order, StoppedReport
from millstream_workers.isolation.launcher import Launcher
from millstream_workers.isolation.outcome_reports import result_of
from millstream_workers.isolation.pooled_process import NotBegunError, PooledProcess


class ProcessPool:
    """Keeps idle processes for the next job; there are never more than handlers run at once."""

    def __init__(self, app_refs: Sequence[str], *, line_bytes: int = 0) -> None:
        """Make it before any job runs: new processes get the surroundings that the worker has now.

        `line_bytes` is what the log lines that are kept of an attempt may take.
        """
        self._launcher = Launcher(app_refs, line_bytes)
        self._numbers = itertools.count(1)
        self._idle: list[PooledProcess] = []
        self._leaving: list[PooledProcess] = []
        self._log = structlog.get_logger().bind()

    async def call(self, job_type: str, running: Running, timeout_s: float | None) -> EncodedResult:
        """Run a job's handler in a process. A cancellation stops the handler, and then gives it time to clean up.

        Raises: the outcome request of the handler, RemoteError, ProcessDiedError; CancelledError, unless the handler
        returned or raised something else while it cleaned up.
        """
        running.note_thread(NO_THREAD)
        with ExitStack() as untimed:  # until the handler begins
            untimed.enter_context(running.untimed())
            while True:
                idle = self._take_idle()
                order = _order(next(self._numbers), job_type, running, timeout_s)
                try:
                    return result_of(await self._run(idle, order, running, untimed))
                except NotBegunError:
                    if idle is None:
                        raise
                    # One that died while it was idle costs the job no attempt.

    async def _run(self, idle: PooledProcess | None, order: Order, running: Running, untimed: ExitStack) -> EndReport:
        """Have a process run a job, the idle one or a new one. Returns: how the job ended."""
        process = idle or await PooledProcess.start(self._launcher)
        try:
            await process.begin(order, _parent())
            untimed.close()
            running.ask_process = process.stack
            report = await process.end(running)
        except anyio.get_cancelled_exc_class():
            # A cancelled scope cancels each await; a task that was cancelled once is so again when it is for good.
            with anyio.CancelScope(shield=anyio.current_effective_deadline() == -math.inf):
                stopped = await self._stop(process, running)
            if stopped is None:
                raise
            return stopped
        except BaseException:
            with anyio.CancelScope(shield=True):
                await process.kill()
            raise
        finally:
            running.ask_process = None
            running.add_lines(process.finish())
        self._keep_or_dismiss(process, report, order)
        return report

    async def _stop(self, process: PooledProcess, running: Running) -> EndReport | None:
        """Stop the handler. Returns: how it ended; None when it ended by being stopped, or did not end in time.

        The process is not used again: it was interrupted wherever it was.
        """
        report: EndReport | None = None
        try:
            with anyio.move_on_after(running.cleanup_left_s):
                process.stop()
                report = await process.end(running)
            if report is not None:
                await process.leave()
        finally:
            with anyio.CancelScope(shield=True):
                await process.kill()
        return None if isinstance(report, StoppedReport) else report

    def _keep_or_dismiss(self, process: PooledProcess, report: EndReport, order: Order) -> None:
        if not report.changed:
            self._idle.append(process)
            return
        changed = ", ".join(report.changed)
        self._log.info("handler process not used again", job_id=order.job_id, type=order.job_type, reason=changed)
        process.dismiss()
        self._leaving = [one for one in self._leaving if not one.has_ended]
        self._leaving.append(process)

    def _take_idle(self) -> PooledProcess | None:
        while self._idle:
            process = self._idle.pop()
            if not process.has_ended:
                return process
        return None

    async def close(self) -> None:
        """End the processes, letting them close what their apps opened."""
        async with anyio.create_task_group() as tasks:
            for process in (*self._idle, *self._leaving):
                tasks.start_soon(process.leave)
        self._idle.clear()
        self._leaving.clear()
        self._launcher.close()


def _parent() -> RunningParent | None:
    """Return the job whose handler is called here, as a parent."""
    submitter = current_submitter.get()
    return submitter if isinstance(submitter, RunningParent) else None


def _order(number: int, job_type: str, running: Running, timeout_s: float | None) -> Order:
    delivery, trace, job = running.delivery, current_trace_context(), current_job.get()
    return Order(
        number=number,
        job_type=job_type,
        job_id=delivery.id,
        attempt=delivery.attempts + 1,
        fence=delivery.deliveries,
        spec=msgspec.msgpack.encode(delivery.spec),
        timeout_s=timeout_s,
        traceparent=trace.traceparent,
        tracestate=trace.tracestate,
        trace_id=job.trace_id if job else "",
    )
