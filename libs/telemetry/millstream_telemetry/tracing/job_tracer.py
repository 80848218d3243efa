"""The spans of a job's life, made by ingest, workers and the reaper.

The decision to record a trace is taken once, when the job is accepted, and travels with it: a stored
context that is not sampled never costs more than a look at its last digit.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Self

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ParentBased
from opentelemetry.trace import Span, SpanKind, TracerProvider

from millstream_contracts import DEFAULT_TENANT
from millstream_telemetry import names
from millstream_telemetry.tracing.attempt_span import Attempt, RecordedAttempt, UnsampledAttempt
from millstream_telemetry.tracing.delivery_spans import (
    MAX_LINKS,
    Attributes,
    DeliverySpanStarter,
    PastDelivery,
    links_to,
)
from millstream_telemetry.tracing.handler_span import mark_failed
from millstream_telemetry.tracing.request_span import ServerSpan, TracedServerSpan, UnsampledServerSpan
from millstream_telemetry.tracing.sampling import RootSampler
from millstream_telemetry.tracing.search_span import RecordedSearchSpan, SearchSpan
from millstream_telemetry.tracing.send_span import RecordedSendSpan, SendSpan
from millstream_telemetry.tracing.trace_context import NO_TRACE, TraceContext, read_trace_context, trace_context_of

Propagation = Literal["auto", "child", "link"]
"""Whether a job continues its caller's trace, or starts one that links to it. `auto` links batch items and
jobs delayed by more than LINK_ABOVE_DELAY_S: backends do not keep a trace together that is open for hours, and a trace
of thousands of jobs is unreadable."""

LINK_ABOVE_DELAY_S = 300.0

CONSUMER_GROUP = "workers"


class JobTracer:
    """Makes the spans of jobs. Without a provider it only passes contexts on."""

    def __init__(
        self,
        provider: TracerProvider | None,
        *,
        propagation: Propagation = "auto",
        not_errors: tuple[type[BaseException], ...] = (),
        client: str = "",
    ) -> None:
        """Trace with a provider; `not_errors` are exceptions by which a handler steers without failing.

        `client` is the name of the worker that makes the spans.
        """
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer(names.SCOPE)
        self._deliveries = None if self._tracer is None else DeliverySpanStarter(self._tracer)
        self._roots = RootSampler(provider)
        # With such a sampler a caller that does not sample decides, and the sampler is not asked.
        self._follows_caller = isinstance(getattr(provider, "sampler", None), ParentBased)
        self._propagation = propagation
        self._not_errors = not_errors
        self._client = client

    def of_client(self, name: str) -> Self:
        """Return the same tracer with the name of a worker on its messaging spans."""
        return type(self)(self._provider, propagation=self._propagation, not_errors=self._not_errors, client=name)

    @property
    def is_on(self) -> bool:
        """Whether spans are made at all."""
        return self._tracer is not None

    def server(
        self,
        method: str,
        route: str,
        traceparent: str = "",
        tracestate: str = "",
        describe: Callable[[], Attributes] = dict,
    ) -> ServerSpan:
        """Return the span of a request, to be entered, as a child of what the caller's headers say.

        `describe` returns further attributes of the request; it is called only when a span is made.
        """
        caller = read_trace_context(traceparent, tracestate) if traceparent else NO_TRACE
        if self._tracer is None:
            return ServerSpan(caller)
        if caller.traceparent:
            if not caller.is_sampled and self._follows_caller:
                return UnsampledServerSpan(caller)
        elif (unrecorded := self._roots.unrecorded()).traceparent:
            return UnsampledServerSpan(unrecorded)
        attributes = {names.HTTP_METHOD: method, names.HTTP_ROUTE: route, **describe()}
        return TracedServerSpan(
            self._tracer.start_span(names.server_span(method, route), caller.as_parent(), SpanKind.SERVER, attributes)
        )

    def search(self, request: ServerSpan) -> SearchSpan:
        """Return the span of a search that a request asks for, to be entered."""
        if self._tracer is None or not request.context.is_sampled:
            return SearchSpan()
        return RecordedSearchSpan(self._tracer.start_span(names.SEARCH, request.context.as_parent(), SpanKind.INTERNAL))

    def send(
        self,
        job_type: str,
        job_id: str,
        caller: TraceContext,
        *,
        tenant: str = DEFAULT_TENANT,
        delay_s: float = 0.0,
        is_batch_item: bool = False,
        behind: Sequence[TraceContext] = (),
    ) -> SendSpan:
        """Start the span `send <type>` and return it. Its caller ends it by `stored` once the job is stored, if it is.

        `caller` is the context of the request, or of the attempt that submits a child job. It is passed on as
        it is when tracing is off. `behind` are spans of the jobs that it waits for; it links to MAX_LINKS at most.
        """
        if self._tracer is None:
            return SendSpan(caller)
        is_linked = bool(caller.traceparent) and self._starts_a_trace(delay_s, is_batch_item)
        if caller.traceparent and not is_linked and not caller.is_sampled:
            return SendSpan(caller)
        if is_linked and self._roots.is_unrecorded():
            return SendSpan(caller.unsampled())
        if not caller.traceparent and (unrecorded := self._roots.unrecorded()).traceparent:
            return SendSpan(unrecorded)
        span = self._tracer.start_span(
            names.send_span(job_type),
            Context() if is_linked else caller.as_parent(),
            SpanKind.PRODUCER,
            links=links_to(*((caller,) if is_linked else ()), *behind[:MAX_LINKS]),
        )
        if not span.is_recording():
            return SendSpan(caller.unsampled() if is_linked else trace_context_of(span.get_span_context()))
        # Set after sampling: about 1 % of spans are recorded, and the SDK takes longer with attributes at the start.
        span.set_attributes(self._messaging("send", job_type, job_id, tenant))
        return RecordedSendSpan(span)

    def attempt(
        self,
        job_type: str,
        job_id: str,
        stored: TraceContext,
        *,
        attempt: int,
        delivery: int,
        queue_wait_ms: float = 0.0,
        tenant: str = DEFAULT_TENANT,
        failed: str = "",
    ) -> Attempt:
        """Return the span `process <type>`, to be entered, as a child of the context stored in the job.

        It links to the delivery before it, and to the attempt that failed last: `failed` is the traceparent of that
        one, as its error holds it.
        """
        if self._tracer is None or self._deliveries is None:
            return Attempt(stored)
        if stored.traceparent:
            if not stored.is_sampled:
                return UnsampledAttempt(stored)
        elif (unrecorded := self._roots.unrecorded()).traceparent:
            return UnsampledAttempt(unrecorded)
        span = self._deliveries.start(
            names.process_span(job_type), stored, job_id=job_id, delivery=delivery, failed=failed
        )
        if not span.is_recording():
            unsampled = trace_context_of(span.get_span_context())
            return UnsampledAttempt(unsampled) if unsampled.traceparent else Attempt(stored)
        # Set after sampling, as above.
        attributes = self._messaging("process", job_type, job_id, tenant)
        attributes[names.CONSUMER_GROUP] = CONSUMER_GROUP
        attributes[names.JOB_ATTEMPT] = attempt
        attributes[names.JOB_DELIVERY] = delivery
        attributes[names.JOB_QUEUE_WAIT_MS] = queue_wait_ms
        span.set_attributes(attributes)
        return RecordedAttempt(self._tracer, span, self._not_errors)

    def recover(self, lost: PastDelivery, *, reason: str) -> None:
        """Record in the job's trace that the reaper took the job back from a worker that vanished."""
        attributes = {names.JOB_OUTCOME: "lost", names.JOB_REASON: reason}
        if span := self._note(names.RECOVER, lost, attributes):
            span.end()

    def bury(self, lost: PastDelivery, *, reason: str, message: str = "") -> None:
        """Record in the job's trace that the job is dead without a failed attempt. `reason` is the `error.type` too."""
        attributes = {names.JOB_OUTCOME: names.DEAD, names.JOB_REASON: reason}
        if span := self._note(names.BURY, lost, attributes):
            span.add_event(names.DEAD, {names.JOB_REASON: reason})
            mark_failed(span, reason, message)
            span.end()

    def operation(self, kind: str, operation_id: str) -> ServerSpan:
        """Return the span of a page of an operation, to be entered."""
        if self._tracer is None or (unrecorded := self._roots.unrecorded()).traceparent:
            return ServerSpan(NO_TRACE if self._tracer is None else unrecorded)
        attributes = {names.OPERATION_ID: operation_id}
        return TracedServerSpan(
            self._tracer.start_span(names.operation_span(kind), Context(), SpanKind.INTERNAL, attributes)
        )

    def occasion(self, schedule: str, nominal: str, late_s: float) -> ServerSpan:
        """Return the span of an occasion of a schedule that starts a job, to be entered: the root of its trace."""
        if self._tracer is None or (unrecorded := self._roots.unrecorded()).traceparent:
            return ServerSpan(NO_TRACE if self._tracer is None else unrecorded)
        attributes: Attributes = {names.SCHEDULE: schedule, names.SCHEDULED_FOR: nominal, names.LATENESS_S: late_s}
        return TracedServerSpan(
            self._tracer.start_span(names.fire_span(schedule), Context(), SpanKind.INTERNAL, attributes)
        )

    def batch_call(self, job_type: str, jobs_spans: Sequence[TraceContext], *, jobs: int) -> ServerSpan:
        """Return the span of a call of a batch handler, to be entered. It links to MAX_LINKS of its jobs at most."""
        if self._tracer is None or not jobs_spans:
            return ServerSpan(NO_TRACE)
        attributes: Attributes = {names.DESTINATION: job_type, names.BATCH_COUNT: jobs}
        links = links_to(*jobs_spans[:MAX_LINKS])
        return TracedServerSpan(
            self._tracer.start_span(
                names.batch_call_span(job_type), Context(), SpanKind.INTERNAL, attributes, links=links
            )
        )

    def send_workflow(
        self, name: str, workflow_id: str, caller: TraceContext, *, tenant: str = DEFAULT_TENANT
    ) -> SendSpan:
        """Start the span `send workflow <name>` and return it. Its caller ends it by `stored` once it is stored.

        `caller` is the context of the request.
        """
        return self._send_flow(names.send_workflow_span(name), {names.WORKFLOW_ID: workflow_id}, caller, tenant)

    def send_batch(self, name: str, batch_id: str, caller: TraceContext, *, tenant: str = DEFAULT_TENANT) -> SendSpan:
        """Start the span `send batch <name>`, as :meth:`send_workflow` does."""
        return self._send_flow(names.send_batch_span(name), {names.BATCH_ID: batch_id}, caller, tenant)

    def workflow(
        self,
        name: str,
        workflow_id: str,
        sent: TraceContext,
        *,
        created_ms: int,
        finished_ms: int,
        state: str,
        counts: Mapping[str, int],
    ) -> None:
        """Record a workflow that has ended, as a child of the span that submitted it. `counts` is nodes by state."""
        attributes: dict[str, str | int] = {names.WORKFLOW_ID: workflow_id, names.WORKFLOW_STATE: state}
        attributes |= {f"{names.WORKFLOW_NODES}.{one}": number for one, number in counts.items()}
        self._record_flow(names.workflow_span(name), attributes, sent, created_ms, finished_ms)

    def batch(
        self,
        name: str,
        batch_id: str,
        sent: TraceContext,
        *,
        created_ms: int,
        finished_ms: int,
        state: str,
        counts: Mapping[str, int],
    ) -> None:
        """Record a batch that has ended, as a child of the span that submitted it. `counts` is members by state."""
        attributes: dict[str, str | int] = {names.BATCH_ID: batch_id, names.BATCH_STATE: state}
        attributes |= {f"{names.BATCH_MEMBERS}.{one}": number for one, number in counts.items()}
        self._record_flow(names.batch_span(name), attributes, sent, created_ms, finished_ms)

    def _send_flow(self, span: str, attributes: Attributes, caller: TraceContext, tenant: str) -> SendSpan:
        if self._tracer is None or (caller.traceparent and not caller.is_sampled):
            return SendSpan(caller)
        if not caller.traceparent and (unrecorded := self._roots.unrecorded()).traceparent:
            return SendSpan(unrecorded)
        every = {**(attributes or {}), names.JOB_TENANT: tenant}
        return RecordedSendSpan(self._tracer.start_span(span, caller.as_parent(), SpanKind.PRODUCER, every))

    def _record_flow(
        self, name: str, attributes: Attributes, sent: TraceContext, created_ms: int, finished_ms: int
    ) -> None:
        if self._tracer is None or not sent.is_sampled:
            return
        begun = created_ms * 1_000_000
        span = self._tracer.start_span(name, sent.as_parent(), SpanKind.INTERNAL, attributes, start_time=begun)
        span.end(end_time=finished_ms * 1_000_000)

    def redrive(self, last: PastDelivery, *, failed: str = "", request: ServerSpan, operation: str = "") -> None:
        """Record in the job's trace that it was redriven, and link that span and what asked for it.

        `failed` is the traceparent of the attempt that failed last, as far as it is known; `operation` the id of the
        operation that did it, if one did.
        """
        asked = request.context if request.context.is_sampled else NO_TRACE
        attributes = {names.OPERATION_ID: operation} if operation else {}
        if span := self._note(names.REDRIVE, last, attributes, TraceContext(failed), asked):
            span.end()
            request.leads_to(trace_context_of(span.get_span_context()))

    def _note(self, name: str, past: PastDelivery, attributes: Attributes, *linked: TraceContext) -> Span | None:
        """Start a span in the trace of a job that links to a delivery of it; None if the trace is not recorded."""
        if self._tracer is None or not past.stored.is_sampled:
            return None
        return self._tracer.start_span(
            name,
            past.stored.as_parent(),
            SpanKind.INTERNAL,
            {**past.attributes(), **attributes},
            links_to(past.span, *linked),
        )

    def _messaging(self, operation: str, job_type: str, job_id: str, tenant: str) -> dict[str, str | int | float]:
        attributes: dict[str, str | int | float] = {
            names.SYSTEM: "millstream",
            names.OPERATION_NAME: operation,
            names.OPERATION_TYPE: operation,
            names.DESTINATION: job_type,
            names.MESSAGE_ID: job_id,
            names.JOB_TENANT: tenant,
        }
        if self._client:
            attributes[names.CLIENT_ID] = self._client
        return attributes

    def _starts_a_trace(self, delay_s: float, is_batch_item: bool) -> bool:
        if self._propagation == "auto":
            return is_batch_item or delay_s > LINK_ABOVE_DELAY_S
        return self._propagation == "link"
