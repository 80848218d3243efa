"""The span ids of deliveries, each of which follows from the job and the number of the delivery (ADR 30).

The next delivery and the reaper can therefore link to a delivery whose worker was killed before it told any other
process its span id.
"""

import hashlib
import threading
from collections.abc import Mapping

from msgspec import Struct
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, Span, SpanKind, Tracer

from millstream_telemetry import names
from millstream_telemetry.tracing.trace_context import NO_TRACE, TraceContext

Attributes = Mapping[str, str | int | float]

_SPAN_ID_BYTES = 8

MAX_LINKS = 32
"""Links of a job to those that it has waited for."""


class PastDelivery(Struct, frozen=True, kw_only=True):
    """A delivery that has ended, as a component identifies it that did not run it."""

    job_type: str
    job_id: str
    tenant: str
    stored: TraceContext
    """The context that is stored in the job."""
    delivery: int
    """Number of the delivery; 0 when there was none."""
    worker: str = ""
    """Name of the worker that had the job; empty when it is not known."""

    @property
    def span(self) -> TraceContext:
        """Return the context of the delivery's span; NO_TRACE when there was no delivery."""
        return delivery_span(self.stored, self.job_id, self.delivery) if self.delivery else NO_TRACE

    def attributes(self) -> dict[str, str | int | float]:
        """Return the attributes that identify the delivery."""
        known: dict[str, str | int | float] = {
            names.DESTINATION: self.job_type,
            names.MESSAGE_ID: self.job_id,
            names.JOB_TENANT: self.tenant,
        }
        if self.delivery:
            known[names.JOB_DELIVERY] = self.delivery
        if self.worker:
            known[names.CLIENT_ID] = self.worker
        return known


def delivery_span(stored: TraceContext, job_id: str, delivery: int) -> TraceContext:
    """Return the context of the span of a delivery. `stored` has to hold a trace."""
    return delivery_of(job_id, stored.trace_id, delivery)


def delivery_of(job_id: str, trace_id: str, delivery: int) -> TraceContext:
    """Return the context of the span of a delivery of a job, of which the trace is known."""
    return TraceContext(f"00-{trace_id}-{_span_id(job_id, delivery):016x}-01")


def links_to(*contexts: TraceContext) -> list[Link]:
    """Return one link to each different span among these; NO_TRACE stands for none."""
    found = {context.traceparent[:52]: context for context in contexts if context.traceparent}
    return [Link(context.as_span().get_span_context()) for context in found.values()]


def _span_id(job_id: str, delivery: int) -> int:
    digest = hashlib.blake2b(f"{job_id}#{delivery}".encode(), digest_size=_SPAN_ID_BYTES).digest()
    return int.from_bytes(digest) or 1  # to every tracing system 0 means that there is no span


class DeliverySpanStarter:
    """Starts the spans of deliveries with their ids.

    A tracer that is not one of the SDK draws the ids itself. Links to its deliveries then lead nowhere.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._ids = _ids_of(tracer)

    def start(
        self,
        name: str,
        stored: TraceContext,
        *,
        job_id: str,
        delivery: int,
        failed: str,
    ) -> Span:
        """Start the span of a delivery; the sampler decides whether it is recorded.

        `stored` is the context that is stored in the job, and `failed` the traceparent of the attempt that failed last.
        """
        links, ids = _links(stored, job_id, delivery, failed), self._ids
        if ids is None:
            return self._tracer.start_span(name, stored.as_parent(), SpanKind.CONSUMER, links=links)
        ids.given.span_id = _span_id(job_id, delivery)
        try:
            return self._tracer.start_span(name, stored.as_parent(), SpanKind.CONSUMER, links=links)
        finally:
            ids.given.span_id = 0


def _links(stored: TraceContext, job_id: str, delivery: int, failed: str) -> list[Link]:
    if delivery == 1 and not failed:  # most are
        return []
    before = delivery_span(stored, job_id, delivery - 1) if stored.traceparent and delivery > 1 else NO_TRACE
    return links_to(before, TraceContext(failed))


class _Given(threading.local):
    """The id of the span that this thread is about to start; 0 when the id is drawn."""

    span_id = 0


class _DeliveryIds(IdGenerator):
    """Gives the span of a delivery its id, and draws the ids of all other spans as the provider does."""

    def __init__(self, others: IdGenerator) -> None:
        self.given = _Given()
        self._others = others

    def generate_span_id(self) -> int:
        return self.given.span_id or self._others.generate_span_id()

    def generate_trace_id(self) -> int:
        return self._others.generate_trace_id()

    def is_trace_id_random(self) -> bool:
        return self._others.is_trace_id_random()


def _ids_of(tracer: Tracer) -> _DeliveryIds | None:
    """Return the id generator of our tracer, which no other library uses; None when it is not one of the SDK."""
    ids = getattr(tracer, "id_generator", None)
    if isinstance(ids, IdGenerator) and not isinstance(ids, _DeliveryIds):
        ids = _DeliveryIds(ids)
        tracer.id_generator = ids  # type: ignore[attr-defined]
    return ids if isinstance(ids, _DeliveryIds) else None
