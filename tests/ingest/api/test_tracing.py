"""The trace of a submission has a span of the request and a producer span, whose context the job carries."""

import msgspec
import pytest
from ingest.serving import problem, spans
from opentelemetry.trace import SpanKind, StatusCode
from streams.seeds import ERROR, FAR_MS, commit, take_one

from millstream_contracts import Dead, JobSpec, RetryAt
from millstream_streams import ActionCode
from millstream_telemetry import TraceContext, delivery_of, names
from millstream_telemetry.tracing.delivery_spans import delivery_span

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


async def spec_of(broker, queue, job_id) -> JobSpec:
    """Return the stored spec of a job."""
    return msgspec.msgpack.decode(await broker.client.hget(broker.keys.of(queue).job(job_id), "spec"), type=JobSpec)


async def test_job_continues_the_trace_of_its_request(traced, broker, queue, exporter):
    """The SERVER span is below the caller's, the PRODUCER span below that, and the job carries its context."""
    job = await traced.submit(headers={"traceparent": TRACEPARENT, "tracestate": "vendor=1"})
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


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/batch"])
async def test_a_job_that_waits_for_others_links_to_their_attempts(traced, broker, queue, exporter, path):
    """The span `send` links to the last attempt of a parent that has ended, and to the next of one that has not."""
    jobs = [await traced.submit() for _ in range(3)]
    await commit(broker, await take_one(broker, queue))
    await commit(broker, await take_one(broker, queue), RetryAt(FAR_MS, ERROR))
    exporter.clear()
    child = {"type": "email.send", "after": [job["id"] for job in jobs]}
    await traced.http.post(path, json={"jobs": [child]} if path.endswith("batch") else child)
    [send] = [span for span in exporter.get_finished_spans() if span.name == "send email.send"]
    linked = {f"{link.context.span_id:016x}" for link in send.links}
    attempts = zip(jobs, (1, 2, 1), strict=True)
    assert linked >= {delivery_of(job["id"], job["trace_id"], at).traceparent[36:52] for job, at in attempts}


async def test_items_of_a_batch_have_traces_of_their_own(traced, exporter):
    """Each item of a batch has a trace of its own with a link to the request."""
    await traced.http.post("/v1/jobs/batch", json={"jobs": [{"type": "email.send"}] * 2})
    server = spans(exporter)["POST /v1/jobs/batch"]
    sends = [span for span in exporter.get_finished_spans() if span.name == "send email.send"]
    assert server.attributes["messaging.batch.message_count"] == 2
    assert len({span.context.trace_id for span in (*sends, server)}) == 3
    assert all(span.links[0].context.span_id == server.context.span_id for span in sends)


async def test_a_batch_continues_the_trace_of_its_request(traced, exporter):
    """A batch has a span below its request, whose trace it shows; its members have traces of their own."""
    body = {"name": "import", "jobs": [{"type": "email.send"}] * 2}
    made = (await traced.http.post("/v1/batches", json=body, headers={"traceparent": TRACEPARENT})).json()
    found = spans(exporter)
    server, send = found["POST /v1/batches"], found["send batch import"]
    assert server.attributes["messaging.batch.message_count"] == 2
    assert send.parent.span_id == server.context.span_id
    assert (send.attributes[names.BATCH_ID], made["trace_id"]) == (made["id"], TRACE_ID)
    assert found["send email.send"].links[0].context.span_id == server.context.span_id


async def test_span_is_named_after_the_route_and_not_the_path(traced, exporter):
    """A span is named after the route and not the path, which contains ids."""
    job = await traced.submit()
    await traced.get(f"/v1/jobs/{job['id']}")
    assert "GET /v1/jobs/{job_id}" in {name.replace(":str", "") for name in spans(exporter)}


async def test_request_is_described_by_the_conventions_of_http(traced, exporter):
    """The span of a request has the attributes of the HTTP conventions."""
    await traced.http.get("/v1/jobs?limit=2", headers={"host": "jobs.example:8080", "user-agent": "curl/8"})
    assert dict(spans(exporter)["GET /v1/jobs"].attributes) == {
        "http.request.method": "GET",
        "http.route": "/v1/jobs",
        "http.response.status_code": 200,
        "url.path": "/v1/jobs",
        "url.query": "limit=2",
        "url.scheme": "http",
        "server.address": "jobs.example",
        "server.port": 8080,
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
    }


async def test_problem_names_its_trace(traced, exporter):
    """A problem document names its trace, by which an operator finds it."""
    response = await traced.http.post("/v1/jobs", json={}, headers={"traceparent": TRACEPARENT})
    assert problem(response, 422, "invalid-request")["trace_id"] == TRACE_ID
    assert spans(exporter)["POST /v1/jobs"].status.status_code is StatusCode.UNSET
    response = await traced.http.get("/v1/nothing", headers={"traceparent": TRACEPARENT})
    assert problem(response, 404, "not-found")["trace_id"] == TRACE_ID


async def test_probes_and_pages_make_no_spans(traced, exporter):
    """Probes and documentation pages make no spans."""
    for path in ("/health", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json"):
        await traced.http.get(path)
    assert spans(exporter) == {}


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "x" * 5000])
async def test_malformed_trace_context_is_ignored(traced, traceparent):
    """A malformed trace context starts a new trace and refuses nothing, by its specification."""
    await traced.submit(headers={"traceparent": traceparent, "tracestate": "a=" + "b" * 5000})


@pytest.mark.parametrize("route", ["/v1/dead/redrive", "/v1/jobs/{job_id}/retry"])
async def test_redrive_is_noted_in_the_trace_of_the_job(traced, broker, queue, exporter, route):
    """The span `redrive` links to the last delivery, to the failed attempt and, both ways, to the request."""
    await traced.http.post("/v1/jobs", json={"type": queue.type}, headers={"traceparent": TRACEPARENT})
    delivery = await take_one(broker, queue, "w1")
    attempt = f"00-{TRACE_ID}-{'ab' * 8}-01"
    await commit(broker, delivery, Dead("attempts", msgspec.structs.replace(ERROR, traceparent=attempt)))
    await traced.http.post(route.format(job_id=delivery.id), json={"ids": [delivery.id]})
    note, send, request = (spans(exporter)[name] for name in ("redrive", f"send {queue.type}", f"POST {route}"))
    assert note.parent.span_id == send.context.span_id
    last = delivery_span(TraceContext(TRACEPARENT), delivery.id, 1).traceparent[36:52]
    assert [f"{link.context.span_id:016x}" for link in note.links] == [
        last,
        "ab" * 8,
        f"{request.context.span_id:016x}",
    ]
    assert [link.context.span_id for link in request.links] == [note.context.span_id]
    assert {name: note.attributes[name] for name in (names.JOB_DELIVERY, names.CLIENT_ID, names.JOB_TENANT)} == {
        names.JOB_DELIVERY: 1,
        names.CLIENT_ID: "w1",
        names.JOB_TENANT: queue.tenant,
    }
    assert (await take_one(broker, queue)).id == delivery.id


async def test_redrive_that_was_refused_leaves_no_note(traced, broker, queue, exporter, monkeypatch):
    """A redrive that was refused makes no span in the trace of the job."""
    await traced.http.post("/v1/jobs", json={"type": queue.type}, headers={"traceparent": TRACEPARENT})
    delivery = await take_one(broker, queue)
    await commit(broker, delivery, Dead("attempts", ERROR))

    async def refuse(_, ids, **_options):
        return [ActionCode.WRONG_STATE] * len(ids)

    monkeypatch.setattr(traced.services.broker.store, "redrive", refuse)
    report = (await traced.http.post("/v1/dead/redrive", json={"ids": [delivery.id]})).json()
    assert report["refused"] == 1
    assert "redrive" not in spans(exporter)
