"""Runs one delivery: decode, find the handler, call, decide, commit. Its lease is kept since it was claimed."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import anyio
import structlog

from millstream import App, Context
from millstream.context import Submitter, current_submitter
from millstream.handler import Handler
from millstream_contracts import Dead as DeadOutcome
from millstream_contracts import JobType, Outcome, Progress, RetryAt, TypePolicy
from millstream_streams import Delivery
from millstream_streams.store.specs import NewerSpec
from millstream_telemetry import Attempt, JobTracer, TraceContext, WorkerMetrics
from millstream_workers.attempt.attempt_result import (
    Happening,
    Interrupted,
    Interruption,
    Raised,
    Returned,
    TimedOut,
)
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.stop_scope import StopScope
from millstream_workers.child_jobs import ChildSubmitter
from millstream_workers.errors import SelfCancelledError
from millstream_workers.fetching.release_finder import ReleaseFinder
from millstream_workers.keeping.committer import Committer, Finished, attempt_outcome
from millstream_workers.keeping.lease_keeper import Holder
from millstream_workers.running.calling import Caller, queue_wait_s
from millstream_workers.running.clean_context import CleanContext
from millstream_workers.running.decision import Terms, decide


class Executor:
    """Runs deliveries; holds what they share."""

    def __init__(
        self,
        handlers: Mapping[JobType, Handler[..., Any]],
        *,
        caller: Caller,
        holder: Holder,
        committer: Committer,
        metrics: WorkerMetrics,
        tracer: JobTracer,
        submitter: ChildSubmitter,
        states: Mapping[App, Any],
        clean: CleanContext,
        releases: ReleaseFinder,
    ) -> None:
        self._handlers = handlers
        self._caller = caller
        self._holder = holder
        self._committer = committer
        self._metrics = metrics
        self._tracer = tracer
        self._submitter = submitter
        self._states = states
        self._clean = clean
        self._releases = releases
        # Bound now: the lazy logger would be made anew at each call, which costs as much as the rest of a no-op job.
        self._log = structlog.get_logger().bind()
        self.running: set[Running] = set()
        """Deliveries whose handlers run."""

    async def execute(self, running: Running, scope: StopScope) -> None:
        """Run one delivery to its end. Never raises: whatever a handler does is an outcome.

        `scope` surrounds the current task; the handler is stopped through it.
        """
        delivery = running.delivery
        handler = self._handlers[delivery.queue.type]
        terms = Terms.of(delivery.spec, handler.policy, delivery.attempts)
        wait_s = queue_wait_s(delivery)
        self.running.add(running)
        try:
            with self._attempt(delivery, terms, wait_s) as span:
                begun = time.perf_counter()
                happening = await self._happen(handler, running, scope, terms, span)
                run_s = time.perf_counter() - begun
                outcome = decide(happening, terms, span.traceparent)
                _mark(span, outcome)
        finally:
            self.running.discard(running)
        self._settle(running, outcome, handler.policy)
        if self._clean.is_current():
            scope.is_clean = True
            self._record(delivery, outcome, terms, wait_s, run_s, span)
        else:
            # What the handler has left in context variables belongs to no line but its own.
            self._clean.run(self._record, delivery, outcome, terms, wait_s, run_s, span)

    def fail(self, running: Running, error: Exception) -> None:
        """Settle a delivery as a failed attempt, because of a defect of this worker."""
        delivery = running.delivery
        policy = self._handlers[delivery.queue.type].policy
        terms = Terms.of(delivery.spec, policy, delivery.attempts)
        self._settle(running, decide(Raised(error), terms), policy)

    async def _happen(
        self, handler: Handler[..., Any], running: Running, scope: StopScope, terms: Terms, span: Attempt
    ) -> Happening:
        """Decode and call. Returns: what happened."""
        if running.interruption:  # while it waited for a slot, or to run alone
            return Interrupted(running.interruption)
        if type(running.delivery.spec) is NewerSpec and (left := await self._releases.look_newer(running.delivery)):
            return left
        try:
            payload = handler.decode(running.delivery.spec.payload)
        except BaseException as error:  # noqa: BLE001 - a payload's class may check itself, and raise anything
            return await self._releases.look(running.delivery, error)
        submitter = self._submitter.within(span.context)
        if handler.signature.takes_context:
            running.context = self._context(handler, running, terms, submitter)
        arguments = handler.arguments(payload, running.context)
        token = current_submitter.set(submitter)
        try:
            return await self._call(handler, arguments, running, scope, terms.timeout_s, span)
        finally:
            current_submitter.reset(token)

    async def _call(
        self,
        handler: Handler[..., Any],
        arguments: tuple[Any, ...],
        running: Running,
        scope: StopScope,
        timeout_s: float | None,
        span: Attempt,
    ) -> Happening:
        """Call the handler, which can be stopped for as long as it runs."""
        running.begin(scope, timeout_s)
        try:
            with span.handler(handler.__name__):
                return Returned(await self._caller.call(handler, arguments, running, timeout_s))
        except asyncio.CancelledError:
            if running.interruption is None:
                if _is_worker_cancelled():
                    raise
                return Raised(SelfCancelledError("the handler was cancelled by a task of its own"))
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything, and that is an outcome
            # One that was stopped often answers with an error of its own, "connection closed": that is no failure.
            if running.interruption is None:
                return Raised(error)
        finally:
            running.end()
        if running.interruption is Interruption.TIMED_OUT:
            return TimedOut(timeout_s or 0.0)
        return Interrupted(running.interruption)

    def _context(self, handler: Handler[..., Any], running: Running, terms: Terms, submitter: Submitter) -> Context:
        def note_progress(progress: Progress) -> None:
            running.progress = progress

        return Context(
            job_id=running.id,
            job_type=handler.type,
            attempt=terms.attempt,
            fence=running.delivery.deliveries,
            spec=running.delivery.spec,
            timeout_s=terms.timeout_s,
            state=self._states.get(handler.app),
            submitter=submitter,
            on_progress=note_progress,
        )

    def _attempt(self, delivery: Delivery, terms: Terms, wait_s: float) -> Attempt:
        return self._tracer.attempt(
            delivery.queue.type,
            delivery.id,
            TraceContext(delivery.spec.traceparent, delivery.spec.tracestate),
            attempt=terms.attempt,
            delivery=delivery.deliveries,
            queue_wait_ms=wait_s * 1000,
            tenant=delivery.queue.tenant,
            previous=delivery.last_error.traceparent if delivery.last_error else "",
        )

    def _settle(self, running: Running, outcome: Outcome | None, policy: TypePolicy) -> None:
        delivery = running.delivery
        if outcome is None:
            self._holder.let_go(delivery)
            self._metrics.count_attempts(delivery.queue.type, "lost")
            return
        self._committer.put(Finished(delivery, outcome, round(policy.result_ttl_s * 1000), running.unstored_progress))

    def _record(
        self,
        delivery: Delivery,
        outcome: Outcome | None,
        terms: Terms,
        wait_s: float,
        run_s: float,
        span: Attempt,
    ) -> None:
        """Measure the attempt, and write its one canonical line."""
        job_type = delivery.queue.type
        self._metrics.observe_queue_wait(job_type, wait_s, span.exemplar)
        self._metrics.observe_run(job_type, run_s, span.exemplar)
        error = outcome.error if isinstance(outcome, RetryAt | DeadOutcome) else None
        level = logging.WARNING if error or outcome is None else logging.INFO
        if not self._log.is_enabled_for(level):
            return
        self._log.log(
            level,
            "attempt finished",
            job_id=delivery.id,
            type=job_type,
            attempt=terms.attempt,
            delivery=delivery.deliveries,
            outcome="lost" if outcome is None else attempt_outcome(outcome),
            queue_wait_ms=round(wait_s * 1000),
            run_ms=round(run_s * 1000, 3),
            **({"trace_id": span.trace_id} if span.trace_id else {}),
            **({"error_type": error.type, "fingerprint": error.fingerprint} if error else {}),
            **({"delay_s": outcome.after_ms / 1000} if isinstance(outcome, RetryAt) else {}),
        )


def _is_worker_cancelled() -> bool:
    """Whether the worker around the handler is being cancelled, rather than its task by the handler itself."""
    return anyio.current_effective_deadline() == -math.inf


def _mark(span: Attempt, outcome: Outcome | None) -> None:
    match outcome:
        case RetryAt(after_ms, error):
            span.fail(error.type, error.message, after_ms / 1000)
        case DeadOutcome(_, error):
            span.fail(error.type, error.message)
        case None:
            span.fail(Interruption.LEASE_LOST.value)
        case _:
            return
