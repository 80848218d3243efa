"""The trace of a submission has a span of the request and a producer span, whose context the job carries."""

from typing import Any

import msgspec
import pytest
from ingest.serving import DOORS, problem, running_ingest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from streams.seeds import ERROR, commit, take_one

from millstream_contracts import Dead, JobSpec
from millstream_streams import ActionCode
from millstream_telemetry import JobTracer

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


@pytest.fixture
def exporter():
    """Return the exporter that receives the spans."""
    return InMemorySpanExporter()


@pytest.fixture(params=DOORS)
async def ingest(broker, settings, exporter, request):
    """Yield an ingest that traces every request."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with running_ingest(settings, JobTracer(provider), door=request.param) as running:
        yield running
    provider.shutdown()


def spans(exporter) -> dict[str, Any]:
    """Return the finished spans by name."""
    return {span.name: span for span in exporter.get_finished_spans()}


async def spec_of(broker, queue, job_id) -> JobSpec:
    """Return the stored spec of a job."""
    return msgspec.msgpack.decode(await broker.client.hget(broker.keys.of(queue).job(job_id), "spec"), type=JobSpec)


async def test_job_continues_the_trace_of_its_request(ingest, broker, queue, exporter):
    """The SERVER span is below the caller's, the PRODUCER span below that, and the job carries its context."""
    job = await ingest.submit(headers={"traceparent": TRACEPARENT, "tracestate": "vendor=1"})
    found = spans(exporter)
    server, send = found["POST /v1/jobs"], found["send email.send"]
    assert (server.kind, send.kind) == (SpanKind.SERVER, SpanKind.PRODUCER)
    assert f"{server.context.trace_id:032x}" == TRACE_ID
    assert f"{server.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert send.parent.span_id == server.context.span_id
    assert send.attributes["messaging.message.id"] == job["id"]
    assert server.attributes["http.response.status_code"] == 202
    spec = await spec_of(broker, queue, job["id"])
    assert spec.traceparent == f"00-{TRACE_ID}-{send.context.span_id:016x}-01"
    assert spec.tracestate == "vendor=1"
    assert job["trace_id"] == TRACE_ID


async def test_items_of_a_batch_have_traces_of_their_own(ingest, exporter):
    """Each item of a batch has a trace of its own with a link to the request."""
    await ingest.http.post("/v1/jobs/batch", json={"jobs": [{"type": "email.send"}] * 2})
    server = spans(exporter)["POST /v1/jobs/batch"]
    sends = [span for span in exporter.get_finished_spans() if span.name == "send email.send"]
    assert server.attributes["messaging.batch.message_count"] == 2
    assert len({span.context.trace_id for span in (*sends, server)}) == 3
    assert all(span.links[0].context.span_id == server.context.span_id for span in sends)


async def test_span_is_named_after_the_route_and_not_the_path(ingest, exporter):
    """A span is named after the route and not the path, which contains ids."""
    job = await ingest.submit()
    await ingest.get(f"/v1/jobs/{job['id']}")
    assert "GET /v1/jobs/{job_id}" in {name.replace(":str", "") for name in spans(exporter)}


async def test_problem_names_its_trace(ingest, exporter):
    """A problem document names its trace, by which an operator finds it."""
    response = await ingest.http.post("/v1/jobs", json={}, headers={"traceparent": TRACEPARENT})
    assert problem(response, 422, "invalid-request")["trace_id"] == TRACE_ID
    assert spans(exporter)["POST /v1/jobs"].status.status_code is StatusCode.UNSET
    response = await ingest.http.get("/v1/nothing", headers={"traceparent": TRACEPARENT})
    assert problem(response, 404, "not-found")["trace_id"] == TRACE_ID


async def test_probes_and_pages_make_no_spans(ingest, exporter):
    """Probes and documentation pages make no spans."""
    for path in ("/health", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
        await ingest.http.get(path)
    assert spans(exporter) == {}


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "x" * 5000])
async def test_malformed_trace_context_is_ignored(ingest, traceparent):
    """A malformed trace context starts a new trace and refuses nothing, by its specification."""
    await ingest.submit(headers={"traceparent": traceparent, "tracestate": "a=" + "b" * 5000})


async def test_redrive_is_noted_in_the_trace_of_the_job(ingest, broker, queue, exporter):
    """A redrive makes a span in the trace of the job, with a link to the attempt that failed."""
    await ingest.http.post("/v1/jobs", json={"type": queue.type}, headers={"traceparent": TRACEPARENT})
    delivery = await take_one(broker, queue)
    attempt = f"00-{TRACE_ID}-{'ab' * 8}-01"
    await commit(broker, delivery, Dead("attempts", msgspec.structs.replace(ERROR, traceparent=attempt)))
    await ingest.http.post("/v1/dead/redrive", json={"ids": [delivery.id]})
    note, send = spans(exporter)["redrive"], spans(exporter)[f"send {queue.type}"]
    assert note.parent.span_id == send.context.span_id
    assert f"{note.links[0].context.span_id:016x}" == "ab" * 8
    assert (await take_one(broker, queue)).id == delivery.id


async def test_redrive_that_was_refused_leaves_no_note(ingest, broker, queue, exporter, monkeypatch):
    """A redrive that was refused makes no span in the trace of the job."""
    await ingest.http.post("/v1/jobs", json={"type": queue.type}, headers={"traceparent": TRACEPARENT})
    delivery = await take_one(broker, queue)
    await commit(broker, delivery, Dead("attempts", ERROR))

    async def refuse(_, ids):
        return [ActionCode.WRONG_STATE] * len(ids)

    monkeypatch.setattr(ingest.services.broker.store, "redrive", refuse)
    report = (await ingest.http.post("/v1/dead/redrive", json={"ids": [delivery.id]})).json()
    assert report["refused"] == 1
    assert "redrive" not in spans(exporter)
