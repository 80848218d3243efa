"""The spans of a job's life, made by ingest, workers and the reaper.

The decision to record a trace is taken once, when the job is accepted, and travels with it: a stored
context that is not sampled never costs more than a look at its last digit.
"""

from typing import Literal

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ParentBased
from opentelemetry.trace import Link, SpanKind, TracerProvider

from millstream_contracts import DEFAULT_TENANT
from millstream_telemetry import names
from millstream_telemetry.tracing.attempt_span import Attempt, RecordedAttempt, UnsampledAttempt
from millstream_telemetry.tracing.request_span import ServerSpan, TracedServerSpan, UnsampledServerSpan
from millstream_telemetry.tracing.sampling import RootSampler
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
    ) -> None:
        """Trace with a provider; `not_errors` are exceptions by which a handler steers without failing."""
        self._tracer = None if provider is None else provider.get_tracer(names.SCOPE)
        self._roots = RootSampler(provider)
        # With such a sampler a caller that does not sample decides, and the sampler is not asked.
        self._follows_caller = isinstance(getattr(provider, "sampler", None), ParentBased)
        self._propagation = propagation
        self._not_errors = not_errors

    @property
    def is_on(self) -> bool:
        """Whether spans are made at all."""
        return self._tracer is not None

    def server(self, method: str, route: str, traceparent: str = "", tracestate: str = "") -> ServerSpan:
        """Return the span of a request, to be entered, as a child of what the caller's headers say."""
        caller = read_trace_context(traceparent, tracestate) if traceparent else NO_TRACE
        if self._tracer is None:
            return ServerSpan(caller)
        if caller.traceparent:
            if not caller.is_sampled and self._follows_caller:
                return UnsampledServerSpan(caller)
        elif (unrecorded := self._roots.unrecorded()).traceparent:
            return UnsampledServerSpan(unrecorded)
        attributes = {names.HTTP_METHOD: method, names.HTTP_ROUTE: route}
        return TracedServerSpan(
            self._tracer.start_span(names.server_span(method, route), caller.as_parent(), SpanKind.SERVER, attributes)
        )

    def send(
        self,
        job_type: str,
        job_id: str,
        caller: TraceContext,
        *,
        tenant: str = DEFAULT_TENANT,
        delay_s: float = 0.0,
        is_batch_item: bool = False,
    ) -> TraceContext:
        """Make the span `send <type>` and return its context, to be stored in the job and never changed.

        `caller` is the context of the request, or of the attempt that submits a child job. It is passed on as
        it is when tracing is off.
        """
        if self._tracer is None:
            return caller
        is_linked = bool(caller.traceparent) and self._starts_a_trace(delay_s, is_batch_item)
        if caller.traceparent and not is_linked and not caller.is_sampled:
            return caller
        if is_linked and self._roots.is_unrecorded():
            return caller.unsampled()
        if not caller.traceparent and (unrecorded := self._roots.unrecorded()).traceparent:
            return unrecorded
        parent = Context() if is_linked else caller.as_parent()
        span = self._tracer.start_span(names.send_span(job_type), parent, SpanKind.PRODUCER)
        if not span.is_recording():
            return caller.unsampled() if is_linked else trace_context_of(span.get_span_context())
        # Set after sampling: about 1 % of spans are recorded.
        span.set_attributes(_messaging("send", job_type, job_id, tenant))
        if is_linked:
            span.add_link(caller.as_span().get_span_context())
        span.end()
        return trace_context_of(span.get_span_context())

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
        previous: str = "",
    ) -> Attempt:
        """Return the span `process <type>`, to be entered, as a child of the context stored in the job.

        `previous` is the traceparent of the attempt before, as its error holds it.
        """
        if self._tracer is None:
            return Attempt(stored)
        if stored.traceparent:
            if not stored.is_sampled:
                return UnsampledAttempt(stored)
        elif (unrecorded := self._roots.unrecorded()).traceparent:
            return UnsampledAttempt(unrecorded)
        span = self._tracer.start_span(
            names.process_span(job_type), stored.as_parent(), SpanKind.CONSUMER, links=_links(previous)
        )
        if not span.is_recording():
            unsampled = trace_context_of(span.get_span_context())
            return UnsampledAttempt(unsampled) if unsampled.traceparent else Attempt(stored)
        # Set after sampling, as above.
        span.set_attributes(_messaging("process", job_type, job_id, tenant))
        span.set_attributes(
            {
                names.CONSUMER_GROUP: CONSUMER_GROUP,
                names.JOB_ATTEMPT: attempt,
                names.JOB_DELIVERY: delivery,
                names.JOB_QUEUE_WAIT_MS: queue_wait_ms,
            }
        )
        return RecordedAttempt(self._tracer, span, self._not_errors)

    def recover(self, job_type: str, job_id: str, stored: TraceContext, *, attempt: str = "", reason: str) -> None:
        """Note in the job's trace that it was taken back from a worker that vanished.

        `attempt` is the traceparent of the attempt concerned, as far as it is known; so below.
        """
        self._note(names.RECOVER, job_type, job_id, stored, attempt, reason)

    def bury(self, job_type: str, job_id: str, stored: TraceContext, *, attempt: str = "", reason: str) -> None:
        """Note in the job's trace that it went to the dead letters."""
        self._note(names.BURY, job_type, job_id, stored, attempt, reason)

    def redrive(self, job_type: str, job_id: str, stored: TraceContext, *, attempt: str = "") -> None:
        """Note in the job's trace that an operator sent it back to its queue."""
        self._note(names.REDRIVE, job_type, job_id, stored, attempt, "")

    def _note(self, name: str, job_type: str, job_id: str, stored: TraceContext, attempt: str, reason: str) -> None:
        """Make a span without duration, if the job's trace is recorded."""
        if self._tracer is None or not stored.is_sampled:
            return
        attributes: dict[str, str] = {names.DESTINATION: job_type, names.MESSAGE_ID: job_id}
        if reason:
            attributes[names.JOB_REASON] = reason
        self._tracer.start_span(name, stored.as_parent(), SpanKind.INTERNAL, attributes, _links(attempt)).end()

    def _starts_a_trace(self, delay_s: float, is_batch_item: bool) -> bool:
        if self._propagation == "auto":
            return is_batch_item or delay_s > LINK_ABOVE_DELAY_S
        return self._propagation == "link"


def _links(traceparent: str) -> list[Link]:
    return [Link(TraceContext(traceparent).as_span().get_span_context())] if traceparent else []


def _messaging(operation: str, job_type: str, job_id: str, tenant: str) -> dict[str, str | int | float]:
    return {
        names.SYSTEM: "millstream",
        names.OPERATION_NAME: operation,
        names.OPERATION_TYPE: operation,
        names.DESTINATION: job_type,
        names.MESSAGE_ID: job_id,
        names.JOB_TENANT: tenant,
    }
