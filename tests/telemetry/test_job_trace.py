"""The trace of one job is exported over real OTLP."""

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from otlp_receiver import OtlpReceiver

from millstream_telemetry import JobTracer, names

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def receiver():
    """Yield a collector for spans."""
    with OtlpReceiver() as receiver:
        yield receiver


@pytest.fixture
def exporting(receiver):
    """Return a function that makes the tracer provider of a service."""
    providers = []

    def make(service):
        provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=receiver.endpoint, insecure=True)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        providers.append(provider)
        return provider

    yield make
    for provider in providers:
        provider.shutdown()


def test_trace_of_a_retried_job_is_one_tree(receiver, exporting):
    """One trace holds the request, the job and all its attempts, and attempt 2 links to attempt 1."""
    ingest, worker = exporting("millstream-ingest"), exporting("millstream-worker")
    at_ingest, at_worker = JobTracer(ingest), JobTracer(worker)

    with at_ingest.server("POST", "/v1/jobs", CALLER, "vendor=1") as server:
        send = at_ingest.send("email.send", "email.send_001", server.context, tenant="acme")
        send.stored()
        stored = send.context
        server.answered(202)

    with at_worker.attempt("email.send", "email.send_001", stored, attempt=1, delivery=1) as first:
        with pytest.raises(ConnectionError), first.handler("send_email"):
            raise ConnectionError("smtp is away")
        first.conclude("error", error_type="ConnectionError", message="smtp is away", delay_s=1.5)

    with (
        at_worker.attempt(
            "email.send", "email.send_001", stored, attempt=2, delivery=2, failed=first.traceparent
        ) as second,
        second.handler("send_email"),
        worker.get_tracer("user").start_as_current_span("smtp"),
    ):
        pass

    ingest.force_flush()
    worker.force_flush()
    receiver.wait_until(lambda: len(receiver.trace(TRACE)) == 7, "the seven spans of the job have arrived")

    (root,) = receiver.tree(TRACE)
    assert root.names() == (
        "POST /v1/jobs",
        [
            (
                "send email.send",
                [
                    ("process email.send", [("send_email", [])]),
                    ("process email.send", [("send_email", [("smtp", [])])]),
                ],
            )
        ],
    ), receiver.drawing(TRACE)

    (send,) = root.children
    attempt_1, attempt_2 = send.children
    assert root.span.parent_id == SPAN
    assert [node.span.kind for node in (root, send, attempt_1, attempt_1.children[0])] == [
        "SERVER",
        "PRODUCER",
        "CONSUMER",
        "INTERNAL",
    ]
    assert [node.span.service for node in (root, send, attempt_1)] == [
        "millstream-ingest",
        "millstream-ingest",
        "millstream-worker",
    ]
    assert (attempt_1.span.status, attempt_1.span.status_message) == ("ERROR", "smtp is away")
    assert attempt_1.span.attributes["error.type"] == "ConnectionError"
    assert attempt_1.span.events == [("retry scheduled", {"delay_s": 1.5})]
    assert attempt_1.children[0].span.status == "ERROR"
    assert attempt_1.span.links == []
    assert attempt_2.span.links == [(TRACE, attempt_1.span.span_id)]
    assert [node.span.attributes[names.JOB_ATTEMPT] for node in send.children] == [1, 2]
    assert attempt_2.span.status == "UNSET"
    assert stored.tracestate == "vendor=1"
