"""Runs jobs of the ledger, one after the other, as a worker does: claim, execute, commit.

Time passes only here. While a test waits for a job, the clock moves to the next time at which something happens.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import ContextVar
from itertools import islice
from typing import Any

import anyio

from millstream.gathering import BatchHandler
from millstream.schedules import DeclaredSchedule
from millstream_contracts import BatchId, HandedBack, JobId, JobState
from millstream_streams import ActionCode, Delivery
from millstream_testing.errors import TestingError
from millstream_testing.memory.flows import Flow
from millstream_testing.memory.kit_batches import KitBatch
from millstream_testing.memory.ledger import Ledger
from millstream_testing.memory.memory_broker import running_job
from millstream_testing.memory.stored_job import StoredJob
from millstream_testing.running.callback_starter import CallbackStarter
from millstream_testing.running.faults import Faults
from millstream_testing.running.flow_starter import FlowStarter
from millstream_testing.running.occasions import Occasions
from millstream_testing.running.parts import RunnerParts
from millstream_testing.running.running_reader import Follow
from millstream_testing.virtual_clock import VirtualClock
from millstream_workers.attempt.attempt_result import Interruption, Raised, Unreadable
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.stop_scope import StopScope
from millstream_workers.running.execution import Execution

WORKER = "test-kit"

in_background: ContextVar[bool] = ContextVar("in_background", default=False)
"""Whether a handler runs while the test goes on."""

MAX_DELIVERIES = 1_000
"""A job that comes back more often waits for what never happens in the test."""


class JobRunner:
    """Runs jobs when a test asks for it. Lives on the event loop of the test."""

    def __init__(
        self,
        ledger: Ledger,
        clock: VirtualClock,
        faults: Faults,
        make_parts: Callable[[Follow], RunnerParts],
        schedules: Iterable[DeclaredSchedule] = (),
    ) -> None:
        """`make_parts` returns the parts for handlers that wait for jobs of this runner."""
        self._ledger = ledger
        self._clock = clock
        self._faults = faults
        self._running: dict[JobId, tuple[Running, int | None]] = {}
        """The deliveries whose handlers run, each with the time at which its timeout is reached."""
        self._background: dict[JobId, asyncio.Task[None]] = {}
        self.errors: dict[JobId, BaseException] = {}
        """What the handler of a job raised last."""
        self.parts = make_parts(self)
        self.parts.gatherer.open(self._start_call)
        self._calls: set[asyncio.Task[None]] = set()
        """The calls of batch handlers."""
        self._begins = False
        """Whether the call that starts now runs while the test goes on."""
        self._starter = FlowStarter(ledger.flows, self.parts.submitter, self.cancel)
        self._callbacks = CallbackStarter(ledger.batches, self.parts.submitter)
        self._occasions = Occasions(schedules, self.parts.submitter, ledger, clock, self.cancel)

    async def follow(self, job_id: JobId, until_ms: int | None = None) -> None:
        """Run a job, and those that it submits, until nothing moves them by itself or the time is over.

        A job that was submitted for later than its parent's end stays scheduled.
        """
        await self._follow(lambda job: self._is_of(job, job_id), until_ms, job_id)
        if until_ms is not None and not self._ledger.jobs[job_id].state.is_settled:
            await self._pass_to(until_ms)

    async def follow_flow(self, flow: Flow, until_ms: int) -> None:
        """Run the jobs of a workflow, and those that they submit, until nothing moves them or the time is over."""
        await self._follow(lambda job: self._is_of_flow(job, flow), until_ms)
        if not flow.state.is_settled:
            await self._pass_to(until_ms)

    async def follow_batch(self, batch: KitBatch, until_ms: int) -> None:
        """Run the members of a batch, and the jobs that they submit, until nothing moves them or the time is over."""
        await self._follow(lambda job: self._is_of_batch(job, batch), until_ms)
        if not self._ledger.batches.state_of(batch).is_terminal and batch.is_open:
            await self._pass_to(until_ms)

    async def _follow(
        self, is_ours: Callable[[StoredJob], bool], until_ms: int | None, job_id: JobId | None = None
    ) -> None:
        """Run some jobs until nothing moves them by itself or the time is over. `job_id` may run already."""
        while True:
            await self.start_nodes()
            if job_id is not None and (task := self._background.get(job_id)) is not None:
                await asyncio.shield(task)
            elif ready := self._next_ready(is_ours):
                await self.deliver(ready)
            elif (at_ms := self._next_of(is_ours, job_id)) is not None and (until_ms is None or at_ms <= until_ms):
                await self._pass_to(at_ms)
            else:
                break

    async def start_nodes(self) -> None:
        """Store the jobs of nodes of workflows that are ready, and of callbacks of batches that have fired."""
        await self._starter.run()
        await self._callbacks.run()

    async def run_ready(self) -> None:
        """Run jobs until none is ready, those of workflows included."""
        await self.start_nodes()
        while ready := self._next_ready(lambda _: True):
            await self.deliver(ready)
            await self.start_nodes()

    async def advance(self, by_ms: int) -> None:
        """Let time pass: run what is ready, and what becomes ready until then, each at its time."""
        until_ms = self._clock.now_ms + by_ms
        self._occasions.begin()
        await self.run_ready()
        while (at_ms := self._next_moment()) is not None and at_ms <= until_ms:
            await self._pass_to(at_ms)
            await self._occasions.fire()
            await self.run_ready()
            # One that waited for the end of a job.
            await self._occasions.fire()
            await self.run_ready()
        await self._pass_to(until_ms)

    async def begin(self, job_id: JobId) -> None:
        """Begin a job and let it run while the test goes on."""
        job = self._ledger.jobs[job_id]
        if job.state is not JobState.QUEUED or not self._is_handled(job):
            raise TestingError(f"{job_id} cannot be started: it is {job.state}")
        task = asyncio.get_running_loop().create_task(self.deliver([job], is_begun=True))
        self._background[job_id] = task
        task.add_done_callback(lambda _: self._background.pop(job_id, None))
        while job_id not in self._running and not task.done():
            await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()

    async def cancel(self, job_id: str) -> ActionCode:
        """Cancel a job, and stop its handler if it runs."""
        code = self._ledger.cancel(job_id)
        if code is ActionCode.REQUESTED:
            self.stop(JobId(job_id))
        return code

    def batch_of(self, job_id: JobId) -> BatchId | None:
        """Return the batch that a client has made of which a job is a member."""
        batch = self._ledger.batches.of_job.get(job_id)
        return batch.id if batch else None

    def stop(self, job_id: JobId) -> None:
        """Stop the handler of a job that is cancelled, if it runs."""
        if held := self._running.get(job_id):
            held[0].interrupt(Interruption.CANCELLED)

    async def follow_for(self, job_id: JobId, within_s: float) -> None:
        """Follow a job for a time, for a handler that waits for it."""
        await self.follow(job_id, self._clock.now_ms + round(within_s * 1000))

    async def close(self) -> None:
        """Stop the handlers that still run."""
        tasks = list(self._background.values())
        for running, _ in self._running.values():
            running.interrupt(Interruption.DRAINING)
        for task in [*tasks, *self._calls]:
            await asyncio.wait([task])

    async def deliver(self, jobs: Sequence[StoredJob], *, is_begun: bool = False) -> None:
        """Hand ready jobs to their handler, and commit what becomes of them; `is_begun`: while the test goes on.

        These are one job, or the jobs of one call of a batch handler.
        """
        claimed = [(job, delivery) for job in jobs if (delivery := self._claim(job)) is not None]
        if not claimed:
            return
        jobs = [job for job, _ in claimed]
        fault = self._faults.take(jobs[0].queue.type)
        if fault == "start":
            await self._lose(jobs)
            return
        executions = await self._execute([delivery for _, delivery in claimed], is_begun=is_begun)
        living = [execution for execution in executions if not self._faults.is_lost(execution.delivery)]
        if fault is not None or len(living) < len(executions):
            await self._lose(jobs)
        if fault == "twice":
            await self.deliver([job for job in jobs if job.state is JobState.QUEUED])
        for execution in living if fault != "end" else []:
            await self._commit(execution)

    def _claim(self, job: StoredJob) -> Delivery | None:
        if job.deliveries >= MAX_DELIVERIES:
            raise TestingError(f"{job.id} was delivered {job.deliveries} times and comes back again: see its handler")
        return self._ledger.claim(job, worker=WORKER, nonce=secrets.token_hex(4))

    def _next_ready(self, is_ours: Callable[[StoredJob], bool]) -> list[StoredJob]:
        """Return the next ready job, with all that a call of its batch handler takes; none when none is ready."""
        job = self._ledger.waiting.next_ready(lambda job: self._is_handled(job) and is_ours(job))
        if job is None:
            return []
        handler, queue = self.parts.handlers[job.queue.type], job.queue
        if not isinstance(handler, BatchHandler):
            return [job]
        beside = self._ledger.waiting.ready(lambda other: other.queue == queue and is_ours(other))
        return list(islice(beside, handler.gathering.size))

    async def _execute(self, deliveries: Sequence[Delivery], *, is_begun: bool) -> list[Execution]:
        """Execute deliveries in tasks of their own, which start in the context that was there before the first job."""
        all_running = [Running(delivery) for delivery in deliveries]
        create = asyncio.get_running_loop().create_task
        tasks = [
            self.parts.clean.run(create, self._execute_here(running, is_begun=is_begun)) for running in all_running
        ]
        try:
            if isinstance(self.parts.handlers[deliveries[0].queue.type], BatchHandler):
                await self._begin_call(tasks, is_begun=is_begun)
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            # The test is cancelled, not the handler: it ends as it does when its worker leaves.
            for running in all_running:
                running.interrupt(Interruption.DRAINING)
            with anyio.CancelScope(shield=True):
                await asyncio.wait(tasks)
            raise
        if errors := [error for task in tasks if (error := task.exception())]:
            raise errors[0]
        return [task.result() for task in tasks]

    async def _begin_call(self, tasks: Sequence["asyncio.Task[Execution]"], *, is_begun: bool) -> None:
        """Begin a call of a batch handler, once each of its jobs waits for it or has ended without it."""
        while self.parts.gatherer.waiting < sum(not task.done() for task in tasks):
            await anyio.lowlevel.checkpoint()
        self._begins = is_begun
        self.parts.gatherer.begin_all()

    def _start_call(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start the task of a call of a batch handler."""
        begins = self._begins

        async def call() -> None:
            in_background.set(begins)
            await run()

        task = asyncio.get_running_loop().create_task(call())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _execute_here(self, running: Running, *, is_begun: bool) -> Execution:
        delivery, executor = running.delivery, self.parts.executor
        running_job.set(delivery.id)
        in_background.set(is_begun)
        with StopScope(self.parts.settings.cleanup_s) as scope:
            execution = executor.prepare(running, scope)
            timeout_s = execution.policy.timeout_s
            overdue_at_ms = None if timeout_s is None else self._clock.now_ms + round(timeout_s * 1000)
            self._running[delivery.id] = running, overdue_at_ms
            try:
                await executor.execute(execution)
                executor.record(execution)
            finally:
                self._running.pop(delivery.id, None)
        if isinstance(execution.result, Raised) and isinstance(execution.result.error, TestingError):
            raise execution.result.error  # a stub cannot do what the test wants: no failure of the handler
        return execution

    async def _commit(self, execution: Execution) -> None:
        """Commit an outcome, as the pipeline of a worker does it."""
        delivery, outcome = execution.delivery, execution.outcome
        if isinstance(execution.result, Raised | Unreadable):
            self.errors[delivery.id] = execution.result.error
        if outcome is None:
            return
        ttl_ms = round(execution.handler.policy.result_ttl_s * 1000)
        self._ledger.commit(delivery, outcome, ttl_ms=ttl_ms, progress=execution.running.unstored_progress)
        if not isinstance(outcome, HandedBack):
            await self._announce(delivery.id)

    async def _lose(self, jobs: Sequence[StoredJob]) -> None:
        """Have the worker of running jobs vanish; they are recovered when the lease is over."""
        settings = self.parts.settings
        await self._pass_to(self._clock.now_ms + round(settings.lease_s * 1000))
        for job in jobs:
            self._ledger.recover(job, max_crashes=settings.max_crashes)
            await self._announce(job.id)

    async def _announce(self, job_id: JobId) -> None:
        """Submit the job of `on_dead`, as a child of the job that is dead."""
        job = self._ledger.jobs[job_id]
        if job.state is not JobState.DEAD or job.queue.type not in self.parts.announcer.on_dead:
            return
        token = running_job.set(job_id)
        try:
            while (await self.parts.announcer.run_once()).more:
                pass
        finally:
            running_job.reset(token)

    async def _pass_to(self, at_ms: int) -> None:
        """Move the clock, and do what is due by then."""
        self._clock.move_to(at_ms)
        self._ledger.release_due()
        self._ledger.expire()
        self._ledger.batches.expire()
        for job_id, (running, overdue_at_ms) in list(self._running.items()):
            if overdue_at_ms is not None and overdue_at_ms <= self._clock.now_ms:
                self._running[job_id] = running, None
                running.time_out()
                if task := self._background.get(job_id):
                    await asyncio.wait([task])

    def _next_moment(self) -> int | None:
        overdue = [at_ms for _, at_ms in self._running.values() if at_ms is not None]
        due = self._ledger.waiting.next_moment()
        occasion = self._occasions.next_moment()
        return min([*overdue, *(at_ms for at_ms in (due, occasion) if at_ms is not None)], default=None)

    def _next_of(self, is_ours: Callable[[StoredJob], bool], job_id: JobId | None) -> int | None:
        """Return when one of some jobs comes back that has run, or is `job_id` or of a node; None when none does."""
        times = [
            job.run_at_ms
            for job in self._ledger.waiting.scheduled()
            if job.run_at_ms is not None
            and not job.waits_for_ever
            and (
                job.id == job_id
                or ((job.deliveries or job.node or job.id in self._ledger.batches.of_job) and is_ours(job))
            )
        ]
        held = [until_ms for job, until_ms in self._ledger.waiting.held() if job.id == job_id or is_ours(job)]
        return min([*times, *held], default=None)

    def _is_awaited(self, job: StoredJob) -> bool:
        """Return whether what a job belongs to is not over before it: it has run, or is of a workflow or a batch."""
        return bool(job.deliveries or job.node or job.id in self._ledger.batches.of_job)

    def _is_handled(self, job: StoredJob) -> bool:
        return job.queue.type in self.parts.handlers

    def _is_of_flow(self, job: StoredJob, flow: Flow) -> bool:
        """Return whether a job is of a node of this workflow, or was submitted by one or by one of its children."""
        while job.parent is not None:
            job = self._ledger.jobs[job.parent]
        return job.node is not None and job.node.workflow == flow.id

    def _is_of_batch(self, job: StoredJob, batch: KitBatch) -> bool:
        """Return whether a job is a member, or was submitted by one or by one of its children."""
        while job.id not in self._ledger.batches.of_job and job.parent is not None:
            job = self._ledger.jobs[job.parent]
        return self._ledger.batches.of_job.get(job.id) is batch

    def _is_of(self, job: StoredJob, root: JobId) -> bool:
        """Return whether a job is this one, or was submitted by it or by one of its children."""
        while job.id != root:
            if job.parent is None:
                return False
            job = self._ledger.jobs[job.parent]
        return True
