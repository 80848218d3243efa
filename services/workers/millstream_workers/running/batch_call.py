"""One call of a batch handler, from the first job that it has gathered to the outcome of the last."""

import asyncio
import math
import time
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any

import anyio
import structlog
from msgspec import Struct

from millstream import NotBoundError
from millstream.function_reader import is_awaitable
from millstream.gathering import BatchContext, BatchHandler
from millstream.jobs.submitter import current_submitter
from millstream_contracts import JobType, KeptLine, Queue
from millstream_telemetry import (
    NO_TRACE,
    SHOWN_JOBS,
    CallFields,
    JobTracer,
    LineRing,
    SecretTexts,
    TraceContext,
    WorkerMetrics,
    current_job,
    current_trace_context,
    link_current_span,
)
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.stop_scope import StopScope
from millstream_workers.errors import SelfCancelledError
from millstream_workers.running.thread_call import CallThread


class CallParts(Struct, frozen=True):
    """What all calls of a worker share."""

    cleanup_s: float
    metrics: WorkerMetrics
    tracer: JobTracer
    states: Mapping[JobType, Any]


class _Parentless:
    """Takes no submission: a batch handler runs many jobs, and a child is of one."""

    async def submit(self, job: Any, payload: Any = None, *args: Any, **options: Any) -> Any:
        """Raise NotBoundError."""
        del job, payload, args, options
        raise NotBoundError(_WHOSE_CHILD)

    async def submit_many(self, jobs: Any, payloads: Any, *args: Any, **options: Any) -> Any:
        """Raise NotBoundError."""
        del jobs, payloads, args, options
        raise NotBoundError(_WHOSE_CHILD)


_WHOSE_CHILD = (
    "a batch handler runs many jobs, and a job that it submits is the child of one of them: call `item.submit(...)`"
)


class BatchCall:
    """A call of a batch handler. Its jobs wait for it in tasks of their own; it runs in another."""

    def __init__(self, handler: BatchHandler, queue: Queue, parts: CallParts, thread: CallThread) -> None:
        self.queue = queue
        self.begun = anyio.Event()
        self.ended = anyio.Event()
        self._handler = handler
        self._parts = parts
        self._thread = thread
        self._jobs: dict[Running, Any] = {}
        """The items of the jobs, in the order in which they came."""
        self._spans: list[TraceContext] = []
        self._error: BaseException | None = None
        """What the handler has raised."""
        self._traceback: TracebackType | None = None
        self._scope: StopScope | None = None
        self._span = NO_TRACE
        self._lines: LineRing | None = None
        """What is logged in the call that says of no job that it is about it."""

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def is_stopped(self) -> bool:
        """Whether each of its jobs was stopped."""
        return all(running.interruption for running in self._jobs)

    def add(self, item: Any, running: Running) -> None:
        """Take a job, in the task that executes it."""
        self._jobs[running] = item
        if (span := current_trace_context()).is_sampled:
            self._spans.append(span)

    def remove(self, running: Running) -> None:
        """Go without a job."""
        del self._jobs[running]

    def note_thread(self, thread: int | None) -> None:
        """Note in which thread the handler runs, as :meth:`Running.note_thread`."""
        for running in self._jobs:
            running.note_thread(thread)

    def keep(self, line: KeptLine, job_id: str) -> None:
        """Keep a log line of the call: with the job that it is about, or with all of them. Any thread may call it."""
        for running in list(self._jobs):
            if running.id == job_id:
                return running.keep(line)
        if self._lines is None:
            self._lines = LineRing(next(iter(self._jobs)).line_bytes)
        return self._lines.add(line)

    async def outlast(self) -> None:
        """Wait for the end of the call in the task of a job that was stopped.

        When its time for clean-up is over, the job leaves a call that goes on for others, or whose thread does not
        end. A call on the loop of which all jobs were stopped is waited for, as any handler on the loop.
        """
        if self.is_stopped and self._scope is not None:
            self._scope.stop()
        try:
            await self.ended.wait()
        except asyncio.CancelledError:
            if self.is_stopped and self._handler.isolation == "loop" and not _is_worker_cancelled():
                with anyio.CancelScope(shield=True):
                    await self.ended.wait()
            raise

    def conclude(self, item: Any, running: Running) -> Any:
        """Return the result of a job once the call has ended. Raises: the error of the job."""
        link_current_span(self._span)
        if item.error is not None:
            # Anew for each job: a traceback grows with each frame that an exception passes.
            raise item.error.with_traceback(item.traceback)
        if item.is_decided:
            return item.result
        if running.interruption is not None:
            raise asyncio.CancelledError  # the handler may have passed over a job that was stopped
        if self._error is not None:
            raise self._error.with_traceback(self._traceback)
        return None

    async def run(self) -> None:
        """Call the handler, in a task of its own. Whatever it does is an outcome and is not raised."""
        begun = time.perf_counter()
        job_type, jobs = self.queue.type, list(self._jobs)
        try:
            with StopScope(self._parts.cleanup_s) as scope:
                self._scope = scope
                for running, item in self._jobs.items():
                    running.runs_in(scope.task)
                    item.deadline = None if item.timeout_s is None else time.monotonic() + item.timeout_s
                with self._parts.tracer.batch_call(job_type, self._spans, jobs=len(jobs)) as span:
                    keeper = self if jobs[0].line_bytes else None
                    ids = tuple(one.id for one in jobs)
                    secrets = SecretTexts.of_all(one.secrets for one in jobs)
                    for running in jobs:
                        # The error of the call is that of each job, and may have the secrets of all.
                        running.secrets = secrets
                    current_job.set(CallFields(jobs[0].id, job_type, 0, span.trace_id, keeper, secrets, ids))
                    current_submitter.set(_Parentless())
                    self._span = span.context
                    await self._call_guarded(scope)
        finally:
            if self._lines is not None:
                for running in self._jobs:
                    running.add_lines(self._lines.kept())
            self.ended.set()
        self._record(jobs, time.perf_counter() - begun)

    async def _call_guarded(self, scope: StopScope) -> None:
        try:
            if not self.is_stopped:  # before its task has begun
                await self._call()
        except asyncio.CancelledError:
            if not scope.is_spent:
                if _is_worker_cancelled():
                    raise
                self._note(SelfCancelledError("the batch handler was cancelled by a task of its own"))
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything, and that is an outcome
            self._note(error)
        finally:
            scope.end()

    async def _call(self) -> None:
        handler, items = self._handler, list(self._jobs.values())
        context: BatchContext[Any] = BatchContext(
            job_type=handler.type,
            state=self._parts.states.get(self.queue.type),
            is_stopped=lambda: self.is_stopped,
            jobs=len(items),
        )
        arguments = handler.batch_arguments(items, context)
        if handler.isolation == "loop":
            value = handler.function(*arguments)
        else:
            value = await self._thread(partial(handler.function, *arguments), self)
            self.note_thread(None)
        if is_awaitable(value):
            await value

    def _note(self, error: BaseException) -> None:
        self._error, self._traceback = error, error.__traceback__

    def _record(self, jobs: list[Running], run_s: float) -> None:
        self._parts.metrics.observe_batch_call(self.queue.type, len(jobs))
        structlog.get_logger().info(
            "batch handler called",
            type=self.queue.type,
            jobs=len(jobs),
            job_ids=[running.id for running in jobs[:SHOWN_JOBS]],
            run_ms=round(run_s * 1000, 3),
        )


def _is_worker_cancelled() -> bool:
    """Whether the worker around the call is being cancelled, rather than its task by the handler itself."""
    return anyio.current_effective_deadline() == -math.inf
