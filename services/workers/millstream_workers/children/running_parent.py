"""The parent of children whose handler runs in this worker, on its event loop or in a thread."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from millstream import NotBoundError
from millstream.jobs.blocking import answer_of, has_loop
from millstream.jobs.parent import Parent
from millstream_contracts import BatchId, CallAnswer, Job, JobId, StepAnswer, StepCode, StoredStep, Tenant
from millstream_submission import Membership
from millstream_telemetry import Attempt, TraceContext, current_trace_context
from millstream_workers.attempt.running import Running
from millstream_workers.children.call_desk import CallDesk
from millstream_workers.children.child_jobs import ChildSubmitter
from millstream_workers.children.child_keys import ChildKeys, KeysUsed
from millstream_workers.children.child_reader import ChildReader
from millstream_workers.children.refusals import InvalidChildError, as_unavailable, problem
from millstream_workers.children.step_keeper import StepKeeper

T = TypeVar("T")


class Parents(Protocol):
    """Makes the parent for each running job."""

    def parent(self, running: Running, span: Attempt) -> Parent:
        """Return a running job as a parent, whose children continue its trace."""
        ...

    def of(self, tenant: Tenant) -> "ParentMaker":
        """Return what makes the parents of a tenant."""
        ...


class TenantParents:
    """Makes the parent for each running job by its tenant: it makes and sees jobs of that tenant alone."""

    def __init__(self, maker_of: Callable[[Tenant], "ParentMaker"]) -> None:
        self._maker_of = maker_of
        self._makers: dict[Tenant, ParentMaker] = {}

    def parent(self, running: Running, span: Attempt) -> "RunningParent":
        """Return a running job as a parent, whose children continue its trace."""
        return self.of(running.delivery.queue.tenant).parent(running, span)

    def of(self, tenant: Tenant) -> "ParentMaker":
        """Return what makes the parents of a tenant."""
        if (maker := self._makers.get(tenant)) is None:
            maker = self._makers[tenant] = self._maker_of(tenant)
        return maker


class ParentMaker:
    """Makes the parent for each running job. Lives on the event loop."""

    def __init__(self, submitter: ChildSubmitter, reader: ChildReader, steps: StepKeeper, calls: CallDesk) -> None:
        self.submitter = submitter
        self.reader = reader
        self.steps = steps
        self.calls = calls
        self.loop = asyncio.get_running_loop()
        self._pid = os.getpid()

    def parent(self, running: Running, span: Attempt) -> "RunningParent":
        """Return a running job as a parent, whose children continue its trace."""
        return RunningParent(self, running, span)

    def of(self, tenant: Tenant) -> "ParentMaker":  # noqa: ARG002 - of the one that it is made for
        """Return this: it makes the parents of one tenant."""
        return self

    def check_reachable(self) -> None:
        """Raise NotBoundError where the worker cannot be asked any more."""
        if os.getpid() != self._pid:
            raise NotBoundError("a process that a handler has forked cannot submit jobs: the handler itself can")
        if self.loop.is_closed():
            raise NotBoundError("the worker of this handler has left")


class RunningParent(Parent):
    """A job that runs in this worker, as a parent. Any thread may call it, and any event loop of asyncio."""

    __slots__ = ("_batch", "_called", "_keys", "_maker", "_owner", "_running", "_span")

    def __init__(self, maker: ParentMaker, running: Running, span: Attempt) -> None:
        self._maker = maker
        self._running = running
        self._span = span
        self._keys: KeysUsed | None = None
        self._batch: BatchId | None = None
        self._owner: str | None = None
        """Who has submitted this job; None before it was asked for."""
        self._called: dict[str, list[JobId]] = {}
        """The settled jobs that a step has called, by its name."""

    async def store(
        self, contents: Sequence[bytes], idempotency_key: str | None, *, many: bool, as_members: bool = False
    ) -> list[JobId]:
        """Store submissions, all or none. Raises: InvalidChildError, ConflictError, UnavailableError."""
        trace = current_trace_context()
        store = partial(self.store_in, trace, contents, idempotency_key, many=many, as_members=as_members)
        return await self._on_loop(store)

    async def store_in(
        self,
        trace: TraceContext,
        contents: Sequence[bytes],
        idempotency_key: str | None,
        *,
        many: bool,
        as_members: bool = False,
    ) -> list[JobId]:
        """Do the same on the worker's loop, in the trace of the handler, or that of the job where it has none."""
        # A span of the handler's own is nearer; without a recorder there is none, and the job's trace goes on.
        within = trace if trace.traceparent else self._span.context
        pointed = [(f"/{index}" if many else "", content) for index, content in enumerate(contents)]
        keys = None if idempotency_key is None else self._keys_of(idempotency_key, many=many)
        try:
            with as_unavailable():
                membership = await self._membership() if as_members else None
                return await self._maker.submitter.submit(within, pointed, keys, membership, await self._submitted_by())
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

    async def read_steps(self) -> dict[str, StoredStep]:
        """Return what is stored of its steps, by name. Raises: UnavailableError."""
        return await self._on_loop(partial(self._maker.steps.read, self._running))

    async def save_step(self, name: str, version: str, kind: str, content: bytes) -> StepAnswer:
        """Store what a step has given. Raises: UnavailableError."""
        return await self._on_loop(partial(self._save, name, version, kind, content))

    async def call_jobs(self, name: str, contents: Sequence[bytes], known: Sequence[JobId]) -> CallAnswer:
        """Make the jobs that a step calls, or look at them. Raises: InvalidChildError, UnavailableError."""
        trace = current_trace_context()
        return await self._on_loop(partial(self.call_in, trace, name, contents, known))

    async def call_in(
        self, trace: TraceContext, name: str, contents: Sequence[bytes], known: Sequence[JobId]
    ) -> CallAnswer:
        """Do the same on the worker's loop, in the trace of the handler, or that of the job where it has none."""
        within = trace if trace.traceparent else self._span.context
        owner = await self._submitted_by()
        answer = await self._maker.calls.call(self._running, self._span, within, name, contents, known, owner=owner)
        self._called[name] = [job.id for job in answer.jobs]
        return answer

    async def await_step(self, name: str, signal: str, ends: str) -> StepAnswer:
        """Return whether a wait is over. Raises: UnavailableError."""
        return await self._on_loop(partial(self._maker.steps.wait, self._running, self._span, name, signal, ends))

    def run_blocking(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run one of the calls above from a thread, and wait for it. Raises: NotBoundError, on the worker's loop."""
        if self._is_on_loop():
            raise NotBoundError("a SyncContext blocks, and this is the event loop of the worker, which must not stop")
        return super().run_blocking(call)

    async def _save(self, name: str, version: str, kind: str, content: bytes) -> StepAnswer:
        answer = await self._maker.steps.save(self._running, self._span, name, version, kind, content)
        if kind == "call" and answer.code is StepCode.SAVED:
            await self._maker.calls.let_go(self._called.pop(name, []))
        return answer

    def _keys_of(self, text: str, *, many: bool) -> ChildKeys:
        if self._keys is None:
            self._keys = {}
        return ChildKeys(self._running.id, text, many=many, used=self._keys)

    async def _membership(self) -> Membership:
        """Return the batch of this job. Raises: InvalidChildError, when it is a member of none."""
        if self._batch is None:
            self._batch = await self._maker.reader.batch_of(self._running.id)
        if self._batch is None:
            raise InvalidChildError(problem(422, "this job is a member of no batch", "it cannot add to one"))
        return Membership(self._batch, self._running.id)

    async def _submitted_by(self) -> str:
        """Return who has submitted this job, and so its children: one question to Redis a run that makes some."""
        if self._owner is None:
            self._owner = await self._maker.reader.owner_of(self._running.id)
        return self._owner

    def _is_on_loop(self) -> bool:
        return has_loop() and asyncio.get_running_loop() is self._maker.loop

    async def _on_loop(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a call on the worker's loop, from wherever this is."""
        if self._is_on_loop():
            return await call()
        self._maker.check_reachable()
        return await answer_of(asyncio.run_coroutine_threadsafe(call(), self._maker.loop))
