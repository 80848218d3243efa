"""The parent of children whose handler runs in this worker, on its event loop or in a thread."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from millstream import NotBoundError
from millstream.jobs.blocking import answer_of, has_loop
from millstream.jobs.parent import Parent
from millstream_contracts import Job, JobId
from millstream_telemetry import TraceContext, current_trace_context
from millstream_workers.attempt.running import Running
from millstream_workers.children.child_jobs import ChildSubmitter
from millstream_workers.children.child_keys import ChildKeys, KeysUsed
from millstream_workers.children.child_reader import ChildReader
from millstream_workers.children.refusals import as_unavailable

T = TypeVar("T")


class ParentMaker:
    """Makes the parent for each running job. Lives on the event loop."""

    def __init__(self, submitter: ChildSubmitter, reader: ChildReader) -> None:
        self.submitter = submitter
        self.reader = reader
        self.loop = asyncio.get_running_loop()
        self._pid = os.getpid()

    def parent(self, running: Running, trace: TraceContext) -> "RunningParent":
        """Return a running job as a parent, whose children continue its trace."""
        return RunningParent(self, running, trace)

    def check_reachable(self) -> None:
        """Raise NotBoundError where the worker cannot be asked any more."""
        if os.getpid() != self._pid:
            raise NotBoundError("a process that a handler has forked cannot submit jobs: the handler itself can")
        if self.loop.is_closed():
            raise NotBoundError("the worker of this handler has left")


class RunningParent(Parent):
    """A job that runs in this worker, as a parent. Any thread may call it, and any event loop of asyncio."""

    __slots__ = ("_keys", "_maker", "_running", "_trace")

    def __init__(self, maker: ParentMaker, running: Running, trace: TraceContext) -> None:
        self._maker = maker
        self._running = running
        self._trace = trace
        self._keys: KeysUsed | None = None

    async def store(self, contents: Sequence[bytes], idempotency_key: str | None, *, many: bool) -> list[JobId]:
        """Store submissions, all or none. Raises: InvalidChildError, UnavailableError."""
        trace = current_trace_context()
        return await self._on_loop(partial(self.store_in, trace, contents, idempotency_key, many=many))

    async def store_in(
        self, trace: TraceContext, contents: Sequence[bytes], idempotency_key: str | None, *, many: bool
    ) -> list[JobId]:
        """Do the same on the worker's loop, in the trace of the handler, or that of the job where it has none."""
        # A span of the handler's own is nearer; without a recorder there is none, and the job's trace goes on.
        within = trace if trace.traceparent else self._trace
        pointed = [(f"/{index}" if many else "", content) for index, content in enumerate(contents)]
        keys = None if idempotency_key is None else self._keys_of(idempotency_key, many=many)
        try:
            with as_unavailable():
                return await self._maker.submitter.submit(within, pointed, keys)
        except BaseException:
            if keys is not None:
                keys.give_back()
            raise

    async def get(self, job_id: str, /) -> Job:
        """Return a job. Raises: JobNotFoundError, UnavailableError."""
        return await self._on_loop(partial(self._maker.reader.get, job_id))

    async def cancel(self, job_id: str, /) -> Job:
        """Cancel a job. Raises: ConflictError, JobNotFoundError, UnavailableError."""
        return await self._on_loop(partial(self._maker.reader.cancel, job_id))

    async def settled(self, job_id: str, timeout_s: float) -> Job:
        """Return a job once it has settled, or as it is after `timeout_s`. Raises: as `ChildReader.settled`."""
        return await self._on_loop(partial(self._maker.reader.settled, job_id, timeout_s, self._running))

    def run_blocking(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run one of the calls above from a thread, and wait for it. Raises: NotBoundError, on the worker's loop."""
        if self._is_on_loop():
            raise NotBoundError("a SyncContext blocks, and this is the event loop of the worker, which must not stop")
        return super().run_blocking(call)

    def _keys_of(self, text: str, *, many: bool) -> ChildKeys:
        if self._keys is None:
            self._keys = {}
        return ChildKeys(self._running.id, text, many=many, used=self._keys)

    def _is_on_loop(self) -> bool:
        return has_loop() and asyncio.get_running_loop() is self._maker.loop

    async def _on_loop(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a call on the worker's loop, from wherever this is."""
        if self._is_on_loop():
            return await call()
        self._maker.check_reachable()
        return await answer_of(asyncio.run_coroutine_threadsafe(call(), self._maker.loop))
