"""Gathers the running jobs of batch handlers by queue, and has each handler called once for many.

Each job stays in the task that executes it, with its slot, its lease, its timeout and its span, and waits there for the
call that it has joined. So whatever stops a job stops it alone.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog

from millstream.gathering import BatchHandler, JobItem, SyncJobItem
from millstream_contracts import JobType, Queue
from millstream_telemetry import JobTracer, WorkerMetrics
from millstream_workers.attempt.running import Running
from millstream_workers.running.batch_call import BatchCall, CallParts
from millstream_workers.running.clean_context import CleanContext
from millstream_workers.running.thread_call import CallThread

WAIT_SHARE_OF_LEASE = 1 / 6
"""The part of a lease for which a job may wait for others at most."""

StartTask = Callable[[Callable[[], Coroutine[Any, Any, None]]], object]
"""Starts a task that calls a function."""


class Gatherer:
    """Gathers jobs, up to the size of a call or until the first one has waited long enough. Lives on the event loop."""

    def __init__(
        self,
        *,
        limit: int,
        lease_s: float,
        cleanup_s: float,
        clean: CleanContext,
        metrics: WorkerMetrics,
        tracer: JobTracer,
        states: Mapping[JobType, Any],
        is_timed: bool = True,
    ) -> None:
        """`limit` is how many jobs the worker runs at once. Without `is_timed` jobs wait until they are told to begin.

        A call that is stopped has `cleanup_s` seconds to clean up, and starts in the context `clean`.
        """
        self._limit = limit
        self._most_wait_s = lease_s * WAIT_SHARE_OF_LEASE
        self._parts = CallParts(cleanup_s, metrics, tracer, states)
        self._clean = clean
        self._is_timed = is_timed
        self._is_draining = False
        self._start: StartTask | None = None
        self._gathering: dict[Queue, BatchCall] = {}
        """The calls that have not begun."""
        self._timers: dict[Queue, asyncio.TimerHandle] = {}

    def open(self, start: StartTask) -> None:
        """Start the tasks of calls by this from now on."""
        self._start = start

    def check(self, handlers: Mapping[JobType, Any]) -> None:
        """Log which batch handlers can never have what they ask for on this worker."""
        log = structlog.get_logger()
        for job_type, handler in handlers.items():
            if not isinstance(handler, BatchHandler):
                continue
            if handler.gathering.size > self._limit:
                log.warning("batch is never full", type=job_type, jobs=handler.gathering.size, concurrency=self._limit)
            if handler.gathering.wait_s > self._most_wait_s:
                log.warning("batch waits for a part of the lease only", type=job_type, seconds=self._most_wait_s)

    @property
    def waiting(self) -> int:
        """How many jobs wait for others."""
        return sum(len(call) for call in self._gathering.values())

    async def run(
        self,
        handler: BatchHandler,
        item: JobItem[Any, Any] | SyncJobItem[Any, Any],
        running: Running,
        thread: CallThread,
    ) -> Any:
        """Return the result of one job, once the handler was called for it and others. Raises: the error of the job.

        `thread` calls a plain handler away from the loop. A cancellation stops the job, and the call if it was the last
        job of it.
        """
        call = self._join(handler, item, running, thread)
        try:
            # Others are waited for at the expense of no job's timeout.
            with running.untimed():
                await call.begun.wait()
            await call.ended.wait()
        except asyncio.CancelledError:
            if not call.begun.is_set():
                self._leave(call, running)
                raise
            await call.outlast()
        return call.conclude(item, running)

    def begin_all(self) -> None:
        """Begin all calls with the jobs that they have."""
        for queue in list(self._gathering):
            self._begin(queue)

    def drain(self) -> None:
        """Begin all calls, and let no job wait for others any more, because the worker claims none."""
        self._is_draining = True
        self.begin_all()

    def _join(self, handler: BatchHandler, item: Any, running: Running, thread: CallThread) -> BatchCall:
        queue = running.delivery.queue
        call = self._gathering.get(queue)
        if call is None:
            call = self._gathering[queue] = BatchCall(handler, queue, self._parts, thread)
            if self._is_timed:
                wait_s = min(handler.gathering.wait_s, self._most_wait_s)
                self._timers[queue] = asyncio.get_running_loop().call_later(wait_s, self._begin, queue)
        call.add(item, running)
        if not self._is_timed:
            return call
        if self._is_draining or len(call) >= min(handler.gathering.size, self._limit):
            self._begin(queue)
        elif self.waiting >= self._limit:
            self.begin_all()  # no further job can come
        return call

    def _begin(self, queue: Queue) -> None:
        call = self._forget(queue)
        if self._start is not None:
            # A task takes over the context it is started from, which is the one of the job that has come last.
            self._clean.run(self._start, call.run)
            call.begun.set()

    def _leave(self, call: BatchCall, running: Running) -> None:
        call.remove(running)
        if not len(call):
            self._forget(call.queue)

    def _forget(self, queue: Queue) -> BatchCall:
        if timer := self._timers.pop(queue, None):
            timer.cancel()
        return self._gathering.pop(queue)
