"""The program of a handler process: receives orders from its worker, runs handlers, and reports back.

Its guard forks it. It runs one job at a time, and reports for each what the job has changed in this process.
"""

import asyncio
import contextvars
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from millstream import App
from millstream.context import BaseContext, Context
from millstream.function_reader import is_awaitable, is_coroutine_function
from millstream.handler import Handler
from millstream.jobs.submitter import current_submitter
from millstream_contracts import JobId, JobSpec, Progress
from millstream_telemetry import JobFields, LogSettings, TraceContext, configure_logs, current_job
from millstream_workers.app_loader import load_app, merge_apps
from millstream_workers.attempt.failure import describe_failure
from millstream_workers.attempt.secret_texts import secrets_of
from millstream_workers.children.remote_parent import RemoteParent
from millstream_workers.errors import AppLoadError
from millstream_workers.isolation.crash_file import write_crashes
from millstream_workers.isolation.frames import (
    AnswerPart,
    AskPart,
    EndReport,
    FailureReport,
    Order,
    ProgressReport,
    ReadyReport,
    StackReport,
    StoppedReport,
)
from millstream_workers.isolation.interrupter import Interrupter, RunningAttempt
from millstream_workers.isolation.job_loop import JobLoop
from millstream_workers.isolation.line_file import LineWriter
from millstream_workers.isolation.order_reader import OrderReader
from millstream_workers.isolation.outcome_reports import report_raise, report_return
from millstream_workers.isolation.process_state import ProcessState
from millstream_workers.isolation.report_writer import ReportWriter
from millstream_workers.isolation.service_signals import leave_signals_to_the_worker

_decode_spec = msgspec.msgpack.Decoder(JobSpec).decode


def main(settings: dict[str, Any], app_refs: list[str]) -> None:
    """Serve orders until the worker wants no more."""
    leave_signals_to_the_worker(settings["blocked"])
    write_crashes(settings["crashes"])
    channel = socket.socket(fileno=settings["channel"])
    channel.set_inheritable(False)
    writer = ReportWriter(channel)
    logs = msgspec.convert(settings["logs"], LogSettings | None)
    _configure_logs(logs)
    try:
        app = merge_apps(load_app(ref) for ref in app_refs)
    except BaseException as error:  # noqa: BLE001 - a module may raise anything, and the worker should hear of it
        writer.send(FailureReport(0, describe_failure(error, 0)))
        raise SystemExit(1) from None
    _configure_logs(logs)  # again, because a module of the apps may have configured logs
    line_bytes: int = settings["line_bytes"]
    HandlerProcess(app, channel, writer, LineWriter(settings["lines"], line_bytes) if line_bytes else None).serve()


def _configure_logs(logs: LogSettings | None) -> None:
    if logs is None:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    else:
        configure_logs(logs.service, logs.level, sys.stderr, is_terminal=logs.is_terminal)


class HandlerProcess:
    """Runs the handlers of an app in this process."""

    def __init__(
        self, app: App[Any], channel: socket.socket, writer: ReportWriter, lines: LineWriter | None = None
    ) -> None:
        """`lines` keeps the log lines of jobs; None where none are kept."""
        self._app = app
        self._lines = lines
        self._writer = writer
        self._known_state: ProcessState | None = None
        """The state as the last job left it."""
        self._loop = JobLoop()
        self._interrupter = Interrupter(self._loop.loop, self._tell_stack)
        self._reader = OrderReader(
            channel, self._loop.loop, self._interrupter.stop, tell_stack=self._answer_stack, answer=self._take_answer
        )
        self._parent: tuple[int, RemoteParent] | None = None
        """The job that runs, as the parent of those that it submits, by the number of its order."""

    def serve(self) -> None:
        """Run jobs until there are no more orders, or this process can run no more."""
        try:
            self._writer.send(ReadyReport(0, os.getpid()))
            while (order := self._loop.run(self._reader.next())) is not None:
                if not self._serve_one(order):
                    break
        except OSError as error:
            # The handler has closed the channel. The worker sees that, and the attempt fails with it.
            structlog.get_logger().error("channel to the worker lost", error=str(error))
            os._exit(1)
        self._loop.close()

    def _tell_stack(self, number: int, stack: str) -> None:
        with suppress(OSError):  # the report of the outcome fails in the same way
            self._writer.send(StackReport(number, stack))

    def _answer_stack(self, number: int) -> None:
        with suppress(OSError):
            self._writer.send(StackReport(number, self._interrupter.whereabouts(number), is_asked=True))

    def _take_answer(self, part: AnswerPart) -> None:
        parent = self._parent
        if parent is not None and parent[0] == part.number:
            parent[1].take(part.ask, part.data, is_last=part.is_last)

    def _serve_one(self, order: Order) -> bool:
        """Run a job. Returns: whether this process can run another."""
        try:
            handler = self._handler(order.job_type)
            state_app = self._app.state_app(order.job_type)
            if not self._loop.is_open(state_app):
                self._known_state = None  # what a lifespan changes is not the job's doing
            state = self._loop.state_of(state_app)
        except BaseException as error:  # noqa: BLE001 - a lifespan may raise anything
            self._writer.send(
                FailureReport(order.number, describe_failure(error, order.attempt), changed=("lifespan",))
            )
            return False
        before = self._known_state or ProcessState(self._loop.tasks())
        self._writer.send(ReadyReport(order.number))  # from here on the attempt counts: the handler may have run
        report = self._attempt(handler, order, state)
        self._known_state = ProcessState(self._loop.tasks())
        changed = self._known_state.changes_since(before)
        if self._loop.has_lost_lifespan:
            changed = (*changed, "lifespan")
        self._reader.is_busy = False
        self._writer.send(replace(report, changed=changed))
        return True

    def _handler(self, job_type: str) -> Handler:
        handler = self._app.handlers.get(job_type)
        if handler is None:
            raise AppLoadError(f"there is no handler for `{job_type}` any more: its code was changed under the worker")
        return handler

    def _attempt(self, handler: Handler, order: Order, state: Any) -> EndReport:
        """Read the order and call the handler. Returns: what became of it, whatever that is."""
        attempt: RunningAttempt | None = None
        parent = self._begin_parent(order.number)
        try:
            spec = _decode_spec(order.spec)
            attempt = RunningAttempt(order.number, self._context(handler, order, spec, state, parent))
            self._interrupter.begin(attempt)
            arguments = handler.arguments(handler.decode(spec.payload), attempt.context)
            value = self._call(handler, arguments, attempt, self._fresh_context(order, parent, spec.payload))
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything, and that is an outcome
            self._leave_fork(error)
            if attempt is not None and attempt.is_stopping and issubclass(type(error), asyncio.CancelledError):
                return StoppedReport(order.number)
            return report_raise(order.number, error, order.attempt, handler.retry)
        finally:
            self._interrupter.end()
            parent.end()
        self._leave_fork(None)
        return report_return(order.number, value, order.attempt, handler.result_type)

    def _begin_parent(self, number: int) -> RemoteParent:
        def send(ask: int, data: bytes, is_last: bool) -> None:
            self._writer.send(AskPart(number, ask, data, is_last))

        parent = RemoteParent(send, lambda: self._writer.is_fork)
        self._parent = number, parent
        return parent

    def _call(
        self,
        handler: Handler,
        arguments: tuple[Any, ...],
        attempt: RunningAttempt,
        context: contextvars.Context,
    ) -> Any:
        """Call the handler: a coroutine on the loop, a plain function outside of it."""
        if is_coroutine_function(handler.function):
            return self._await(partial(handler.function, *arguments), attempt, context)
        self._loop.forget_loops()
        try:
            attempt.is_plain = True
            attempt.check()
            value = context.run(handler.function, *arguments)
        finally:
            attempt.is_plain = False
        return self._await(lambda: value, attempt, context) if is_awaitable(value) else value

    def _await(self, start: Callable[[], Any], attempt: RunningAttempt, context: contextvars.Context) -> Any:
        value, error = self._loop.run(self._outcome(start, attempt), context)
        if error is not None:
            raise error
        return value

    async def _outcome(self, start: Callable[[], Any], attempt: RunningAttempt) -> tuple[Any, BaseException | None]:
        """Return what a coroutine returns or raises. A loop lets some exceptions out of its tasks, and ends."""
        attempt.task = asyncio.current_task()
        try:
            attempt.check()
            value = await start()
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything
            self._leave_fork(error)
            return None, error
        finally:
            attempt.task = None
        self._leave_fork(None)
        return value, None

    def _leave_fork(self, error: BaseException | None) -> None:
        """End this process if the handler has forked it and returned in it: only the parent reports to the worker."""
        if self._writer.is_fork:
            os._exit(0 if error is None else 1)

    def _fresh_context(self, order: Order, parent: RemoteParent, payload: msgspec.Raw) -> contextvars.Context:
        """Return the context for a job: its trace is current, and its log lines say whose they are."""
        context, trace = self._loop.fresh_context(), TraceContext(order.traceparent, order.tracestate)
        if order.traceparent:
            context.run(trace.make_current)
        context.run(current_submitter.set, parent)
        keeper = None
        if self._lines is not None and self._app.handlers[order.job_type].policy.kept_logs != "none":
            self._lines.begin(order.number)
            keeper = self._lines
        secrets = secrets_of(self._app.handlers[order.job_type], payload)
        fields = JobFields(order.job_id, order.job_type, order.attempt, order.trace_id, keeper, secrets)
        context.run(current_job.set, fields)
        return context

    def _context(
        self, handler: Handler, order: Order, spec: JobSpec, state: Any, parent: RemoteParent
    ) -> BaseContext[Any]:
        def note_progress(progress: Progress) -> None:
            with suppress(OSError):  # the report of the outcome fails in the same way
                self._writer.send(ProgressReport(order.number, progress))

        kind = handler.signature.context or Context
        return kind(
            job_id=JobId(order.job_id),
            job_type=order.job_type,
            attempt=order.attempt,
            fence=order.fence,
            spec=spec,
            timeout_s=order.timeout_s,
            state=state,
            submitter=parent,
            on_progress=note_progress,
        )
