"""Runs one delivery: starts its span, decodes the payload, calls the handler, decides, and records the attempt.

The lease of the delivery is kept meanwhile by the lease keeper. The pipeline hands the outcome over.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import msgspec
import structlog
from msgspec.structs import replace

from millstream.context import BaseContext
from millstream.handler import Handler
from millstream.jobs.submitter import ParentJob, current_submitter
from millstream_codec import PAYLOAD, Codec, KeyLostError, Place, is_coded, is_sealed
from millstream_contracts import Calling, JobError, JobType, Outcome, Progress, RetryAt, Snoozed, Succeeded, Waiting
from millstream_contracts import Dead as DeadOutcome
from millstream_streams import Delivery, StoreUnavailableError
from millstream_streams.store.specs import NewerSpec
from millstream_telemetry import (
    Attempt,
    JobFields,
    JobTracer,
    SecretTexts,
    TraceContext,
    WorkerMetrics,
    current_job,
    names,
)
from millstream_workers.attempt.attempt_result import (
    AttemptResult,
    Interrupted,
    Interruption,
    Raised,
    Returned,
    TimedOut,
    Unreadable,
)
from millstream_workers.attempt.failure import whereabouts_of
from millstream_workers.attempt.running import Running
from millstream_workers.attempt.secret_texts import progress_without, secrets_of, without_secrets
from millstream_workers.attempt.stop_scope import StopScope
from millstream_workers.children.running_parent import Parents
from millstream_workers.errors import SelfCancelledError
from millstream_workers.fetching.release_finder import ReleaseFinder
from millstream_workers.keeping.committer import attempt_outcome
from millstream_workers.running.calling import Caller, queue_wait_s
from millstream_workers.running.clean_context import CleanContext
from millstream_workers.running.decision import decide
from millstream_workers.running.execution import Execution

KEY_AGAIN_AFTER_S = 1.0
"""When a job runs again whose data key could not be read, because Redis was away."""


class Executor:
    """Executes deliveries, with the parts that all of them share."""

    def __init__(
        self,
        handlers: Mapping[JobType, Handler],
        *,
        caller: Caller,
        metrics: WorkerMetrics,
        tracer: JobTracer,
        parents: Parents,
        states: Mapping[JobType, Any],
        clean: CleanContext,
        releases: ReleaseFinder,
        logs_messages: bool = False,
        line_bytes: int = 0,
        codec: Codec | None = None,
    ) -> None:
        """`logs_messages`: whether the line of a failed attempt has the message of its error.

        `line_bytes` is what the log lines that are kept of an attempt may take; 0: none are kept.
        """
        self._handlers = handlers
        self._caller = caller
        self._metrics = metrics
        self._tracer = tracer
        self._parents = parents
        self._states = states
        self._clean = clean
        self._releases = releases
        self._logs_messages = logs_messages
        self._line_bytes = line_bytes
        self._codec = codec or Codec()
        # Bound now: the lazy logger would be made anew at each call, which costs as much as the rest of a no-op job.
        self._log = structlog.get_logger().bind()
        self.running: set[Running] = set()
        """Deliveries whose handlers run."""

    def prepare(self, running: Running, scope: StopScope) -> Execution:
        """Return the execution of a delivery in the task that `scope` surrounds."""
        return Execution(running, self._handlers, scope)

    async def execute(self, execution: Execution) -> None:
        """Run a delivery up to its outcome. Whatever the handler does is an outcome and is not raised."""
        running, delivery = execution.running, execution.delivery
        self.running.add(running)
        try:
            execution.span = self._span_of(
                delivery, _stored_trace(delivery), execution.policy.attempt, execution.queue_wait_s
            )
            with execution.span:
                token = current_job.set(self._job_fields(execution))
                try:
                    await self._run(execution)
                finally:
                    current_job.reset(token)
                _mark(execution.span, execution.outcome, is_secret=self._is_secret(running))
        finally:
            self.running.discard(running)

    async def _run(self, execution: Execution) -> None:
        begun = time.perf_counter()
        execution.result = await self._decode_and_call(execution)
        execution.run_s = time.perf_counter() - begun
        execution.outcome = decide(
            execution.result,
            execution.policy,
            execution.span.traceparent,
            gives=execution.handler.result_type,
            retry=execution.handler.retry,
        )
        if (secrets := execution.running.secrets) is not None:
            execution.outcome = without_secrets(execution.outcome, secrets)

    def skip(self, delivery: Delivery, outcome: Outcome) -> None:
        """Record the outcome of a delivery that was not run in the trace of its job."""
        stored = _stored_trace(delivery)
        if not stored.is_sampled:
            return
        with self._span_of(delivery, stored, delivery.attempts + 1, queue_wait_s(delivery)) as span:
            _mark(span, outcome)

    def fail(self, execution: Execution, error: Exception) -> None:
        """Decide about a delivery that a defect of this worker kept from being executed: its attempt has failed."""
        execution.result = Raised(error)
        execution.outcome = decide(execution.result, execution.policy)

    def record(self, execution: Execution) -> None:
        """Measure the attempt and write its log line, outside of the context that the handler has left behind."""
        if self._clean.is_current():
            execution.scope.is_clean = True
            self._record(execution)
        else:
            # What the handler has left in context variables belongs to no line but its own.
            self._clean.run(self._record, execution)

    def _job_fields(self, execution: Execution) -> JobFields:
        delivery, running = execution.delivery, execution.running
        job_type = delivery.queue.type
        running.line_bytes = 0 if execution.handler.policy.kept_logs == "none" else self._line_bytes
        keeper = running if running.line_bytes else None
        return JobFields(delivery.id, job_type, execution.policy.attempt, execution.span.trace_id, keeper)

    def _span_of(self, delivery: Delivery, stored: TraceContext, attempt: int, wait_s: float) -> Attempt:
        return self._tracer.attempt(
            delivery.queue.type,
            delivery.id,
            stored,
            attempt=attempt,
            delivery=delivery.deliveries,
            queue_wait_ms=wait_s * 1000,
            tenant=delivery.queue.tenant,
            failed=delivery.last_error.traceparent if delivery.last_error else "",
        )

    async def _decode_and_call(self, execution: Execution) -> AttemptResult:
        running, handler = execution.running, execution.handler
        if running.interruption:  # while it waited for a slot, or to run alone
            return Interrupted(running.interruption)
        delivery = execution.delivery
        if type(delivery.spec) is NewerSpec and (left := await self._releases.look_newer(delivery)):
            return left
        try:
            stored = await self._opened(execution)
            if handler.secrets is not None:
                _keep_secrets(running, secrets_of(handler, stored))
            payload = handler.decode(stored)
        except StoreUnavailableError as error:
            return Unreadable(error, KEY_AGAIN_AFTER_S)
        except KeyLostError as error:
            # A process without any keys was not told of them: the job is for another worker.
            return Unreadable(error, None if self._codec.keyring else KEY_AGAIN_AFTER_S)
        except BaseException as error:  # noqa: BLE001 - a payload's class may check itself, and raise anything
            return await self._releases.look(delivery, error)
        parent = self._parents.parent(running, execution.span)
        if (kind := handler.signature.context) is not None:
            running.context = self._context(kind, execution, parent)
        token = current_submitter.set(parent)
        try:
            return await self._call(execution, handler.arguments(payload, running.context))
        finally:
            current_submitter.reset(token)

    async def _opened(self, execution: Execution) -> msgspec.Raw:
        """Return the payload as it was submitted, and have all others see it so. Raises: CodecError."""
        delivery = execution.delivery
        stored = delivery.spec.payload
        if not is_coded(stored):
            return stored
        if is_sealed(stored):
            # It stays encrypted in all that it gives, whatever its tenant says by now.
            execution.running.coding = execution.running.coding._replace(encrypt=True)
        place = Place(delivery.queue.tenant, delivery.id, PAYLOAD)
        payload = msgspec.Raw(await self._codec.read(bytes(stored), place))
        execution.delivery = replace(delivery, spec=replace(delivery.spec, payload=payload))
        execution.running.delivery = execution.delivery
        return payload

    async def _call(self, execution: Execution, arguments: tuple[Any, ...]) -> AttemptResult:
        """Call the handler, which can be stopped while it runs."""
        running, timeout_s = execution.running, execution.policy.timeout_s
        running.begin(execution.scope, timeout_s)
        try:
            handler = execution.handler
            with execution.span.handler(handler.__name__, handler.code, running.stop_reason, self._hiding(running)):
                return Returned(await self._caller.call(execution.handler, arguments, running, timeout_s))
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
            return TimedOut(timeout_s or 0.0, running.stack)
        return Interrupted(running.interruption)

    def _hiding(self, running: Running) -> Callable[[str], str] | None:
        """Return what takes out of an error what its span may not have; None where it may have all."""
        if self._is_secret(running):
            return lambda _: ""
        return None if running.secrets is None else running.hidden

    def _is_secret(self, running: Running) -> bool:
        """Return whether what a job gives is stored encrypted, so that neither spans nor the log may have it."""
        return self._codec.encrypts(running.coding, running.delivery.queue.tenant)

    def _context(self, kind: type[BaseContext[Any]], execution: Execution, parent: ParentJob) -> BaseContext[Any]:
        running, delivery = execution.running, execution.delivery

        def note_progress(progress: Progress) -> None:
            running.progress = progress_without(progress, running.secrets)

        return kind(
            job_id=delivery.id,
            job_type=execution.handler.type,
            attempt=execution.policy.attempt,
            fence=delivery.deliveries,
            spec=delivery.spec,
            timeout_s=execution.policy.timeout_s,
            state=self._states.get(delivery.queue.type),
            submitter=parent,
            on_progress=note_progress,
        )

    def _record(self, execution: Execution) -> None:
        delivery, outcome, span = execution.delivery, execution.outcome, execution.span
        job_type = delivery.queue.type
        self._metrics.observe_queue_wait(job_type, execution.queue_wait_s, span.exemplar)
        self._metrics.observe_run(job_type, execution.run_s, span.exemplar)
        error = outcome.error if isinstance(outcome, RetryAt | DeadOutcome) else None
        level = logging.WARNING if error or outcome is None else logging.INFO
        if not self._log.is_enabled_for(level):
            return
        self._log.log(
            level,
            "attempt finished",
            job_id=delivery.id,
            type=job_type,
            attempt=execution.policy.attempt,
            delivery=delivery.deliveries,
            outcome="lost" if outcome is None else attempt_outcome(outcome),
            queue_wait_ms=round(execution.queue_wait_s * 1000),
            run_ms=round(execution.run_s * 1000, 3),
            **({"trace_id": span.trace_id} if span.trace_id else {}),
            **({"error_type": error.type, "fingerprint": error.fingerprint} if error else {}),
            **(self._told(execution, error) if error else {}),
            **({"delay_s": outcome.after_ms / 1000} if isinstance(outcome, RetryAt) else {}),
        )

    def _told(self, execution: Execution, error: JobError) -> dict[str, str]:
        """Return where a failed attempt has failed; its message only where the log may have it."""
        place = whereabouts_of(execution.result)
        is_told = self._logs_messages and not self._is_secret(execution.running)
        message = {"error": " ".join(error.message.split())} if is_told else {}
        return message | ({"exception": place} if place else {})


def _keep_secrets(running: Running, secrets: SecretTexts | None) -> None:
    """Note what is secret of a job, and keep it out of the log lines from here on."""
    running.secrets = secrets
    if (fields := current_job.get()) is not None:
        current_job.set(replace(fields, secrets=secrets))


def _is_worker_cancelled() -> bool:
    """Whether the worker around the handler is being cancelled, rather than its task by the handler itself."""
    return anyio.current_effective_deadline() == -math.inf


def _stored_trace(delivery: Delivery) -> TraceContext:
    return TraceContext(delivery.spec.traceparent, delivery.spec.tracestate)


def _mark(span: Attempt, outcome: Outcome | None, *, is_secret: bool = False) -> None:
    """Record how an attempt has ended; without the message of an error that is a secret."""
    if isinstance(outcome, Succeeded):  # most are
        span.conclude("ok")
        return
    match outcome:
        case RetryAt(after_ms, error):
            word, delay_s = attempt_outcome(outcome), after_ms / 1000
            span.conclude(word, error_type=error.type, message="" if is_secret else error.message, delay_s=delay_s)
        case DeadOutcome(reason, error):
            message = "" if is_secret else error.message
            span.conclude(names.DEAD, error_type=error.type, message=message, reason=reason)
        case Snoozed(after_ms, _) | Waiting(_, after_ms):
            span.conclude(names.SNOOZED, delay_s=after_ms / 1000)
        case Calling():
            span.conclude(names.SNOOZED)
        case None:
            span.conclude("lost", error_type="lost")
        case _:
            span.conclude(attempt_outcome(outcome))
